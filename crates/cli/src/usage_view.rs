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
