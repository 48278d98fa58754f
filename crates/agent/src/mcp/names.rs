//! Names that every model provider takes.

use std::collections::BTreeSet;

use super::policy::SEPARATOR;

/// How long a tool's whole name may be.
const LONGEST: usize = 64;

/// How long the server's part may be.
const LONGEST_SERVER: usize = 32;

/// Names of which no two are the same, however their letters are written.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

/// The name that the tools of a server bear, for the name it has in the configuration.
pub(super) fn of_server(configured: &str) -> String {
    start(&clean(configured, "mcp"), LONGEST_SERVER).to_owned()
}

/// The name of a tool, for its server's and the one that the server gives it. Another may have the same.
pub(super) fn of_tool(server: &str, tool: &str) -> String {
    start(&format!("{server}{SEPARATOR}{}", clean(tool, "tool")), LONGEST).to_owned()
}

impl Names {
    /// A tool's or a server's `name`, with a number behind it where it is taken.
    pub(super) fn add(&mut self, name: &str) -> String {
        let longest = if name.contains(SEPARATOR) { LONGEST } else { LONGEST_SERVER };
        let mut candidate = name.to_owned();
        let mut number = 2;
        while !self.0.insert(candidate.to_ascii_lowercase()) {
            let suffix = format!("-{number}");
            candidate = format!("{}{suffix}", start(name, longest - suffix.len()));
            number += 1;
        }
        candidate
    }
}

/// The first bytes of a text of which each character is one.
fn start(plain: &str, length: usize) -> &str {
    &plain[..plain.len().min(length)]
}

/// The text in ASCII letters, digits, `_` and `-`.
fn clean(text: &str, where_empty: &str) -> String {
    let text = text.trim();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match text.is_empty() {
        true => where_empty.to_owned(),
        false => text.chars().take(LONGEST).map(|c| if is_plain(c) { c } else { '-' }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_openclaws() {
        assert_eq!(of_tool("files", "read_file"), "files__read_file");
        assert_eq!(of_tool("files", " read file\n"), "files__read-file");
        assert_eq!(of_tool("files", "文\u{7}"), "files__--");
        assert_eq!(of_tool("files", ""), "files__tool");
        assert_eq!(of_server("my.files"), "my-files");
        assert_eq!(of_server(""), "mcp");
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let mut names = Names::default();
        let added = ["a__read", "a__READ", "a__read", "b__read"].map(|name| names.add(name));
        assert_eq!(added, ["a__read", "a__READ-2", "a__read-3", "b__read"]);
    }

    proptest! {
        #[test]
        fn every_name_is_plain_short_and_its_own(server in ".{0,80}", tools in proptest::collection::vec(".{0,80}", 0..40)) {
            let server = of_server(&server);
            prop_assert!(server.len() <= LONGEST_SERVER);
            let mut names = Names::default();
            let named: Vec<_> = tools.iter().map(|tool| names.add(&of_tool(&server, tool))).collect();
            let prefix = format!("{server}__");
            for name in &named {
                prop_assert!(name.len() <= LONGEST && name.starts_with(&prefix) && name.len() > prefix.len());
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'));
            }
            prop_assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), tools.len());
        }
    }
}
