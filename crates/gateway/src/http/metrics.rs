//! `/metrics`: how the gateway is, for Prometheus.
//!
//! The text format is small enough to be written here. Counters count from the start of the process, as Prometheus expects
//! them; labels are bounded, so that neither jobs nor runs are among them.

use std::fmt::{Display, Write as _};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::error::ApiError;
use super::query::{NoQuery, Query};
use crate::verbs::{Metrics, Verbs};

/// The format that is written.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The path, which needs the token like the API.
pub(super) const PATH: &str = "/metrics";

/// How the gateway is, in Prometheus' text format.
#[utoipa::path(
    get, path = "/metrics", tag = "gateway",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain"))
)]
pub(super) async fn metrics(State(verbs): State<Verbs>, _: Query<NoQuery>) -> Result<Response, ApiError> {
    Ok(([(CONTENT_TYPE, FORMAT)], exposition(&verbs.metrics().await?)).into_response())
}

/// The lines that are written.
#[derive(Default)]
struct Page(String);

impl Page {
    /// Begins a metric.
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.0, "{name}{labels} {value}").ok();
    }

    /// A gauge of one value.
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.metric(name, "gauge", help);
        self.sample(name, &[], value);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn exposition(metrics: &Metrics) -> String {
    let mut page = Page::default();
    page.metric("clawhook_build_info", "gauge", "The version; always 1.");
    page.sample("clawhook_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.gauge("clawhook_uptime_seconds", "How long the gateway has been running.", metrics.uptime.as_secs());
    page.gauge(
        "clawhook_healthy",
        "1 while nothing keeps the gateway from its work.",
        u8::from(metrics.healthy),
    );
    page.metric("clawhook_alarms", "gauge", "Alarms that are raised.");
    for (alarm, raised) in &metrics.alarms {
        page.sample("clawhook_alarms", &[("alarm", alarm)], raised);
    }
    runs(&mut page, metrics);
    spending(&mut page, metrics);
    deliveries(&mut page, metrics);
    page.0
}

fn runs(page: &mut Page, metrics: &Metrics) {
    let counts = &metrics.counts;
    page.metric("clawhook_runs_total", "counter", "Runs that ended, by status and class of error.");
    for ((status, class), runs) in &metrics.tally.runs {
        page.sample("clawhook_runs_total", &[("status", status), ("class", class)], runs);
    }
    page.metric(
        "clawhook_run_deferrals_total",
        "counter",
        "How often runs were put back, because they were asked to wait.",
    );
    page.sample("clawhook_run_deferrals_total", &[], metrics.tally.deferrals);
    page.metric(
        "clawhook_loops_broken_total",
        "counter",
        "How often work was refused, because it was too many hops away from its beginning.",
    );
    page.sample("clawhook_loops_broken_total", &[], counts.loops_broken);
    page.gauge("clawhook_runs_queued", "Runs that wait.", counts.runs_queued);
    page.gauge("clawhook_runs_running", "Runs under way.", counts.runs_running);
    page.gauge("clawhook_slots", "How many runs may be under way at once.", metrics.slots);
    page.gauge("clawhook_slots_used", "Slots that runs hold.", metrics.slots_used);
    page.metric("clawhook_jobs", "gauge", "Jobs, by whether they are run when due.");
    let off = counts.jobs.saturating_sub(counts.jobs_enabled);
    let on = counts.jobs_enabled.saturating_sub(counts.jobs_switched_off);
    for (state, jobs) in [("enabled", on), ("disabled", off), ("switched-off", counts.jobs_switched_off)] {
        page.sample("clawhook_jobs", &[("state", state)], jobs);
    }
}

fn spending(page: &mut Page, metrics: &Metrics) {
    let used = || metrics.tally.used.iter();
    page.metric("clawhook_tokens_total", "counter", "Tokens that runs used, by agent and model.");
    for ((agent, model), (usage, _)) in used() {
        for (kind, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
            let labels = [("agent", agent.as_str()), ("model", model.as_str()), ("kind", kind)];
            page.sample("clawhook_tokens_total", &labels, tokens);
        }
    }
    page.metric(
        "clawhook_cost_usd_total",
        "counter",
        "What they cost in US dollars, where prices are known.",
    );
    for ((agent, model), (_, usd)) in used() {
        let labels = [("agent", agent.as_str()), ("model", model.as_str())];
        page.sample("clawhook_cost_usd_total", &labels, usd.as_dollars());
    }
}

fn deliveries(page: &mut Page, metrics: &Metrics) {
    let counts = &metrics.counts;
    page.metric("clawhook_deliveries", "gauge", "Deliveries that are not delivered, by state.");
    let halted = counts.deliveries_halted;
    let waiting = counts.deliveries_open.saturating_sub(halted);
    for (state, deliveries) in [("open", waiting), ("halted", halted), ("dead", metrics.dead)] {
        page.sample("clawhook_deliveries", &[("state", state)], deliveries);
    }
    page.metric("clawhook_alerts", "gauge", "Alerts that are kept, by whether any route took them.");
    let alerts = &metrics.alerts;
    for (outcome, alerts) in
        [("delivered", alerts.delivered), ("pending", alerts.pending), ("dead", alerts.dead)]
    {
        page.sample("clawhook_alerts", &[("outcome", outcome)], alerts);
    }
    let overdue = metrics.oldest_overdue.as_secs();
    page.gauge(
        "clawhook_delivery_overdue_seconds",
        "For how long the longest overdue delivery has been due.",
        overdue,
    );
    page.gauge("clawhook_replays_running", "Replays that go on.", counts.replays_running);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_break_out_of_its_line() {
        let mut page = Page::default();
        page.sample("x", &[("model", "a\"b\\c\nd")], 1);
        assert_eq!(page.0, "x{model=\"a\\\"b\\\\c\\nd\"} 1\n");
    }
}
