//! Tables for people: whole where there is room, one line for each row where there is not.

use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Row, Table, Width};

use crate::output::{printable, terminal_width};

/// What stands in an empty cell.
pub(crate) const NONE: &str = "-";

/// The space between two columns.
const GAP: u16 = 2;

/// A column: its title, and how it gives way on a narrow terminal.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    /// The least width that is still of use; `None` is the whole content.
    least: Option<u16>,
    /// The column goes when there is no room; the greatest goes first, and 0 never.
    goes: u8,
}

impl Column {
    /// A column that is always shown whole, such as an id.
    pub(crate) const fn whole(title: &'static str) -> Self {
        Self { title, least: None, goes: 0 }
    }

    /// A column that is always shown, cut to no less than `least`.
    pub(crate) const fn cut(title: &'static str, least: u16) -> Self {
        Self { title, least: Some(least), goes: 0 }
    }

    /// A column that is left out where there is no room for `least` of it; the greatest `goes` goes first.
    pub(crate) const fn optional(title: &'static str, least: u16, goes: u8) -> Self {
        Self { title, least: Some(least), goes }
    }
}

/// The table as text. On a terminal it fits the width; elsewhere nothing is cut, for programs may read it.
pub(crate) fn render(columns: &[Column], rows: Vec<Vec<String>>) -> String {
    render_to(columns, rows, terminal_width())
}

/// The table without those of the columns `titles` in which nothing stands.
pub(crate) fn render_used(columns: &[Column], titles: &[&str], mut rows: Vec<Vec<String>>) -> String {
    let stays = |place: usize, column: &Column| {
        !titles.contains(&column.title)
            || rows.iter().any(|row| row.get(place).is_some_and(|cell| cell != NONE))
    };
    let kept: Vec<bool> = columns.iter().enumerate().map(|(place, column)| stays(place, column)).collect();
    let columns: Vec<Column> =
        columns.iter().zip(&kept).filter_map(|(column, kept)| kept.then_some(*column)).collect();
    for row in &mut rows {
        let mut places = kept.iter();
        row.retain(|_| places.next().copied().unwrap_or(true));
    }
    render(&columns, rows)
}

fn render_to(columns: &[Column], rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let mut header: Row = columns.iter().map(|column| Cell::new(column.title)).collect::<Vec<_>>().into();
    header.max_height(1);
    table.set_header(header);
    for row in rows {
        let mut row: Row = row.iter().map(|cell| Cell::new(printable(cell))).collect::<Vec<_>>().into();
        row.max_height(1);
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    match width {
        None => table.set_content_arrangement(ContentArrangement::Disabled),
        Some(width) => {
            fit(&mut table, columns, width);
            // A cell is cut anywhere, not only between words.
            table.set_delimiter('\u{0}').set_truncation_indicator("…");
            table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic)
        }
    };
    table.trim_fmt()
}

/// Hides what has no room and says how far the rest may give way.
fn fit(table: &mut Table, columns: &[Column], width: u16) {
    let contents = table.column_max_content_widths();
    let least: Vec<u16> = columns
        .iter()
        .zip(&contents)
        .map(|(column, content)| {
            let title = u16::try_from(column.title.len()).unwrap_or(u16::MAX);
            let content = title.max(*content);
            column.least.map_or(content, |least| title.max(least).min(content))
        })
        .collect();
    let mut hidden = vec![false; columns.len()];
    let needed = |hidden: &[bool]| -> u32 {
        least
            .iter()
            .zip(hidden)
            .filter(|(_, hidden)| !**hidden)
            .map(|(least, _)| u32::from(least + GAP))
            .sum()
    };
    while needed(&hidden) > u32::from(width) {
        let next = (0..columns.len())
            .filter(|index| !hidden[*index] && columns[*index].goes > 0)
            .max_by_key(|index| columns[*index].goes);
        match next {
            Some(index) => hidden[index] = true,
            None => break,
        }
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_constraint(match (hidden[index], columns[index].least) {
            (true, _) => ColumnConstraint::Hidden,
            (false, None) => ColumnConstraint::ContentWidth,
            (false, Some(_)) => ColumnConstraint::LowerBoundary(Width::Fixed(least[index] + GAP)),
        });
    }
}

/// Lines of `label: value`.
pub(crate) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> String {
    facts.into_iter().map(|(label, value)| format!("{label}: {}\n", printable(&value))).collect()
}

/// Lines of `label: value`, without those that have none.
pub(crate) fn known_facts<'a>(all: impl IntoIterator<Item = (&'a str, String)>) -> String {
    facts(all.into_iter().filter(|(_, value)| value != NONE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::whole("ID"),
        Column::cut("Name", 6),
        Column::cut("Next", 6),
        Column::optional("Agent", 4, 1),
    ];

    fn rows() -> Vec<Vec<String>> {
        vec![
            ["0123456789", "A name that is long", "in 5m", "main"].map(str::to_owned).to_vec(),
            ["1", "整理今日重點與待辦", "-", "main"].map(str::to_owned).to_vec(),
        ]
    }

    #[test]
    fn nothing_is_cut_where_no_terminal_is() {
        assert_eq!(
            render_to(&COLUMNS, rows(), None),
            "ID          Name                 Next   Agent\n\
             0123456789  A name that is long  in 5m  main\n\
             1           整理今日重點與待辦   -      main"
        );
    }

    #[test]
    fn a_narrow_terminal_gets_one_line_for_each_row_and_the_whole_id() {
        for width in 28..60 {
            let text = render_to(&COLUMNS, rows(), Some(width));
            assert_eq!(text.lines().count(), 3, "{width}:\n{text}");
            assert!(text.contains("0123456789"), "{text}");
            assert_eq!(text.contains("Agent"), width >= 34, "{width}:\n{text}");
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}:\n{text}");
        }
    }
}
