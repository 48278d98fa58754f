//! How a chain ends: with an answer, or with one error that names each try.

use clawhook_model::{Diagnostic, Diagnostics, ErrorReason, RunOutcome, Severity, UnixMs};

use super::{Course, Tried};
use crate::TurnResult;
use crate::backend::TryError;

impl Course {
    /// The end of a chain in which somebody answered.
    pub(super) fn answered(self, outcome: RunOutcome, now: UnixMs) -> TurnResult {
        self.end(outcome, Severity::Warn, now)
    }

    /// The end of a chain in which nobody did.
    pub(super) fn none_answered(self, now: UnixMs) -> TurnResult {
        let (reason, message) = self.verdict();
        if self.tries.iter().all(|tried| !tried.begun && tried.error.reason == ErrorReason::Unavailable) {
            return self.end(RunOutcome::skipped(reason, message), Severity::Warn, now);
        }
        let ask_again_at = self.ask_again_at().filter(|_| !self.ended_by_itself());
        let text = Some(self.text.clone()).filter(|text| !text.is_empty());
        let outcome = RunOutcome { summary: text, ..RunOutcome::error(reason, message) };
        TurnResult { ask_again_at, ..self.end(outcome, Severity::Error, now) }
    }

    /// Whether the last try ended the chain: another could not have helped.
    fn ended_by_itself(&self) -> bool {
        self.tries.last().is_some_and(|tried| tried.error.is_final)
    }

    /// The class and the sentence of the whole.
    fn verdict(&self) -> (ErrorReason, String) {
        match self.tries.as_slice() {
            [] => (ErrorReason::ModelNotFound, crate::NoSuchModel::NoneConfigured.to_string()),
            [only] => (only.error.reason, only.error.message.clone()),
            [before @ .., last] if last.error.is_final => {
                (last.error.reason, format!("{}. Before that: {}.", bare(&last.error), list(before)))
            }
            tries => (telling(tries), format!("no model answered: {}.", list(tries))),
        }
    }

    fn end(self, mut outcome: RunOutcome, severity: Severity, now: UnixMs) -> TurnResult {
        let note = |severity, message: &str| Diagnostic {
            ts: now,
            source: "agent-run".to_owned(),
            severity,
            message: message.to_owned(),
            exit_code: None,
            truncated: None,
        };
        let mut entries: Vec<Diagnostic> =
            self.tries.iter().map(|tried| note(severity, &tried.error.message)).collect();
        entries.extend(self.notes.iter().map(|text| note(Severity::Warn, text)));
        if self.cut
            && let Some(last) = entries.last_mut()
        {
            last.truncated = Some(true);
        }
        let summary = outcome.error.as_ref().map(|error| error.message.clone());
        let summary = summary.or_else(|| entries.first().map(|entry| entry.message.clone()));
        outcome.diagnostics = (!entries.is_empty()).then_some(Diagnostics { summary, entries });
        outcome.usage = self.usage;
        outcome.cost = self.cost;
        outcome.model = self.model;
        outcome.provider = self.provider;
        TurnResult { transcript: self.transcript, ..TurnResult::of(outcome) }
    }
}

/// The class that tells most: the first of somebody who was there.
fn telling(tries: &[Tried]) -> ErrorReason {
    let first = tries.iter().find(|tried| tried.begun).or(tries.first());
    first.map_or(ErrorReason::Unknown, |tried| tried.error.reason)
}

fn list(tries: &[Tried]) -> String {
    tries.iter().map(|tried| bare(&tried.error)).collect::<Vec<_>>().join("; ")
}

fn bare(error: &TryError) -> &str {
    error.message.trim_end_matches('.')
}
