//! What docs/tools.md says is so.

use super::policy::{Allowed, ServerNames};
use super::{STARTUP_TIMEOUT, answer, connection, listing};
use crate::ToolPolicy;

const DOCUMENT: &str = include_str!("../../../../docs/tools.md");

#[test]
fn the_table_of_policies_is_right() {
    let mut lines = DOCUMENT.lines().skip_while(|line| !line.starts_with("| `allow` |"));
    let tools = cells(lines.next().unwrap())[3..].to_vec();
    let rows: Vec<_> = lines.skip(1).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 5 && tools.len() == 3);
    for row in rows {
        let row_cells = cells(row);
        let patterns = |cell: usize| -> Vec<String> {
            let patterns = row_cells[cell].split(',').map(|p| p.trim().trim_matches('`').to_owned());
            patterns.filter(|p| !p.is_empty() && p != "[]").collect()
        };
        let policy = ToolPolicy { allow: patterns(0), deny: patterns(1) };
        let job = (!row_cells[2].is_empty()).then(|| patterns(2));
        let allowed = Allowed::by(&policy, job.as_deref());
        for (tool, said) in tools.iter().zip(&row_cells[3..]) {
            let tool = tool.trim_matches('`');
            let server = tool.split("__").next().unwrap();
            let may = allowed.tool(ServerNames { configured: server, tools: server }, tool);
            assert_eq!(if may { "yes" } else { "no" }, said, "{tool} in {row}");
        }
    }
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim_start_matches('|').strip_suffix('|').unwrap();
    row.split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn the_limits_are_those_of_the_code() {
    for limit in [
        format!("| {} s, or its `startupTimeout` |", STARTUP_TIMEOUT.as_secs()),
        format!("| {}, in {} MiB of", listing::MOST_TOOLS, listing::MOST_BYTES >> 20),
        format!("| one answer | {} KiB |", answer::LIMIT >> 10),
        format!("| one message of a server | {} MiB |", connection::MESSAGE_LIMIT >> 20),
        format!("ended within {} s with all", connection::GRACE.as_secs()),
    ] {
        assert!(DOCUMENT.contains(&limit), "docs/tools.md lacks {limit:?}");
    }
}
