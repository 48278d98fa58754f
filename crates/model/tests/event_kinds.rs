//! docs/events.md and the kinds of events say the same.

use clawhook_model::EventKind;

const DOCUMENT: &str = include_str!("../../../docs/events.md");

#[test]
fn the_page_names_every_kind_with_openclaws_word_for_it_and_no_others() {
    for kind in EventKind::ALL {
        let action = kind.action().map(|action| format!("`{action}`")).unwrap_or_default();
        let row = format!("| `{}` | {action} | ", kind.as_str());
        assert!(DOCUMENT.contains(&row), "docs/events.md needs a row {row}");
    }
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 4);
    assert_eq!(rows.count(), EventKind::ALL.len());
}
