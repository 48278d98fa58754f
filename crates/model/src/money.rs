//! What runs cost, and how much they may.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::definition_error::DefinitionError;
use crate::fields::Fields;
use crate::run::Usage;

const MICROS: f64 = 1_000_000.0;
/// More than anybody pays in a day; it keeps sums far from the edge of the type.
const MOST_USD: f64 = 1e9;

/// An amount of money in millionths of a US dollar. As JSON it is a number of dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(u64);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many millionths of a dollar.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The amount in millionths of a dollar.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// So many dollars, rounded to a millionth; none where that is no amount of money.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above and below")]
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        (0.0..=MOST_USD).contains(&dollars).then(|| Self((dollars * MICROS).round() as u64))
    }

    /// The amount in dollars.
    #[expect(clippy::cast_precision_loss, reason = "an amount has far fewer digits than a double holds")]
    pub fn as_dollars(self) -> f64 {
        self.0 as f64 / MICROS
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = self.as_dollars();
        if self.0.is_multiple_of(10_000) { write!(f, "${dollars:.2}") } else { write!(f, "${dollars:.6}") }
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_dollars())
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dollars = f64::deserialize(deserializer)?;
        Self::from_dollars(dollars).ok_or_else(|| serde::de::Error::custom("not an amount of dollars"))
    }
}

/// What a model's tokens cost, in dollars for a million of them (OpenClaw's `cost` of a model).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Price {
    /// Tokens read.
    pub input: f64,
    /// Tokens written.
    pub output: f64,
    /// Tokens read from the provider's cache.
    pub cache_read: f64,
    /// Tokens written to the provider's cache.
    pub cache_write: f64,
}

impl Price {
    /// What this use costs. Tokens read include those of the cache, as providers that bill by the token count them.
    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers of tokens have far fewer digits than a double holds"
    )]
    pub fn of(&self, usage: &Usage) -> Usd {
        let cached = usage.cache_read_tokens.saturating_add(usage.cache_write_tokens);
        let fresh = usage.input_tokens.saturating_sub(cached);
        let dollars = fresh as f64 * self.input
            + usage.output_tokens as f64 * self.output
            + usage.cache_read_tokens as f64 * self.cache_read
            + usage.cache_write_tokens as f64 * self.cache_write;
        Usd::from_dollars(dollars / 1e6).unwrap_or(Usd::ZERO)
    }
}

/// How much may be spent in a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Money.
    pub usd_per_day: Option<Usd>,
    /// Tokens, read and written.
    pub tokens_per_day: Option<u64>,
}

/// How much was spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Money.
    pub usd: Usd,
    /// Tokens, read and written.
    pub tokens: u64,
}

impl Budget {
    /// Whether it limits anything.
    pub fn is_limited(&self) -> bool {
        self.usd_per_day.is_some() || self.tokens_per_day.is_some()
    }

    /// What of it is used up once `spent` is spent, in words; none while some is left.
    pub fn used_up(&self, spent: &Spent) -> Option<String> {
        match (self.usd_per_day, self.tokens_per_day) {
            (Some(most), _) if spent.usd >= most => Some(format!("{} of {most} were spent today", spent.usd)),
            (_, Some(most)) if spent.tokens >= most => {
                Some(format!("{} of {most} tokens were used today", spent.tokens))
            }
            _ => None,
        }
    }

    /// Reads the `budget` of a job.
    pub(crate) fn parse(value: Value) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("budget", value)?;
        let usd_per_day = match fields.value("usdPerDay") {
            None => None,
            Some(value) => Some(value.as_f64().and_then(Usd::from_dollars).ok_or_else(|| {
                DefinitionError::invalid("budget.usdPerDay", format!("`{value}` is not an amount of dollars"))
            })?),
        };
        let budget = Self { usd_per_day, tokens_per_day: fields.count("tokensPerDay")? };
        fields.close(&[])?;
        Ok(budget)
    }

    pub(crate) fn to_json(self) -> Option<Value> {
        let mut out = Map::new();
        if let Some(usd) = self.usd_per_day {
            out.insert("usdPerDay".to_owned(), json!(usd));
        }
        if let Some(tokens) = self.tokens_per_day {
            out.insert("tokensPerDay".to_owned(), json!(tokens));
        }
        self.is_limited().then_some(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_counts_cached_tokens_at_their_own_rate_and_once() {
        let price = Price { input: 3.0, output: 15.0, cache_read: 0.3, cache_write: 3.75 };
        let usage = Usage {
            input_tokens: 1_000_000,
            output_tokens: 100_000,
            cache_read_tokens: 400_000,
            cache_write_tokens: 100_000,
            total_tokens: 1_100_000,
        };
        // 500,000 fresh at 3, 100,000 out at 15, 400,000 at 0.3 and 100,000 at 3.75 dollars a million.
        assert_eq!(price.of(&usage), Usd::from_dollars(1.5 + 1.5 + 0.12 + 0.375).unwrap());
    }

    #[test]
    fn a_budget_is_used_up_when_it_is_reached_and_says_by_what() {
        let budget = Budget { usd_per_day: Usd::from_dollars(1.0), tokens_per_day: Some(1_000) };
        let spent = |dollars, tokens| Spent { usd: Usd::from_dollars(dollars).unwrap(), tokens };
        assert_eq!(budget.used_up(&spent(0.999_999, 999)), None);
        assert_eq!(budget.used_up(&spent(1.0, 0)).as_deref(), Some("$1.00 of $1.00 were spent today"));
        assert_eq!(
            budget.used_up(&spent(0.0, 1_000)).as_deref(),
            Some("1000 of 1000 tokens were used today")
        );
        assert_eq!(Budget::default().used_up(&spent(1e6, u64::MAX)), None);
    }
}
