//! The flags that say what a result must be, what it may cost, and what is left of its run.

use std::path::Path;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::document;

/// What a result must be and what it may cost, as it is typed.
#[derive(Args)]
#[group(multiple = true)]
#[command(next_help_heading = "What it may cost, and what must come of it")]
pub(super) struct BoundsFlags {
    /// The JSON Schema that the result must fit: a file, `-` for standard input, or the schema itself
    #[arg(long, value_name = "FILE|JSON", value_parser = schema)]
    output_schema: Option<Value>,
    /// How many US dollars its runs may cost in a day
    #[arg(long, value_name = "USD", value_parser = dollars)]
    budget_usd: Option<f64>,
    /// How many tokens its runs may use in a day
    #[arg(long, value_name = "N")]
    budget_tokens: Option<u64>,
    /// What becomes of a run's own session once everything is delivered
    #[arg(long, value_name = "WHAT")]
    cleanup: Option<Cleanup>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cleanup {
    Keep,
    Delete,
}

impl BoundsFlags {
    /// The members of the API's JSON that are given.
    pub(super) fn read(&self) -> Map<String, Value> {
        let cleanup = self.cleanup.map(|cleanup| match cleanup {
            Cleanup::Keep => "keep",
            Cleanup::Delete => "delete",
        });
        let budget = given([
            ("usdPerDay", self.budget_usd.map(|usd| json!(usd))),
            ("tokensPerDay", self.budget_tokens.map(|tokens| json!(tokens))),
        ]);
        given([
            ("outputSchema", self.output_schema.clone()),
            ("budget", (!budget.is_empty()).then_some(Value::Object(budget))),
            ("cleanup", cleanup.map(|cleanup| json!(cleanup))),
        ])
    }
}

/// The members that have a value.
fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// A text that begins like an object is the schema, any other names the file that holds it.
fn schema(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"));
    }
    document::parse(Path::new(text))
}

fn dollars(text: &str) -> Result<f64, &'static str> {
    text.parse()
        .ok()
        .filter(|usd: &f64| usd.is_finite() && *usd >= 0.0)
        .ok_or("expected an amount such as 2.50")
}
