//! What the commands read of waiting and spending in the API's answers.

use clawhook_model::{UnixMs, Usd};
use serde::Deserialize;

/// What a queued run waits for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaitsView {
    #[serde(default)]
    pub(crate) ready_at_ms: Option<UnixMs>,
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) deferred: bool,
}

/// The tokens of a run.
#[derive(Deserialize)]
pub(crate) struct TokensView {
    #[serde(default)]
    pub(crate) total_tokens: u64,
}

/// What was spent in a stretch of days.
#[derive(Deserialize)]
pub(crate) struct UsageView {
    #[serde(default)]
    pub(crate) from: String,
    #[serde(default)]
    pub(crate) to: String,
    pub(crate) rows: Vec<UsageRowView>,
    pub(crate) total: UsedView,
}

/// What was spent on one day, by one job or agent, or with one model.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageRowView {
    #[serde(default)]
    day: Option<String>,
    #[serde(default)]
    job_id: Option<String>,
    #[serde(default)]
    agent_id: Option<String>,
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(flatten)]
    pub(crate) used: UsedView,
}

impl UsageRowView {
    /// What the row is for.
    pub(crate) fn title(&self) -> String {
        let model = || {
            let names = [&self.provider, &self.model].map(|name| name.as_deref().unwrap_or_default());
            names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join("/")
        };
        [&self.day, &self.job_id, &self.agent_id].into_iter().flatten().next().cloned().unwrap_or_else(model)
    }
}

/// What was used, and what it cost.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsedView {
    #[serde(default)]
    pub(crate) runs: u64,
    #[serde(default)]
    pub(crate) unpriced_runs: u64,
    #[serde(default)]
    pub(crate) input_tokens: u64,
    #[serde(default)]
    pub(crate) output_tokens: u64,
    #[serde(default)]
    pub(crate) total_tokens: u64,
    #[serde(default)]
    pub(crate) cost_usd: Option<f64>,
}

/// What of a job's budget is spent today.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BudgetTodayView {
    #[serde(default)]
    pub(crate) spent_usd: f64,
    #[serde(default)]
    pub(crate) spent_tokens: u64,
    #[serde(default)]
    pub(crate) used_up: Option<String>,
}

impl BudgetTodayView {
    /// What is spent, in a few words.
    pub(crate) fn text(&self) -> String {
        let spent = format!("{}, {} tokens spent today", dollars(self.spent_usd), self.spent_tokens);
        if self.used_up.is_some() { format!("{spent}: used up") } else { spent }
    }
}

/// What a job's runs may be expected to use.
#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ForecastView {
    #[serde(default)]
    pub(crate) based_on_runs: u64,
    #[serde(default)]
    pub(crate) tokens_per_run: Option<u64>,
    #[serde(default)]
    pub(crate) usd_per_run: Option<f64>,
    #[serde(default)]
    pub(crate) runs_per_day: u64,
    #[serde(default)]
    pub(crate) tokens_per_day: Option<u64>,
    #[serde(default)]
    pub(crate) usd_per_day: Option<f64>,
}

impl ForecastView {
    /// What is to be expected of a day, in a line.
    pub(crate) fn text(&self) -> String {
        let Some(tokens) = self.tokens_per_day else { return NO_HISTORY.to_owned() };
        let usd = self.usd_per_day.map(|usd| format!(", {}", dollars(usd))).unwrap_or_default();
        let (runs, based_on) = (self.runs_per_day, self.based_on_runs);
        format!("{tokens} tokens{usd} in the next 24 hours ({runs} runs, by the mean of the last {based_on})")
    }
}

/// What is said where nothing can be.
pub(crate) const NO_HISTORY: &str = "nothing can be said yet: no run of it has used tokens";

/// An amount of money, as precise as it must be to be told from nothing.
pub(crate) fn dollars(amount: f64) -> String {
    match Usd::from_dollars(amount) {
        Some(usd) if usd == Usd::ZERO || amount >= 0.01 => format!("${amount:.2}"),
        Some(usd) => usd.to_string(),
        None => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_amounts_are_told_from_nothing() {
        assert_eq!([0.0, 0.000_017, 0.5, 12.345].map(dollars), ["$0.00", "$0.000017", "$0.50", "$12.35"]);
    }
}
