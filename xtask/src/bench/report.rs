//! What was measured: one figure a line, for people and for programs.

use std::fmt::Display;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// One measured figure.
#[derive(Debug)]
pub(super) struct Figure {
    /// Its name in the JSON report, such as `throughput.delivered`.
    pub(super) key: &'static str,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    /// What is to be said of it: a ratio, a budget.
    pub(super) note: String,
}

impl Figure {
    pub(super) fn new(key: &'static str, value: f64, unit: &'static str) -> Self {
        Self { key, value, unit, note: String::new() }
    }

    pub(super) fn ms(key: &'static str, time: Duration) -> Self {
        Self::new(key, time.as_secs_f64() * 1e3, "ms")
    }

    pub(super) fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Says whether the figure lies within its budget, and at which part of it.
    pub(super) fn against(self, budget: f64) -> Self {
        let verdict = if self.value <= budget { "met" } else { "MISSED" };
        let note = format!("budget {budget} {}: {verdict}, ratio {:.2}", self.unit, self.value / budget);
        self.noted(note)
    }

    /// Says what the figure is to be at the most, and whether it is.
    pub(super) fn at_most(self, aim: f64, what: impl Display) -> Self {
        let met = self.value <= aim;
        self.aimed("at most", aim, met, &what)
    }

    /// Says what the figure is to be at the least, and whether it is.
    pub(super) fn at_least(self, aim: f64, what: impl Display) -> Self {
        let met = self.value >= aim;
        self.aimed("at least", aim, met, &what)
    }

    fn aimed(self, bound: &str, aim: f64, met: bool, what: &dyn Display) -> Self {
        let verdict = if met { "met" } else { "MISSED" };
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        self.noted(format!("aim {bound} {aim}{unit}: {verdict}; {what}"))
    }
}

/// The figures as a table.
pub(super) fn table(figures: &[Figure]) -> String {
    let width = figures.iter().map(|figure| figure.key.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    let mut part = "";
    for Figure { key, value, unit, note } in figures {
        let of = key.split('.').next().unwrap_or_default();
        if of != part && !part.is_empty() {
            lines.push(String::new());
        }
        part = of;
        lines.push(format!("{key:width$}  {:>10} {unit:<8}  {note}", shown(*value)).trim_end().to_owned());
    }
    lines.join("\n")
}

/// The figures as JSON, under their names.
pub(super) fn to_json(figures: &[Figure]) -> Value {
    let entry = |figure: &Figure| {
        let value = json!({ "value": figure.value, "unit": figure.unit, "note": figure.note });
        (figure.key.to_owned(), value)
    };
    Value::Object(figures.iter().map(entry).collect::<Map<_, _>>())
}

fn shown(value: f64) -> String {
    match value {
        value if value >= 100.0 || value == value.trunc() => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// Times in order, to be asked for their quantiles.
#[derive(Debug)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn new(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last * percent).div_ceil(100)).copied().unwrap_or_default()
    }

    pub(super) fn median(&self) -> Duration {
        self.percentile(50)
    }

    pub(super) fn max(&self) -> Duration {
        self.percentile(100)
    }
}

/// The one in the middle.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// How many in how long, as a rate in a second.
#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than a double's digits")]
pub(super) fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

/// A count as a figure's value.
#[expect(clippy::cast_precision_loss, reason = "a figure needs no more than a double's digits")]
pub(super) fn number(count: usize) -> f64 {
    count as f64
}

/// KiB as MB, the unit of the budgets.
#[expect(clippy::cast_precision_loss, reason = "a figure needs no more than a double's digits")]
pub(super) fn megabytes(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let times = Times::new((1..=100).rev().map(Duration::from_millis));
        assert_eq!(times.median(), Duration::from_millis(51));
        assert_eq!(times.percentile(99), Duration::from_millis(100));
        assert_eq!(Times::new([]).max(), Duration::ZERO);
    }

    #[test]
    fn a_budget_is_met_up_to_its_very_value() {
        assert!(Figure::new("idle.ready", 100.0, "ms").against(100.0).note.contains("met, ratio 1.00"));
        assert!(Figure::new("idle.ready", 120.0, "ms").against(100.0).note.contains("MISSED, ratio 1.20"));
    }

    #[test]
    fn an_aim_is_met_from_its_very_value_on() {
        assert!(Figure::new("a.b", 0.9, "").at_least(0.9, "x").note.starts_with("aim at least 0.9: met; x"));
        assert!(Figure::new("a.b", 0.8, "").at_least(0.9, "x").note.contains("MISSED"));
        assert!(Figure::new("a.b", 20.0, "ms").at_most(20.0, "x").note.starts_with("aim at most 20 ms: met"));
        assert!(Figure::new("a.b", 21.0, "ms").at_most(20.0, "x").note.contains("MISSED"));
    }
}
