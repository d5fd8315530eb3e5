//! A call as spans: one for the call, one for each attempt under it, named as OpenTelemetry's conventions for
//! generative AI have it. Written as lines of OTLP's JSON; where they go is `telemetry::otlp`'s duty.
//!
//! Spans hold names, numbers and times; never a prompt, a key or a body.

use std::borrow::Cow;
use std::cell::RefCell;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde::Serialize;

use super::attempt::Attempt;
use super::exchange::Call;
use super::gen_ai::operation_name;
use super::outcome::Outcome;
use super::trace::Joined;
use crate::telemetry::lines::Lines;

const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const STATUS_ERROR: u8 = 2;
/// Bits 8 and 9 of a span's flags: whether it is known that the parent is of another process, and that it is.
const PARENT_KNOWN: u32 = 1 << 8;
const PARENT_REMOTE: u32 = 1 << 9;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_state: Option<&'a str>,
    flags: u32,
    name: Cow<'a, str>,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Attributes<'a>,
    status: Status<'a>,
}

#[derive(Serialize, Default)]
struct Status<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'static str,
    value: Value<'a>,
}

#[derive(Serialize)]
enum Value<'a> {
    #[serde(rename = "stringValue")]
    Text(Cow<'a, str>),
    #[serde(rename = "boolValue")]
    Flag(bool),
    /// 64-bit numbers are text in this encoding.
    #[serde(rename = "intValue")]
    Number(String),
    #[serde(rename = "doubleValue")]
    Seconds(f64),
}

#[derive(Serialize, Default)]
#[serde(transparent)]
struct Attributes<'a>(Vec<Attribute<'a>>);

impl<'a> Attributes<'a> {
    fn text(&mut self, key: &'static str, value: impl Into<Cow<'a, str>>) {
        self.0.push(Attribute { key, value: Value::Text(value.into()) });
    }

    fn number(&mut self, key: &'static str, value: u64) {
        self.0.push(Attribute { key, value: Value::Number(value.to_string()) });
    }

    fn flag(&mut self, key: &'static str, value: bool) {
        self.0.push(Attribute { key, value: Value::Flag(value) });
    }

    fn seconds(&mut self, key: &'static str, value: Duration) {
        self.0.push(Attribute { key, value: Value::Seconds(value.as_secs_f64()) });
    }
}

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn push(lines: &Lines, span: &Span<'_>) {
    LINE.with_borrow_mut(|line| {
        line.clear();
        if serde_json::to_writer(&mut *line, span).is_ok() {
            line.push(b'\n');
            lines.push(line);
        }
    });
}

impl Call {
    /// Queues the call's spans, where they are recorded.
    pub(super) fn export(&self, outcome: Outcome, status: u16, now: Instant) {
        let Some((lines, _)) = &self.meter.spans else { return };
        let Some(joined) = self.trace.as_ref().and_then(|trace| trace.recorded()) else { return };
        for (at, attempt) in self.attempts.iter().enumerate() {
            push(lines, &self.attempt_span(joined, attempt, at, at + 1 == self.attempts.len()));
        }
        push(lines, &self.call_span(joined, outcome, status, now));
    }

    fn call_span(&self, joined: &Joined, outcome: Outcome, status: u16, now: Instant) -> Span<'_> {
        let mut a = self.common(self.asked.as_deref());
        let last = self.attempts.last();
        if let Some(attempt) = last {
            a.text("gen_ai.provider.name", &*attempt.target.provider);
        }
        a.text("faregate.request_id", self.opened.request_id.as_str());
        a.text(
            "faregate.app",
            match &self.app_name {
                Some(name) => Cow::Borrowed(&**name),
                None => Cow::Owned(self.meter.apps.name(self.app).to_string()),
            },
        );
        if let Some(route) = self.route.as_deref().or(last.map(|attempt| &*attempt.target.route)) {
            a.text("faregate.route", route);
        }
        a.number("faregate.attempts", self.attempts.len() as u64);
        a.text("faregate.outcome", outcome.as_str());
        if status != 0 {
            a.number("http.response.status_code", status.into());
        }
        if let Some(ttft) = self.client_ttft() {
            a.seconds("gen_ai.response.time_to_first_chunk", ttft);
        }
        self.answered(&mut a);
        // A server's span has failed when the server is to blame, not its client.
        let failed = !matches!(
            outcome,
            Outcome::Ok
                | Outcome::ClientInvalid
                | Outcome::ClientDisconnected
                | Outcome::PolicyDenied
                | Outcome::PolicyRateLimited
                | Outcome::PolicyOverBudget
                | Outcome::NoRoute
                | Outcome::UpstreamRejected
        );
        if outcome != Outcome::Ok {
            a.text("error.type", outcome.as_str());
        }
        let parent = if joined.parent.is_some() { PARENT_KNOWN | PARENT_REMOTE } else { PARENT_KNOWN };
        Span {
            trace_id: trace_id(joined),
            span_id: span_id(joined.span_id),
            parent_span_id: joined.parent.map(span_id),
            trace_state: self.opened.trace_state.as_deref(),
            flags: u32::from(joined.flags()) | parent,
            name: self.name(self.asked.as_deref()),
            kind: SERVER,
            start_time_unix_nano: self.unix_nanos(self.opened.accepted),
            end_time_unix_nano: self.unix_nanos(now),
            attributes: a,
            status: status_of(failed, outcome),
        }
    }

    fn attempt_span<'a>(&'a self, joined: &Joined, attempt: &'a Attempt, at: usize, last: bool) -> Span<'a> {
        let model = self.model_sent(&attempt.target);
        let (outcome, took) = attempt.ended.unwrap_or((Outcome::Internal, Duration::ZERO));
        let mut a = self.common(model);
        a.text("gen_ai.provider.name", &*attempt.target.provider);
        if let Some((host, port)) = &attempt.server {
            a.text("server.address", &**host);
            a.number("server.port", u64::from(*port));
        }
        if let Some(status) = attempt.status {
            a.number("http.response.status_code", status.into());
        }
        if at > 0 {
            a.number("http.request.resend_count", at as u64);
        }
        a.text("faregate.route", &*attempt.target.route);
        a.text("faregate.outcome", outcome.as_str());
        if last {
            if let Some(ttft) = self.ttft() {
                a.seconds("gen_ai.response.time_to_first_chunk", ttft);
            }
            self.answered(&mut a);
        }
        let failed = !matches!(outcome, Outcome::Ok | Outcome::ClientDisconnected | Outcome::ClientInvalid);
        if outcome != Outcome::Ok {
            match attempt.status.filter(|status| *status >= 400) {
                Some(status) => a.text("error.type", status.to_string()),
                None => a.text("error.type", outcome.as_str()),
            }
        }
        Span {
            trace_id: trace_id(joined),
            span_id: span_id(attempt.span_id),
            parent_span_id: Some(span_id(joined.span_id)),
            trace_state: self.opened.trace_state.as_deref(),
            flags: u32::from(joined.flags()) | PARENT_KNOWN,
            name: self.name(model),
            kind: CLIENT,
            start_time_unix_nano: self.unix_nanos(attempt.started),
            end_time_unix_nano: self.unix_nanos(attempt.started + took),
            attributes: a,
            status: status_of(failed, outcome),
        }
    }

    fn name<'a>(&self, model: Option<&'a str>) -> Cow<'a, str> {
        let operation = operation_name(self.opened.operation);
        match model {
            Some(model) => Cow::Owned(format!("{operation} {model}")),
            None => Cow::Borrowed(operation),
        }
    }

    fn common<'a>(&self, model: Option<&'a str>) -> Attributes<'a> {
        let mut a = Attributes(Vec::with_capacity(20));
        a.text("gen_ai.operation.name", operation_name(self.opened.operation));
        if let Some(model) = model {
            a.text("gen_ai.request.model", model);
        }
        if self.stream {
            a.flag("gen_ai.request.stream", true);
        }
        a
    }

    /// What the provider said of its answer.
    fn answered<'a>(&'a self, a: &mut Attributes<'a>) {
        if let Some(model) = self.served.as_deref() {
            a.text("gen_ai.response.model", model);
        }
        let Some(usage) = self.usage.usage() else { return };
        // The conventions' totals include the parts that are then told apart; ours do not overlap.
        a.number("gen_ai.usage.input_tokens", usage.total_input());
        a.number("gen_ai.usage.output_tokens", usage.total_output());
        for (key, tokens) in [
            ("gen_ai.usage.cache_read.input_tokens", usage.cache_read),
            ("gen_ai.usage.cache_write.input_tokens", usage.cache_write_5m + usage.cache_write_1h),
            ("gen_ai.usage.reasoning.output_tokens", usage.reasoning),
            ("gen_ai.usage.audio.input_tokens", usage.audio_input),
            ("gen_ai.usage.audio.output_tokens", usage.audio_output),
            ("gen_ai.usage.image.input_tokens", usage.image_input),
        ] {
            if tokens > 0 {
                a.number(key, tokens);
            }
        }
    }

    /// The wall clock was read once, when the call was accepted; from there on time is monotonic.
    fn unix_nanos(&self, at: Instant) -> String {
        let accepted = self.opened.request_id.at().duration_since(UNIX_EPOCH).unwrap_or_default();
        (accepted + at.saturating_duration_since(self.opened.accepted)).as_nanos().to_string()
    }
}

fn status_of(failed: bool, outcome: Outcome) -> Status<'static> {
    if failed { Status { code: Some(STATUS_ERROR), message: Some(outcome.as_str()) } } else { Status::default() }
}

fn trace_id(joined: &Joined) -> String {
    format!("{:032x}", joined.trace_id)
}

fn span_id(id: u64) -> String {
    format!("{id:016x}")
}
