//! What an event says, as far as more than one format needs it.

use std::borrow::Cow;

use clawhook_model::UnixMs;
use serde::Deserialize;

use super::cut::one_line;
use super::error::RenderError;

/// The parts of an event that formats show. What an event lacks is empty or absent, so that events of kinds that come
/// later can be rendered too.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Facts<'a> {
    #[serde(borrow)]
    pub(super) job_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) job_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) run_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) trigger: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) status: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) summary: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) error: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) error_reason: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) model: Cow<'a, str>,
    pub(super) run_at_ms: Option<UnixMs>,
    pub(super) duration_ms: Option<u64>,
    /// Of alerts: what they say.
    #[serde(borrow)]
    message: Cow<'a, str>,
    /// Of notices: why an instant passed without a run.
    #[serde(borrow)]
    reason: Cow<'a, str>,
    /// Of notices: how many runs failed before the one that succeeded.
    failures: Option<u32>,
    /// Of notices: what was given up.
    #[serde(borrow)]
    delivery: GivenUp<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GivenUp<'a> {
    #[serde(borrow)]
    target: Cow<'a, str>,
    #[serde(borrow)]
    reason: Cow<'a, str>,
}

impl<'a> Facts<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, RenderError> {
        serde_json::from_slice(body).map_err(|error| unreadable(&error))
    }

    /// The event in one line: `daily-summary: ok`, `daily-summary: error (timeout)`, `daily-summary: run missed`.
    pub(super) fn headline(&self, kind: &str) -> String {
        let name = if self.job_name.is_empty() { &self.job_id } else { &self.job_name };
        let subject = if name.is_empty() { Cow::Borrowed(kind) } else { Cow::Owned(one_line(name)) };
        match (&*self.status, &*self.error_reason) {
            ("", _) if name.is_empty() => subject.into_owned(),
            ("", _) => format!("{subject}: {}", kind.replace('.', " ")),
            (status, "") => format!("{subject}: {status}"),
            (status, reason) => format!("{subject}: {status} ({reason})"),
        }
    }

    /// What a person wants to read: why it failed, and what was put out; of a notice, why it came.
    pub(super) fn text(&self) -> Cow<'_, str> {
        if !self.message.is_empty() {
            return Cow::Borrowed(&self.message);
        }
        if let Some(failures) = self.failures {
            return Cow::Owned(format!("It succeeded after {failures} failures in a row."));
        }
        match (&*self.delivery.target, &*self.delivery.reason) {
            ("", _) => {}
            (target, reason) => return Cow::Owned(format!("To {target}: {reason}")),
        }
        if !self.reason.is_empty() {
            return Cow::Borrowed(&self.reason);
        }
        match (self.error.trim(), self.summary.trim()) {
            ("", summary) => Cow::Borrowed(summary),
            (error, "") => Cow::Borrowed(error),
            (error, summary) => Cow::Owned(format!("{error}\n\n{summary}")),
        }
    }

    pub(super) fn ended_at(&self) -> Option<UnixMs> {
        let duration = i64::try_from(self.duration_ms?).ok()?;
        Some(self.run_at_ms?.plus_millis(duration))
    }
}

/// Where the reading stopped, without what stood there.
pub(crate) fn unreadable(error: &serde_json::Error) -> RenderError {
    RenderError::Event(format!("line {}, column {}", error.line(), error.column()))
}
