//! Sends everything, in order, and judges what comes.

use clawhook_clock::Clock;
use clawhook_delivery::{ConnectionProfile, Transport};
use clawhook_model::{AttemptClass, AttemptReport, UnixMs, WebhookUrl};
use thiserror::Error;
use tokio::task::JoinSet;

use super::case::{CASES, Case, GOOD};
use super::effects::Effects;
use super::judge::{Expectation, Judgement, Verdict};
use super::message::{Message, Messages};
use super::report::{Finding, Findings, Latency};
use crate::output::Progress;

/// How many good events the time of an answer is measured with.
const MEASURED: usize = 20;
/// How many of them may fail before the measurement is given up.
const MOST_FAILURES: usize = 3;
/// How many are sent at once.
const AT_ONCE: usize = 10;
/// How much older the event is that comes after a newer one.
const OLDER: i64 = 3_600_000;

/// The endpoint could not be asked at all.
#[derive(Debug, Error)]
#[error("{url} could not be reached: {why}")]
pub(super) struct Unreached {
    url: String,
    why: String,
}

/// Examines one endpoint.
pub(super) struct Examiner<'a> {
    url: WebhookUrl,
    messages: Messages,
    transport: Transport,
    effects: Option<Effects>,
    clock: &'a dyn Clock,
    progress: Progress,
}

impl<'a> Examiner<'a> {
    /// An examiner that has sent nothing yet.
    pub(super) fn new(
        url: WebhookUrl,
        messages: Messages,
        transport: Transport,
        effects: Option<Effects>,
        clock: &'a dyn Clock,
    ) -> Self {
        Self { url, messages, transport, effects, clock, progress: Progress::new() }
    }

    /// Everything in order. While a good event is not accepted, the rest would say nothing.
    pub(super) async fn examine(&mut self) -> Result<Findings, Unreached> {
        let started_at = self.clock.now();
        let mut findings = Findings::new(self.url.to_string(), started_at);
        let (finding, accepted) = self.try_good().await?;
        findings.push(finding);
        if !accepted {
            for (name, sent, expected) in every_other() {
                findings.push(Finding::skipped(name, sent, expected));
            }
            return Ok(findings);
        }
        findings.push(self.try_repeated().await);
        findings.push(self.try_reordered().await);
        for case in &CASES {
            findings.push(self.try_case(case).await.0);
        }
        let (finding, latency) = self.measure().await;
        findings.push(finding);
        findings.latency = latency;
        findings.push(self.try_at_once().await);
        Ok(findings)
    }

    /// The good event, and whether it was accepted. Whatever keeps it from that is a failure, being busy too: nothing
    /// else can be found out.
    async fn try_good(&mut self) -> Result<(Finding, bool), Unreached> {
        let (mut finding, came) = self.try_case(&GOOD).await;
        match came.class {
            AttemptClass::Blocked
            | AttemptClass::DnsNotFound
            | AttemptClass::DnsFailed
            | AttemptClass::ConnectFailed
            | AttemptClass::ConnectTimeout
            | AttemptClass::TlsFailed => {
                Err(Unreached { url: self.url.to_string(), why: came.error.unwrap_or_default() })
            }
            AttemptClass::Delivered => Ok((finding, true)),
            _ => {
                finding.judgement.verdict = Verdict::Fail;
                Ok((finding, false))
            }
        }
    }

    async fn try_case(&mut self, case: &Case) -> (Finding, AttemptReport) {
        self.progress.show(case.name);
        let message = (case.make)(&self.messages, self.clock.now());
        let came = self.send(&message).await;
        let judgement = case.expectation.judge(&came, case.advice);
        let finding = Finding {
            name: case.name,
            sent: case.sent,
            expected: case.expectation.as_str(),
            came: came_in_words(&came),
            statuses: came.status.into_iter().collect(),
            judgement,
        };
        (finding, came)
    }

    async fn try_repeated(&mut self) -> Finding {
        let (name, sent, expected) = REPEATED;
        self.progress.show(name);
        let event = self.messages.samples().good(self.now());
        let first = self.send(&self.messages.signed_at(&event, self.now())).await;
        let second = self.send(&self.messages.signed_at(&event, self.now()).with_attempt(2)).await;
        let mut judgement = judge_all([&first, &second], REPEAT_REFUSED);
        let mut came = format!("{}; then {}", came_in_words(&first), came_in_words(&second));
        came.push_str(if same_answer(&first, &second) { "; the same answer" } else { "; another answer" });
        if let Some(effects) = &self.effects {
            let (words, proof) = self.processed_once(effects).await;
            came.push_str(&words);
            judgement = judgement.and(proof);
        }
        let statuses = [&first, &second].into_iter().filter_map(|report| report.status).collect();
        Finding { name, sent, expected, came, statuses, judgement }
    }

    /// Whether the repeated event was processed once; the good one before it, which was accepted, counts too.
    async fn processed_once(&self, effects: &Effects) -> (String, Judgement) {
        match effects.since_start(1 + 1, self.transport.total_timeout()).await {
            Ok(0 | 1) => ("; processed never".to_owned(), Judgement::fail(NEVER_PROCESSED)),
            Ok(2) => ("; processed once".to_owned(), Judgement::pass()),
            Ok(more) => (format!("; processed {} times", more - 1), Judgement::fail(PROCESSED_AGAIN)),
            Err(error) => (String::new(), Judgement::warn(error.to_string())),
        }
    }

    async fn try_reordered(&mut self) -> Finding {
        let (name, sent, expected) = REORDERED;
        self.progress.show(name);
        let samples = self.messages.samples();
        let newer = samples.good(self.now());
        let older = samples.good(self.now().plus_millis(-OLDER));
        let first = self.send(&self.messages.signed_at(&newer, self.now())).await;
        let second = self.send(&self.messages.signed_at(&older, self.now()).with_attempt(3)).await;
        let judgement = judge_all([&first, &second], ORDER_REFUSED);
        let came = format!("{}; then {}", came_in_words(&first), came_in_words(&second));
        let statuses = [&first, &second].into_iter().filter_map(|report| report.status).collect();
        Finding { name, sent, expected, came, statuses, judgement }
    }

    async fn measure(&mut self) -> (Finding, Option<Latency>) {
        let (name, sent, expected) = LATENCY;
        let mut reports = Vec::with_capacity(MEASURED);
        let mut failures = 0;
        while reports.len() < MEASURED && failures < MOST_FAILURES {
            self.progress.show(&format!("{name} {}/{MEASURED}", reports.len() + 1));
            let message = self.messages.signed_at(&self.messages.samples().good(self.now()), self.now());
            let came = self.send(&message).await;
            failures += usize::from(!came.class.is_delivered());
            reports.push(came);
        }
        let judgement = judge_all(&reports, GOOD.advice);
        let latency = Latency::of(reports.iter().filter(|report| report.class.is_delivered()));
        let accepted = accepted_of(&reports);
        let came = match &latency {
            Some(latency) => format!("{accepted}; {latency}"),
            None => accepted,
        };
        (Finding { name, sent, expected, came, statuses: statuses_of(&reports), judgement }, latency)
    }

    async fn try_at_once(&mut self) -> Finding {
        let (name, sent, expected) = AT_ONCE_CASE;
        self.progress.show(name);
        let mut under_way = JoinSet::new();
        for _ in 0..AT_ONCE {
            let message = self.messages.signed_at(&self.messages.samples().good(self.now()), self.now());
            let (transport, url) = (self.transport.clone(), self.url.clone());
            under_way.spawn(async move { send(&transport, &message, &url).await });
        }
        let reports = under_way.join_all().await;
        let judgement = judge_all(&reports, OVERWHELMED);
        Finding {
            name,
            sent,
            expected,
            came: accepted_of(&reports),
            statuses: statuses_of(&reports),
            judgement,
        }
    }

    async fn send(&self, message: &Message) -> AttemptReport {
        send(&self.transport, message, &self.url).await
    }

    fn now(&self) -> UnixMs {
        self.clock.now()
    }
}

type Words = (&'static str, &'static str, &'static str);

const REPEATED: Words = ("repeated", "the same event twice, under the same id", "2xx twice");
const REORDERED: Words = ("reordered", "an older event after a newer one", "2xx twice");
const LATENCY: Words = ("latency", "20 good events one after the other", "2xx, each within 5s");
const AT_ONCE_CASE: Words = ("concurrency", "10 good events at once", "2xx ten times");

const REPEAT_REFUSED: &str = "An event that comes again must be answered with 2xx, although nothing is to be done: the \
                              sender has missed the first answer, and would send it for days.";
const NEVER_PROCESSED: &str = "The event was accepted, and the count of processed events did not grow. Either the \
                               work is not done, or --effects-url counts something else.";
const PROCESSED_AGAIN: &str = "Events arrive at least once. Remember each `webhook-id`, and do nothing for one that \
                               you know. (If other events came in meanwhile, try again without them.)";
const ORDER_REFUSED: &str = "A retry can come after newer events. Accept it; if only the newest state counts, compare \
                             `runAtMs` afterwards.";
const OVERWHELMED: &str = "Several jobs can end at the same moment. Let the endpoint take ten requests at once, or \
                           answer 429 with `Retry-After`.";

/// What is not tried where the first event is not accepted.
fn every_other() -> impl Iterator<Item = Words> {
    let singles = CASES.iter().map(|case| (case.name, case.sent, case.expectation.as_str()));
    [REPEATED, REORDERED].into_iter().chain(singles).chain([LATENCY, AT_ONCE_CASE])
}

/// The worst of what several good events came to.
fn judge_all<'a>(reports: impl IntoIterator<Item = &'a AttemptReport>, advice: &str) -> Judgement {
    reports
        .into_iter()
        .map(|report| Expectation::Accepted.judge(report, advice))
        .fold(Judgement::pass(), Judgement::and)
}

fn same_answer(first: &AttemptReport, second: &AttemptReport) -> bool {
    first.status == second.status && first.response_body == second.response_body
}

fn came_in_words(report: &AttemptReport) -> String {
    let took = crate::moment::length(report.timings.total_us / 1_000);
    match (report.status, &report.error) {
        (Some(status), _) => format!("{status} in {took}"),
        (None, Some(error)) => error.clone(),
        (None, None) => format!("nothing in {took}"),
    }
}

fn accepted_of(reports: &[AttemptReport]) -> String {
    let accepted = reports.iter().filter(|report| report.class.is_delivered()).count();
    let other = reports.iter().find(|report| !report.class.is_delivered());
    let other = other.map(|report| format!("; also {}", came_in_words(report))).unwrap_or_default();
    format!("{accepted} of {} accepted{other}", reports.len())
}

fn statuses_of(reports: &[AttemptReport]) -> Vec<u16> {
    reports.iter().filter_map(|report| report.status).collect()
}

/// Sends a message as the gateway sends to a URL that has no settings of its own.
async fn send(transport: &Transport, message: &Message, url: &WebhookUrl) -> AttemptReport {
    transport.send(message.to(url, &ConnectionProfile::default())).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let names: Vec<&str> = every_other().map(|(name, ..)| name).chain([GOOD.name]).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    }

    #[test]
    fn the_documentation_names_every_case_and_no_others_in_the_order_in_which_they_are_tried() {
        let docs = include_str!("../../../../docs/conformance.md");
        let table = docs
            .lines()
            .skip_while(|line| *line != "## The cases")
            .take_while(|line| *line != "## Is a repeat done once?");
        let documented: Vec<&str> =
            table.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        let tried: Vec<&str> = [GOOD.name].into_iter().chain(every_other().map(|(name, ..)| name)).collect();
        assert_eq!(documented, tried);
    }

    #[test]
    fn the_limit_of_slowness_is_told_as_it_is() {
        let limit = crate::moment::length(super::super::judge::SLOW.as_millis() as u64);
        assert!(LATENCY.2.contains(&limit), "{limit}");
        assert!(LATENCY.1.contains(&MEASURED.to_string()) && AT_ONCE_CASE.1.contains(&AT_ONCE.to_string()));
    }
}
