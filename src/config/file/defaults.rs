//! `defaults`: the timeouts, retries and health rules that routes and providers inherit or say for themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::units::Span;

/// What routes and providers inherit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// Timeouts of upstream calls.
    pub timeouts: Timeouts,
    /// Retries and fallback.
    pub retry: Retry,
    /// When a target is taken out of service.
    pub health: Health,
}

/// Timeouts of upstream calls. What is left out is inherited: route, then provider, then defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// TCP and TLS connect. Default 5s.
    pub connect: Option<Span>,
    /// From the request sent to the response's first byte. Default 120s.
    pub first_byte: Option<Span>,
    /// Between two chunks of a response. Default 120s.
    pub idle: Option<Span>,
    /// The whole call with all its attempts. Calls that are passed through unread (uploads, downloads, tunnels) may take as
    /// long as they go on: `idle` bounds them. Default 600s.
    pub total: Option<Span>,
}

/// What holds where no layer says anything; the doc comments of the fields repeat it for the file's author.
impl Timeouts {
    /// `connect`
    pub const CONNECT: Span = Span::secs(5);
    /// `first_byte`
    pub const FIRST_BYTE: Span = Span::secs(120);
    /// `idle`
    pub const IDLE: Span = Span::secs(120);
    /// `total`
    pub const TOTAL: Span = Span::secs(600);
}

/// Retries and fallback.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Outcomes after which the next attempt is made. Default: all.
    pub on: Option<Vec<RetryOn>>,
    /// Attempts at one target before the next target is tried. Default 1.
    #[schemars(range(min = 1, max = 100))]
    pub attempts_per_target: Option<u32>,
    /// Attempts in all. Default 4.
    #[schemars(range(min = 1, max = 1000))]
    pub max_attempts: Option<u32>,
    /// Wait before a further attempt at the same target, doubled each time, with full jitter. Default 200ms.
    pub backoff: Option<Span>,
    /// No wait is longer. Also the longest `Retry-After` that is honoured; a longer one moves on to the next target.
    /// Default 2s.
    pub max_backoff: Option<Span>,
    /// Further attempts at a provider that has just failed the same call, as a share of calls in the last ten seconds,
    /// before they stop. Default 0.2; at least 10 are always allowed. Falling back to another provider is not counted.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub budget: Option<f64>,
}

/// What holds where no layer says anything.
impl Retry {
    /// `attempts_per_target`
    pub const ATTEMPTS_PER_TARGET: u32 = 1;
    /// `max_attempts`
    pub const MAX_ATTEMPTS: u32 = 4;
    /// `backoff`
    pub const BACKOFF: Span = Span::millis(200);
    /// `max_backoff`
    pub const MAX_BACKOFF: Span = Span::secs(2);
}

/// An outcome after which the next attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// No connection.
    Connect,
    /// No first byte in time.
    Timeout,
    /// 429.
    RateLimited,
    /// 500 to 599, 529 included.
    ServerError,
    /// The connection broke, or the answer was garbage, or an error event came in the stream, before any content.
    Broken,
    /// 401 or 403: the provider refuses our key.
    Unauthorized,
    /// 404: the provider does not know the model.
    NotFound,
}

/// When a target is taken out of service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// Failures in a row that eject a target. 0 turns this off. Default 5.
    pub consecutive_failures: Option<u32>,
    /// Share of failed calls, over the last minute and at least 20 calls, that ejects a target. Default 0.5.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub error_rate: Option<f64>,
    /// First ejection; doubled with each further one in a row. Default 5s.
    pub eject: Option<Span>,
    /// No ejection is longer. Default 300s.
    pub max_eject: Option<Span>,
}

/// What holds where no layer says anything.
impl Health {
    /// `eject`
    pub const EJECT: Span = Span::secs(5);
    /// `max_eject`
    pub const MAX_EJECT: Span = Span::secs(300);
}
