//! The usage record as a line of JSON, written field by field into a buffer that is used again: every call is written,
//! so that a serializer's detours would be a good part of what a call costs. Knows nothing of how a record is made.

use std::time::Duration;

use super::clock::write_rfc3339;
use super::cost::CostRecord;
use super::record::{AttemptRecord, Overhead, Record};
use super::router::RouterRecord;
use crate::chat::{Money, Usage};

/// Appends `,"name":` (or `{"name":` for the first) and a value.
macro_rules! field {
    ($out:ident, $lead:literal, $name:literal, $value:expr) => {{
        $out.extend_from_slice(concat!($lead, "\"", $name, "\":").as_bytes());
        $value.write($out);
    }};
    ($out:ident, $name:literal, $value:expr) => {
        field!($out, ",", $name, $value)
    };
}

impl Record<'_> {
    /// Appends the record, its line feed included.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        field!(out, "{", "time", Time(self.time));
        field!(out, "request_id", self.request_id);
        field!(out, "probe_of", self.probe_of);
        field!(out, "trace_id", self.trace_id.map(TraceId));
        field!(out, "app", &*self.app);
        field!(out, "dialect", Word(self.dialect));
        field!(out, "operation", Word(self.operation));
        field!(out, "stream", self.stream);
        field!(out, "route", self.route);
        field!(out, "provider", self.provider);
        field!(out, "model_asked", self.model_asked);
        field!(out, "model_sent", self.model_sent);
        field!(out, "model_served", self.model_served);
        field!(out, "outcome", Word(self.outcome));
        field!(out, "status", self.status.map(u64::from));
        field!(out, "attempts", &*self.attempts);
        match self.tokens {
            Some(usage) => field!(out, "tokens", usage),
            None => field!(out, "tokens", Word("unknown")),
        }
        field!(out, "usage_state", Word(self.usage_state.as_str()));
        field!(out, "cost", self.cost.as_ref());
        field!(out, "served_by", self.served_by);
        field!(out, "router", self.router.as_ref());
        field!(out, "service_tier", Word(self.service_tier));
        field!(out, "ttft_ms", self.ttft.map(Millis));
        field!(out, "client_ttft_ms", self.client_ttft.map(Millis));
        field!(out, "duration_ms", Millis(self.duration));
        field!(out, "overhead_us", &self.overhead);
        field!(out, "bytes_in", self.bytes_in as u64);
        field!(out, "bytes_out", self.bytes_out as u64);
        out.extend_from_slice(b"}\n");
    }
}

impl Record<'_> {
    /// Appends the record as a log record of OTLP's JSON encoding, its line feed included: the body is the record as
    /// [`Record::write`] has it.
    pub(super) fn write_log(&self, out: &mut Vec<u8>) {
        let at = self.time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let mut body = Vec::with_capacity(1024);
        self.write(&mut body);
        let body = std::str::from_utf8(&body).unwrap_or_default().trim_end();
        field!(out, "{", "timeUnixNano", Word(itoa::Buffer::new().format(at.as_nanos())));
        out.extend_from_slice(br#","severityNumber":9,"severityText":"INFO","eventName":"faregate.usage","#);
        out.extend_from_slice(br#""attributes":[{"key":"event.name","value":{"stringValue":"faregate.usage"}}]"#);
        if let Some(trace) = self.trace_id {
            field!(out, "traceId", TraceId(trace));
        }
        out.extend_from_slice(br#","body":{"stringValue":"#);
        body.write(out);
        out.extend_from_slice(b"}}\n");
    }
}

/// A value of a record.
trait Value {
    fn write(&self, out: &mut Vec<u8>);
}

/// One of our own words, in which nothing needs an escape.
struct Word<'a>(&'a str);
struct Time(std::time::SystemTime);
struct TraceId(u128);
/// Milliseconds with up to three decimals.
struct Millis(Duration);
/// Microseconds with up to one decimal.
struct Micros(Duration);

impl<V: Value> Value for Option<V> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl<V: Value + ?Sized> Value for &V {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

impl Value for str {
    fn write(&self, out: &mut Vec<u8>) {
        let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        // One pass without a branch for each byte; nearly every text is plain.
        if self.bytes().fold(true, |all, byte| all & plain(byte)) {
            out.push(b'"');
            out.extend_from_slice(self.as_bytes());
            out.push(b'"');
        } else {
            // A text and a `Vec` cannot fail.
            let _written = serde_json::to_writer(out, self);
        }
    }
}

impl Value for Word<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(self.0.as_bytes());
        out.push(b'"');
    }
}

impl Value for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl Value for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
    }
}

impl Value for Time {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        write_rfc3339(self.0, out);
        out.push(b'"');
    }
}

impl Value for TraceId {
    fn write(&self, out: &mut Vec<u8>) {
        format!("{:032x}", self.0).as_str().write(out);
    }
}

impl Value for Millis {
    fn write(&self, out: &mut Vec<u8>) {
        fixed::<1000, 3>(self.0.as_micros() as u64, out);
    }
}

impl Value for Micros {
    fn write(&self, out: &mut Vec<u8>) {
        fixed::<10, 1>((self.0.as_nanos() / 100) as u64, out);
    }
}

/// A whole number of 1/`ONE`, which has so many `DECIMALS`.
fn fixed<const ONE: u64, const DECIMALS: usize>(value: u64, out: &mut Vec<u8>) {
    (value / ONE).write(out);
    let mut rest = value % ONE;
    if rest == 0 {
        return;
    }
    let mut digits = [b'0'; DECIMALS];
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    let len = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    out.push(b'.');
    out.extend_from_slice(&digits[..len]);
}

impl Value for Money {
    fn write(&self, out: &mut Vec<u8>) {
        self.write_to(out);
    }
}

impl Value for [AttemptRecord<'_>] {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (at, attempt) in self.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            field!(out, "{", "provider", attempt.provider);
            field!(out, "model", attempt.model);
            field!(out, "outcome", Word(attempt.outcome));
            field!(out, "status", attempt.status.map(u64::from));
            field!(out, "ms", Millis(attempt.took));
            out.push(b'}');
        }
        out.push(b']');
    }
}

impl Value for Usage {
    fn write(&self, out: &mut Vec<u8>) {
        field!(out, "{", "input", self.input);
        field!(out, "cache_read", self.cache_read);
        field!(out, "cache_write_5m", self.cache_write_5m);
        field!(out, "cache_write_1h", self.cache_write_1h);
        field!(out, "output", self.output);
        field!(out, "reasoning", self.reasoning);
        field!(out, "audio_input", self.audio_input);
        field!(out, "audio_output", self.audio_output);
        field!(out, "image_input", self.image_input);
        field!(out, "web_searches", self.web_searches);
        out.push(b'}');
    }
}

impl Value for CostRecord {
    fn write(&self, out: &mut Vec<u8>) {
        field!(out, "{", "list", self.list);
        field!(out, "billed", self.billed);
        field!(out, "effective", self.effective);
        field!(out, "cost_source", self.cost_source.map(Word));
        field!(out, "unpriced", self.unpriced.as_deref());
        out.push(b'}');
    }
}

impl Value for RouterRecord<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        field!(out, "{", "generation_ms", self.generation.map(Millis));
        field!(out, "region", self.region);
        field!(out, "round_trip_ms", self.round_trip.map(Millis));
        field!(out, "hop_ms", self.hop.map(Millis));
        out.push(b'}');
    }
}

impl Value for Overhead {
    fn write(&self, out: &mut Vec<u8>) {
        field!(out, "{", "request", self.request.map(Micros));
        field!(out, "response", self.response.map(Micros));
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &(impl Value + ?Sized)) -> String {
        let mut out = Vec::new();
        value.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_are_json_whatever_they_hold() {
        for text in ["", "gpt-4o", "a\"b", "back\\slash", "line\nfeed", "\u{1}", "\u{7f}", "é漢😀"] {
            assert_eq!(serde_json::from_str::<String>(&written(text)).unwrap(), text);
        }
    }

    #[test]
    fn times_have_the_decimals_that_they_need() {
        let micros = |n| written(&Millis(Duration::from_micros(n)));
        let wanted = ["0", "0.001", "0.01", "0.1", "1", "12.345", "1234567.89"];
        assert_eq!([0, 1, 10, 100, 1000, 12_345, 1_234_567_890].map(micros), wanted);
        assert_eq!(written(&Micros(Duration::from_nanos(1_250))), "1.2");
        assert_eq!(written(&Micros(Duration::from_nanos(2_099))), "2");
    }

    #[test]
    fn what_is_not_known_is_null_and_a_trace_id_keeps_its_zeros() {
        assert_eq!(written(&None::<u64>), "null");
        assert_eq!(written(&TraceId(0xab)), format!("\"{}ab\"", "0".repeat(30)));
    }
}
