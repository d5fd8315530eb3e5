//! The usage record: one JSON line per call. Its fields are a public interface, documented in docs/usage-records.md.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use super::clock::rfc3339;
use super::exchange::{Attempt, Call};
use super::outcome::Outcome;
use crate::chat::{Usage, UsageReport};

/// One call, as it is written. Absent facts are `null`, never zero.
#[derive(Debug, Serialize)]
pub struct Record<'a> {
    /// When the call was accepted, RFC 3339 in UTC.
    pub time: String,
    /// The id that client and provider were sent.
    pub request_id: &'a str,
    /// The trace that the call belongs to, where there is one.
    pub trace_id: Option<String>,
    /// Who called.
    pub app: Cow<'a, str>,
    /// The client's wire format.
    pub dialect: &'static str,
    /// What it asked for.
    pub operation: &'static str,
    /// Whether it asked for a stream.
    pub stream: bool,
    /// The route that served it.
    pub route: Option<&'a str>,
    /// The provider of the last attempt.
    pub provider: Option<&'a str>,
    /// The model as the client named it.
    pub model_asked: Option<&'a str>,
    /// The model as it was sent to the provider.
    pub model_sent: Option<&'a str>,
    /// The model that the provider says it served.
    pub model_served: Option<&'a str>,
    /// How the call ended; the same set as in metrics.
    pub outcome: &'static str,
    /// The status that the client was sent.
    pub status: Option<u16>,
    /// Every try at a target, in order.
    pub attempts: Vec<AttemptRecord<'a>>,
    /// Tokens by class, or `"unknown"`.
    pub tokens: Tokens,
    /// Where the tokens come from.
    pub usage_state: UsageState,
    /// Streams: from the request sent to the provider to the first content, in milliseconds.
    pub ttft_ms: Option<f64>,
    /// Streams: from the call accepted to the first content, in milliseconds.
    pub client_ttft_ms: Option<f64>,
    /// From accepted to the last byte, in milliseconds.
    pub duration_ms: f64,
    /// Time inside Faregate, in microseconds.
    pub overhead_us: Overhead,
    /// Size of the request's body.
    pub bytes_in: usize,
    /// Size of the answer's body as sent to the client.
    pub bytes_out: usize,
}

/// One try at a target.
#[derive(Debug, Serialize)]
pub struct AttemptRecord<'a> {
    /// The provider.
    pub provider: &'a str,
    /// The model as it was sent.
    pub model: Option<&'a str>,
    /// How the attempt ended.
    pub outcome: &'static str,
    /// The provider's status, where it answered.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub ms: f64,
}

/// Tokens by class, or that they are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Tokens {
    /// The word `unknown`: the provider reported none, or the report never arrived.
    Unknown(UnknownWord),
    /// As reported; the classes do not overlap.
    Known(Classes),
}

/// The word `unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownWord {
    /// `"unknown"`.
    Unknown,
}

/// See [`Usage`] for what each class holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Classes {
    /// Uncached prompt tokens.
    pub input: u64,
    /// Prompt tokens read from a cache.
    pub cache_read: u64,
    /// Prompt tokens written to a five-minute cache.
    pub cache_write_5m: u64,
    /// Prompt tokens written to a one-hour cache.
    pub cache_write_1h: u64,
    /// Generated tokens, reasoning and audio excluded.
    pub output: u64,
    /// Generated tokens of reasoning.
    pub reasoning: u64,
    /// Prompt tokens of audio.
    pub audio_input: u64,
    /// Generated tokens of audio.
    pub audio_output: u64,
    /// Prompt tokens of images.
    pub image_input: u64,
    /// Web searches that are charged beside tokens.
    pub web_searches: u64,
}

/// Where a call's token counts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageState {
    /// The provider reported them.
    Reported,
    /// The provider reported them, but they do not add up to its total.
    Inconsistent,
    /// Nothing was reported.
    Unknown,
}

/// Time inside Faregate, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Overhead {
    /// Body complete to request sent over all attempts, without connecting, waiting for the provider, and pauses.
    pub request: Option<f64>,
    /// Each chunk of the answer from in to out, summed.
    pub response: Option<f64>,
}

impl<'a> Record<'a> {
    pub(super) fn of(call: &'a Call, outcome: Outcome, status: Option<u16>, duration: Duration) -> Self {
        let last = call.attempts.last();
        let (tokens, usage_state) = tokens(&call.usage);
        let app = match &call.app_name {
            Some(name) => Cow::Borrowed(&**name),
            None => Cow::Owned(call.meter.apps.name(call.app).as_ref().to_owned()),
        };
        Self {
            time: rfc3339(call.opened.request_id.at()),
            request_id: call.opened.request_id.as_str(),
            trace_id: call.trace.map(|trace| format!("{:032x}", trace.trace_id())),
            app,
            dialect: call.opened.dialect.as_str(),
            operation: call.opened.operation.as_str(),
            stream: call.stream,
            route: call.route.as_deref().or(last.map(|attempt| &*attempt.target.route)),
            provider: last.map(|attempt| &*attempt.target.provider),
            model_asked: call.asked.as_deref(),
            model_sent: last.and_then(|attempt| call.model_sent(&attempt.target)),
            model_served: call.served.as_deref(),
            outcome: outcome.as_str(),
            status,
            attempts: call.attempts.iter().map(|attempt| attempt_record(call, attempt)).collect(),
            tokens,
            usage_state,
            ttft_ms: call.ttft().map(millis),
            client_ttft_ms: call.client_ttft().map(millis),
            duration_ms: millis(duration),
            overhead_us: Overhead {
                request: call.request_overhead.filter(|_| last.is_some_and(|a| a.sent.is_some())).map(micros),
                response: call.response_overhead.map(micros),
            },
            bytes_in: call.bytes_in,
            bytes_out: call.bytes_out,
        }
    }
}

fn attempt_record<'a>(call: &'a Call, attempt: &'a Attempt) -> AttemptRecord<'a> {
    let (outcome, took) = attempt.ended.unwrap_or((Outcome::Internal, Duration::ZERO));
    AttemptRecord {
        provider: &attempt.target.provider,
        model: call.model_sent(&attempt.target),
        outcome: outcome.as_str(),
        status: attempt.status,
        ms: millis(took),
    }
}

fn tokens(report: &UsageReport) -> (Tokens, UsageState) {
    match report {
        UsageReport::Unknown => (Tokens::Unknown(UnknownWord::Unknown), UsageState::Unknown),
        UsageReport::Reported(usage) => (Tokens::Known(usage.into()), UsageState::Reported),
        UsageReport::Inconsistent(usage) => (Tokens::Known(usage.into()), UsageState::Inconsistent),
    }
}

impl From<&Usage> for Classes {
    fn from(usage: &Usage) -> Self {
        Self {
            input: usage.input,
            cache_read: usage.cache_read,
            cache_write_5m: usage.cache_write_5m,
            cache_write_1h: usage.cache_write_1h,
            output: usage.output,
            reasoning: usage.reasoning,
            audio_input: usage.audio_input,
            audio_output: usage.audio_output,
            image_input: usage.image_input,
            web_searches: usage.web_searches,
        }
    }
}

/// Milliseconds with three decimals.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// Microseconds with one decimal.
fn micros(duration: Duration) -> f64 {
    (duration.as_nanos() / 100) as f64 / 10.0
}
