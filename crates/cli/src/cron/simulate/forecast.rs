//! What the imagined runs may be expected to cost, by the mean of the job's last ones, and when its budget would be used up.

use std::collections::BTreeMap;

use clawhook_model::{Budget, UnixMs, Usd};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::report::Line;
use crate::view::{self, BudgetTodayView, ForecastView};

/// What is known of a job's costs.
pub(super) struct Costs {
    /// What its last runs used.
    pub(super) forecast: ForecastView,
    /// What of its budget is spent today.
    pub(super) today: Option<BudgetTodayView>,
    /// Its budget.
    pub(super) budget: Budget,
    /// The zone of the gateway's host, by whose days budgets go.
    pub(super) zone: TimeZone,
}

/// What is to be expected.
pub(super) struct Expected {
    runs: u64,
    /// Tokens and money; none where no run has used any.
    tokens: Option<u64>,
    usd: Option<Usd>,
    based_on_runs: u64,
    /// When a day's budget would be used up, the first time.
    used_up_at: Option<UnixMs>,
}

impl Costs {
    /// What is to be expected of these lines; `now` is the day of which something is spent already.
    pub(super) fn expected(&self, lines: &[Line], now: UnixMs) -> Expected {
        let begins: Vec<UnixMs> = lines.iter().filter(|line| line.begins_a_run()).map(Line::at).collect();
        let runs = u64::try_from(begins.len()).unwrap_or(u64::MAX);
        let per_run = self.forecast.usd_per_run.and_then(Usd::from_dollars);
        Expected {
            runs,
            tokens: self.forecast.tokens_per_run.map(|tokens| tokens.saturating_mul(runs)),
            usd: per_run.map(|usd| Usd::from_micros(usd.as_micros().saturating_mul(runs))),
            based_on_runs: self.forecast.based_on_runs,
            used_up_at: self.used_up(&begins, now),
        }
    }

    /// The first run after which a day's budget is used up.
    fn used_up(&self, begins: &[UnixMs], now: UnixMs) -> Option<UnixMs> {
        let tokens = self.forecast.tokens_per_run?;
        let usd = self.forecast.usd_per_run.and_then(Usd::from_dollars).unwrap_or_default();
        let mut days: BTreeMap<Date, clawhook_model::Spent> = BTreeMap::new();
        if let (Some(today), Some(day)) = (&self.today, self.day(now)) {
            let spent = days.entry(day).or_default();
            spent.tokens = today.spent_tokens;
            spent.usd = Usd::from_dollars(today.spent_usd).unwrap_or_default();
        }
        begins.iter().copied().find(|at| {
            let Some(day) = self.day(*at) else { return false };
            let spent = days.entry(day).or_default();
            spent.tokens = spent.tokens.saturating_add(tokens);
            spent.usd += usd;
            self.budget.used_up(spent).is_some()
        })
    }

    fn day(&self, at: UnixMs) -> Option<Date> {
        let at = Timestamp::from_millisecond(at.as_millis()).ok()?;
        Some(self.zone.to_datetime(at).date())
    }
}

impl Expected {
    /// In a line, for people.
    pub(super) fn text(&self) -> String {
        let Some(tokens) = self.tokens else { return format!("expected: {}", view::NO_HISTORY) };
        let usd = self.usd.map(|usd| format!(" and {}", view::dollars(usd.as_dollars()))).unwrap_or_default();
        let (runs, based_on) = (self.runs, self.based_on_runs);
        format!("expected: {tokens} tokens{usd} for {runs} runs, by the mean of the last {based_on}")
    }

    /// What a person should know about the budget.
    pub(super) fn note(&self) -> Option<String> {
        let at = self.used_up_at?;
        Some(format!(
            "the day's budget would be used up by the run of {at}; what is due after it on that day is skipped"
        ))
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "runs": self.runs, "basedOnRuns": self.based_on_runs, "tokens": self.tokens, "usd": self.usd,
            "budgetUsedUpAt": self.used_up_at.map(UnixMs::to_rfc3339),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(tokens: Option<u64>, usd: Option<f64>, budget: Budget, spent: u64) -> Costs {
        let forecast = json!({ "basedOnRuns": 4, "tokensPerRun": tokens, "usdPerRun": usd });
        let today = json!({ "spentUsd": 0.0, "spentTokens": spent });
        Costs {
            forecast: serde_json::from_value(forecast).unwrap(),
            today: Some(serde_json::from_value(today).unwrap()),
            budget,
            zone: TimeZone::UTC,
        }
    }

    fn hours(count: i64) -> Vec<UnixMs> {
        (1..=count).map(|hour| UnixMs::from_millis(hour * 3_600_000)).collect()
    }

    #[test]
    fn a_budget_is_used_up_by_the_first_run_that_reaches_it_and_each_day_begins_anew() {
        let budget = Budget { tokens_per_day: Some(1000), ..Budget::default() };
        let now = UnixMs::EPOCH;
        assert_eq!(costs(Some(300), None, budget, 0).used_up(&hours(30), now), Some(hours(4)[3]));
        assert_eq!(costs(Some(300), None, budget, 500).used_up(&hours(30), now), Some(hours(2)[1]));
        // 23 runs are due on the first day, and 24 on the next.
        let wide = Budget { tokens_per_day: Some(2400), ..Budget::default() };
        assert_eq!(costs(Some(100), None, wide, 0).used_up(&hours(60), now), Some(hours(47)[46]));
        assert_eq!(costs(None, None, budget, 0).used_up(&hours(30), now), None);
        let money = Budget { usd_per_day: Usd::from_dollars(1.0), ..Budget::default() };
        assert_eq!(costs(Some(1), Some(0.5), money, 0).used_up(&hours(9), now), Some(hours(2)[1]));
        assert_eq!(costs(Some(1), None, money, 0).used_up(&hours(9), now), None, "no price is known");
    }

    #[test]
    fn with_no_history_nothing_is_foretold() {
        let expected = costs(None, None, Budget::default(), 0).expected(&[], UnixMs::EPOCH);
        assert_eq!(expected.text(), format!("expected: {}", view::NO_HISTORY));
        assert_eq!(expected.json()["tokens"], Value::Null);
    }
}
