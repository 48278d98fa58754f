//! What an expression does with the civil times that a zone's clocks skip or go through twice.

use clawhook_model::DstRule;

use crate::expression::Expression;

/// What becomes of a civil time in a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InGap {
    /// It is not due.
    NotDue,
    /// It is due at the gap's end; several become one.
    AtItsEnd,
    /// It is due at the gap's end where that lies on the same day.
    AtItsEndOnTheSameDay,
}

/// What becomes of a civil time in a fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InFold {
    /// It is due in the first pass.
    FirstPass,
    /// It is due in both passes.
    BothPasses,
}

/// How an expression behaves where clocks change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conduct {
    pub(crate) gap: InGap,
    pub(crate) fold: InFold,
}

impl Conduct {
    /// The table of the rules.
    pub(crate) fn of(rule: DstRule, expression: &Expression) -> Self {
        let (gap, fold) = match (rule, expression.is_fixed_time()) {
            (DstRule::OpenClaw, true) => (InGap::AtItsEndOnTheSameDay, InFold::FirstPass),
            (DstRule::OpenClaw, false) => (InGap::NotDue, InFold::BothPasses),
            (DstRule::Skip, _) => (InGap::NotDue, InFold::FirstPass),
            (DstRule::Once, _) => (InGap::AtItsEnd, InFold::FirstPass),
        };
        Self { gap, fold }
    }
}
