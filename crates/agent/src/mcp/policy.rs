//! Which tools a turn may use.

use crate::ToolPolicy;

/// What stands between a server's name and a tool's.
pub(super) const SEPARATOR: &str = "__";

/// What the agent's policy allows and its job has not narrowed away.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed<'a> {
    policy: &'a ToolPolicy,
    job: Option<&'a [String]>,
}

/// A server, as patterns know it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerNames<'a> {
    /// By the name in the configuration.
    pub(super) configured: &'a str,
    /// By the name that its tools bear.
    pub(super) tools: &'a str,
}

impl<'a> Allowed<'a> {
    /// By the agent's `policy`, and by what its job names where it names anything: a job can only narrow.
    pub(super) fn by(policy: &'a ToolPolicy, job: Option<&'a [String]>) -> Self {
        Self { policy, job }
    }

    /// Whether the server's tool may be used.
    pub(super) fn tool(&self, server: ServerNames<'_>, tool: &str) -> bool {
        let matches = |pattern: &String| server.is(pattern) || fits(pattern, tool);
        self.policy.allow.iter().any(matches)
            && self.job.is_none_or(|job| job.iter().any(matches))
            && !self.policy.deny.iter().any(matches)
    }

    /// Whether the server might have a tool that may be used.
    pub(super) fn any_of(&self, server: ServerNames<'_>) -> bool {
        self.policy.allow.iter().any(|pattern| server.is_reached_by(pattern))
            && self.job.is_none_or(|job| job.iter().any(|pattern| server.is_reached_by(pattern)))
            && !self.policy.deny.iter().any(|pattern| server.is_covered_by(pattern))
    }

    /// Whether every tool that the server may ever have can be used.
    pub(super) fn all_of(&self, server: ServerNames<'_>) -> bool {
        self.policy.allow.iter().any(|pattern| server.is_covered_by(pattern))
            && self.job.is_none_or(|job| job.iter().any(|pattern| server.is_covered_by(pattern)))
            && !self.policy.deny.iter().any(|pattern| server.is_reached_by(pattern))
    }
}

impl ServerNames<'_> {
    fn is(self, pattern: &str) -> bool {
        pattern == self.configured || pattern == self.tools
    }

    /// Whether some tool of the server could fit.
    pub(super) fn is_reached_by(self, pattern: &str) -> bool {
        let prefix = self.prefix();
        self.is(pattern)
            || match pattern.split_once('*') {
                None => pattern.len() > prefix.len() && pattern.starts_with(&prefix),
                Some((head, _)) => head.starts_with(&prefix) || prefix.starts_with(head),
            }
    }

    /// Whether every tool of the server fits.
    fn is_covered_by(self, pattern: &str) -> bool {
        self.is(pattern) || (pattern.ends_with('*') && fits(pattern, &self.prefix()))
    }

    fn prefix(self) -> String {
        format!("{}{SEPARATOR}", self.tools)
    }
}

/// Whether `name` fits `pattern`, in which `*` stands for any part, an empty one too.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let Some((middle, tail)) = rest.rsplit_once('*') else { return name.ends_with(rest) };
    // Each part is taken where it comes first, which leaves the most to those after it.
    for part in middle.split('*') {
        let Some((_, after)) = name.split_once(part) else { return false };
        name = after;
    }
    name.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILES: ServerNames<'_> = ServerNames { configured: "my files", tools: "my-files" };

    fn policy(allow: &[&str], deny: &[&str]) -> ToolPolicy {
        let owned = |patterns: &[&str]| patterns.iter().map(ToString::to_string).collect();
        ToolPolicy { allow: owned(allow), deny: owned(deny) }
    }

    fn job(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(ToString::to_string).collect()
    }

    /// `*` as its definition says it.
    fn fits_by_definition(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', rest @ ..] => (0..=name.len()).any(|skip| fits_by_definition(rest, &name[skip..])),
            [first, rest @ ..] => name.first() == Some(first) && fits_by_definition(rest, &name[1..]),
        }
    }

    #[test]
    fn without_a_word_of_the_agent_nothing_is_allowed() {
        let none = policy(&[], &[]);
        let everything = job(&["*"]);
        for job in [None, Some(&everything[..])] {
            let allowed = Allowed::by(&none, job);
            assert!(!allowed.tool(FILES, "my-files__read"));
            assert!(!allowed.any_of(FILES));
        }
    }

    #[test]
    fn a_server_is_allowed_by_either_name_as_a_whole_and_by_patterns_in_part() {
        for pattern in ["my files", "my-files", "my-files__*", "*", "my*", "*__*"] {
            let policy = policy(&[pattern], &[]);
            assert!(Allowed::by(&policy, None).tool(FILES, "my-files__read"), "{pattern}");
        }
        for pattern in ["my-files__re*", "*read*", "my-files__read"] {
            let policy = policy(&[pattern], &[]);
            let allowed = Allowed::by(&policy, None);
            assert!(allowed.tool(FILES, "my-files__read"), "{pattern}");
            assert!(!allowed.tool(FILES, "my-files__write"), "{pattern}");
            assert!(allowed.any_of(FILES) && !allowed.all_of(FILES), "{pattern}");
        }
        for pattern in ["", "files", "my-files__", "my-file", "read", "MY-FILES"] {
            let policy = policy(&[pattern], &[]);
            let allowed = Allowed::by(&policy, None);
            assert!(!allowed.tool(FILES, "my-files__read") && !allowed.any_of(FILES), "{pattern:?}");
        }
    }

    #[test]
    fn what_is_denied_stays_so_whatever_is_allowed() {
        let part = policy(&["*"], &["*__write*"]);
        let allowed = Allowed::by(&part, None);
        assert!(allowed.tool(FILES, "my-files__read"));
        assert!(!allowed.tool(FILES, "my-files__write_file"));
        assert!(allowed.any_of(FILES) && !allowed.all_of(FILES));
        for whole in ["my files", "my-files__*", "*"] {
            assert!(!Allowed::by(&policy(&["*"], &[whole]), None).any_of(FILES), "{whole}");
        }
    }

    #[test]
    fn a_job_narrows_and_never_widens() {
        let policy = policy(&["my-files__read*"], &[]);
        let by = |patterns: &[&str], tool| Allowed::by(&policy, Some(&job(patterns))).tool(FILES, tool);
        assert!(!by(&[], "my-files__read"));
        assert!(by(&["*"], "my-files__read") && !by(&["*"], "my-files__write"));
        assert!(by(&["my files"], "my-files__read") && !by(&["my files"], "my-files__write"));
        assert!(by(&["*_file"], "my-files__read_file") && !by(&["*_file"], "my-files__read_dir"));
        assert!(!Allowed::by(&policy, Some(&[])).any_of(FILES));
    }

    #[test]
    fn a_tool_of_one_server_is_not_another_servers_whose_name_it_begins_with() {
        let bare = policy(&["a__b"], &[]);
        let a = ServerNames { configured: "a", tools: "a" };
        assert!(!Allowed::by(&bare, None).tool(a, "a__b__c"));
    }

    fn text() -> impl Strategy<Value = String> {
        "[ab_*]{0,8}"
    }

    proptest! {
        #[test]
        fn a_pattern_fits_as_its_definition_says(pattern in text(), name in "[ab_]{0,8}") {
            prop_assert_eq!(fits(&pattern, &name), fits_by_definition(pattern.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn what_may_be_used_is_of_a_server_that_is_reached_and_what_is_handed_over_may_all_be_used(
            allow in text(), deny in text(), only in proptest::option::of(text()), tool in "[ab_]{1,6}",
        ) {
            let server = ServerNames { configured: "a", tools: "a" };
            let policy = policy(&[&allow], &[&deny]);
            let job = only.map(|only| vec![only]);
            let allowed = Allowed::by(&policy, job.as_deref());
            let may = allowed.tool(server, &format!("a__{tool}"));
            prop_assert!(!may || allowed.any_of(server));
            prop_assert!(may || !allowed.all_of(server));
            let unnarrowed = Allowed::by(&policy, None).tool(server, &format!("a__{tool}"));
            prop_assert!(!may || unnarrowed);
        }
    }
}
