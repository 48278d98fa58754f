//! The findings, for people and for programs.

use std::fmt;

use clawhook_model::{AttemptReport, UnixMs};
use serde_json::{Value, json};

use super::judge::{Judgement, Verdict};
use crate::moment;
use crate::output::printable;
use crate::table::{self, Column};

/// What became of one case.
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) sent: &'static str,
    pub(super) expected: &'static str,
    pub(super) came: String,
    pub(super) statuses: Vec<u16>,
    pub(super) judgement: Judgement,
}

impl Finding {
    /// A case that was not tried.
    pub(super) fn skipped(name: &'static str, sent: &'static str, expected: &'static str) -> Self {
        let judgement = Judgement { verdict: Verdict::Skipped, advice: None };
        Self { name, sent, expected, came: "not tried".to_owned(), statuses: Vec::new(), judgement }
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "sent": self.sent,
            "expected": self.expected,
            "came": self.came,
            "statuses": self.statuses,
            "verdict": self.judgement.verdict,
            "advice": self.judgement.advice,
        })
    }
}

/// How long good events took to be answered, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Latency {
    p50: u64,
    p90: u64,
    p99: u64,
    slowest: u64,
}

impl Latency {
    /// The percentiles of these answers, by nearest rank; none of none.
    pub(super) fn of<'a>(answers: impl Iterator<Item = &'a AttemptReport>) -> Option<Self> {
        let mut micros: Vec<u64> = answers.map(|answer| answer.timings.total_us).collect();
        micros.sort_unstable();
        let slowest = *micros.last()?;
        let rank = |percent: usize| micros[(micros.len() * percent).div_ceil(100).max(1) - 1] / 1_000;
        Some(Self { p50: rank(50), p90: rank(90), p99: rank(99), slowest: slowest / 1_000 })
    }

    fn to_json(self) -> Value {
        json!({ "p50": self.p50, "p90": self.p90, "p99": self.p99, "slowest": self.slowest })
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99, slowest] = [self.p50, self.p90, self.p99, self.slowest].map(moment::length);
        write!(f, "half within {p50}, 90 % within {p90}, 99 % within {p99}, the slowest {slowest}")
    }
}

/// All that was found out about an endpoint.
pub(super) struct Findings {
    url: String,
    started_at: UnixMs,
    cases: Vec<Finding>,
    pub(super) latency: Option<Latency>,
}

impl Findings {
    /// Nothing yet; `url` is shown, so it has no secrets.
    pub(super) fn new(url: String, started_at: UnixMs) -> Self {
        Self { url, started_at, cases: Vec::new(), latency: None }
    }

    pub(super) fn push(&mut self, finding: Finding) {
        self.cases.push(finding);
    }

    /// The worst of all cases.
    pub(super) fn verdict(&self) -> Verdict {
        self.cases.iter().map(|case| case.judgement.verdict).max().unwrap_or(Verdict::Skipped)
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|case| case.judgement.verdict == verdict).count()
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "url": self.url,
            "startedAt": self.started_at.to_rfc3339(),
            "verdict": self.verdict(),
            "cases": self.cases.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "latencyMs": self.latency.map(Latency::to_json),
        })
    }

    /// For people: a line for each case, then the advice, then the sum.
    pub(super) fn to_text(&self) -> String {
        let mut text = table::render(&COLUMNS, self.cases.iter().map(row).collect());
        text.push('\n');
        for case in &self.cases {
            if let Judgement { verdict, advice: Some(advice) } = &case.judgement {
                text.push_str(&format!("\n{} {}: {}\n", verdict.as_str(), case.name, printable(advice)));
            }
        }
        text.push_str(&format!("\n{}: {}\n", self.url, self.sum()));
        text
    }

    fn sum(&self) -> String {
        let counts = [
            (Verdict::Pass, "passed"),
            (Verdict::Warn, "with a warning"),
            (Verdict::Fail, "failed"),
            (Verdict::Skipped, "not tried"),
        ];
        let words: Vec<String> = counts
            .into_iter()
            .map(|(verdict, word)| (self.count(verdict), word))
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        words.join(", ")
    }
}

const COLUMNS: [Column; 5] = [
    Column::whole("Verdict"),
    Column::whole("Case"),
    Column::optional("Sent", 20, 2),
    Column::optional("Expected", 10, 1),
    Column::cut("Came", 12),
];

fn row(case: &Finding) -> Vec<String> {
    [case.judgement.verdict.as_str(), case.name, case.sent, case.expected, &case.came]
        .map(str::to_owned)
        .to_vec()
}

#[cfg(test)]
mod tests {
    use clawhook_model::{AttemptClass, PhaseTimings};

    use super::*;

    fn took(micros: u64) -> AttemptReport {
        AttemptReport::failed(
            AttemptClass::Delivered,
            "",
            PhaseTimings { total_us: micros, ..PhaseTimings::default() },
        )
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let answers: Vec<AttemptReport> = (1..=20).rev().map(|millis| took(millis * 1_000)).collect();
        let latency = Latency::of(answers.iter()).unwrap();
        assert_eq!(latency, Latency { p50: 10, p90: 18, p99: 20, slowest: 20 });
        let one = [took(7_900)];
        assert_eq!(Latency::of(one.iter()).unwrap(), Latency { p50: 7, p90: 7, p99: 7, slowest: 7 });
        assert_eq!(Latency::of([].iter()), None);
    }

    #[test]
    fn the_worst_case_is_the_endpoints_verdict() {
        let mut findings = Findings::new("https://example.com/".to_owned(), UnixMs::EPOCH);
        for (judgement, verdict) in [
            (Judgement::pass(), Verdict::Pass),
            (Judgement::warn("w"), Verdict::Warn),
            (Judgement::fail("f"), Verdict::Fail),
            (Judgement::pass(), Verdict::Fail),
        ] {
            let came = String::new();
            findings.push(Finding { name: "n", sent: "s", expected: "e", came, statuses: vec![], judgement });
            assert_eq!(findings.verdict(), verdict);
        }
        assert!(findings.to_text().ends_with("https://example.com/: 2 passed, 1 with a warning, 1 failed\n"));
    }
}
