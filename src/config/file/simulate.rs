//! `simulate`: how the built-in provider behaves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::formats::Decimal;
use super::super::units::Span;

/// Settings of the built-in simulated provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Simulate {
    /// Time to the first byte.
    pub delay: Span,
    /// Speed of streams; 0 means as fast as it goes.
    pub tokens_per_second: u32,
    /// Length of an answer, in tokens.
    pub output_tokens: u32,
    /// Share of calls that fail, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub error_rate: f64,
    /// Status of failed calls.
    #[schemars(range(min = 400, max = 599))]
    pub error_status: u16,
    /// Price per million input tokens in dollars, stated in `usage.cost`, as a decimal such as "0.15".
    #[schemars(with = "Option<Decimal>")]
    pub input_price: Option<String>,
    /// Price per million output tokens in dollars.
    #[schemars(with = "Option<Decimal>")]
    pub output_price: Option<String>,
    /// Seed of the text and of failures.
    pub seed: u64,
}

impl Default for Simulate {
    fn default() -> Self {
        Self {
            delay: Span::millis(0),
            tokens_per_second: 0,
            output_tokens: 50,
            error_rate: 0.0,
            error_status: 500,
            input_price: None,
            output_price: None,
            seed: 0,
        }
    }
}
