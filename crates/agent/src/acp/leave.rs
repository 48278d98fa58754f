//! What an agent may do in one turn: what its operator permits, and of that what the job asks for.

use super::options::{AcpPermissions, AcpToolKind};

/// The leave for one turn.
pub(super) struct Leave<'a> {
    pub(super) permissions: &'a AcpPermissions,
    /// What the job narrows the tools to, by their kinds; `*` is all of them. None is no narrowing.
    pub(super) tools_allow: Option<&'a [String]>,
}

impl Leave<'_> {
    /// Whether something of this kind may be done.
    pub(super) fn allows(&self, kind: AcpToolKind) -> bool {
        let is_asked_for = self
            .tools_allow
            .is_none_or(|allow| allow.iter().any(|name| name == "*" || name == kind.as_str()));
        is_asked_for && self.permissions.allows(kind)
    }

    /// Whether there is nothing that would be refused.
    pub(super) fn is_for_everything(&self) -> bool {
        AcpToolKind::ALL.into_iter().all(|kind| self.allows(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::AcpRule;
    use super::*;

    #[test]
    fn a_job_can_narrow_what_is_permitted_and_never_widen_it() {
        let reads = AcpPermissions { rule: AcpRule::AllowReads, ..AcpPermissions::default() };
        let all = AcpPermissions { rule: AcpRule::AllowAll, ..AcpPermissions::default() };
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let allows = |permissions, tools_allow: Option<&[String]>, kind| {
            Leave { permissions, tools_allow }.allows(kind)
        };
        assert!(allows(&all, None, AcpToolKind::Edit));
        assert!(!allows(&all, Some(&[]), AcpToolKind::Read));
        assert!(allows(&all, Some(&names(&["*"])), AcpToolKind::Execute));
        assert!(!allows(&reads, Some(&names(&["*", "edit"])), AcpToolKind::Edit));
        assert!(allows(&all, Some(&names(&["read", "files__x"])), AcpToolKind::Read));
        assert!(!allows(&all, Some(&names(&["read", "files__x"])), AcpToolKind::Edit));
        assert!(Leave { permissions: &all, tools_allow: None }.is_for_everything());
        assert!(!Leave { permissions: &all, tools_allow: Some(&[]) }.is_for_everything());
    }
}
