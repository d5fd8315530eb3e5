//! Spans and log records on their way to a collector: OTLP over HTTP in its JSON encoding.
//!
//! Each is one line of JSON, queued by [`Lines`](super::lines::Lines) like any other line; this is where they go.
//! What it says is none of this module's business. Start with [`Exporter::new`].

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Every;
use super::cells::Counter;
use super::collector::{Collector, CollectorError, Reply};
use super::lines::{Limits, Lines, Loss, Reports, Sink};
use super::metrics::Telemetry;

/// They wait a second for company; at most 4 MiB of them wait (some 4,000).
const LIMITS: Limits = Limits { linger: Duration::from_secs(1), wake: 256 << 10, most: 4 << 20 };

/// What the collector did not take for so long is given up.
const GIVE_UP: Duration = Duration::from_secs(60);

/// A collector may ask for a pause, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

static REFUSED: Every = Every::minutes(1);

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
}

impl Signal {
    fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "usage records",
        }
    }

    /// The lists that an export nests, from the outside in.
    fn lists(self) -> [&'static str; 3] {
        match self {
            Self::Traces => ["resourceSpans", "scopeSpans", "spans"],
            Self::Logs => ["resourceLogs", "scopeLogs", "logRecords"],
        }
    }

    /// The field that counts what a collector left out of an export that it took.
    fn rejected(self) -> &'static str {
        match self {
            Self::Traces => "rejectedSpans",
            Self::Logs => "rejectedLogRecords",
        }
    }

    /// What OpenTelemetry's environment variables for this signal alone begin with.
    fn variable(self, name: &str) -> String {
        let signal = if self == Self::Traces { "TRACES" } else { "LOGS" };
        format!("OTEL_EXPORTER_OTLP_{signal}_{name}")
    }
}

/// Where spans go and as whose.
#[derive(Debug, Clone, Default)]
pub struct Destination {
    /// Base URL of the collector, such as `http://otel-collector:4318`.
    pub endpoint: String,
    /// Sent with every export; they win over those of the environment.
    pub headers: Vec<(String, String)>,
}

/// Takes lines to a collector.
pub struct Exporter {
    signal: Signal,
    collector: Collector,
    /// Everything before the lines.
    opening: Vec<u8>,
    exported: Option<Counter>,
    failed: Counter,
    full: Counter,
    give_up: Duration,
    /// When the batch that waits was first refused.
    since: Option<Instant>,
    not_before: Option<Instant>,
}

/// Everything after the lines.
const CLOSING: &[u8] = b"]}]}]}";

impl Exporter {
    /// An exporter. `env` gives what OpenTelemetry defines for exporters: OTEL_EXPORTER_OTLP_HEADERS,
    /// OTEL_EXPORTER_OTLP_CERTIFICATE (each also with `TRACES_` or `LOGS_`), OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES.
    ///
    /// # Errors
    /// When endpoint, headers or certificates cannot be used.
    pub fn new(
        signal: Signal,
        destination: &Destination,
        env: impl Fn(&str) -> Option<String>,
        telemetry: &Telemetry,
    ) -> Result<Self, CollectorError> {
        let either = |one: &str, other: &str| env(one).or_else(|| env(other)).filter(|text| !text.trim().is_empty());
        let mut headers = destination.headers.clone();
        let named = either(&signal.variable("HEADERS"), "OTEL_EXPORTER_OTLP_HEADERS");
        for (name, value) in named.as_deref().map(pairs).unwrap_or_default() {
            if !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                headers.push((name, value));
            }
        }
        let ca = either(&signal.variable("CERTIFICATE"), "OTEL_EXPORTER_OTLP_CERTIFICATE");
        let collector = Collector::new(&destination.endpoint, signal.path(), &headers, ca.as_deref().map(Path::new))?;
        let m = telemetry.metrics();
        let (exported, failed, full) = match signal {
            Signal::Traces => {
                let dropped = |reason| m.spans_dropped.with([reason]);
                (Some(m.spans_exported.with([])), dropped("export_failed"), dropped("queue_full"))
            }
            Signal::Logs => (None, m.records_dropped.with([]), m.records_dropped.with([])),
        };
        Ok(Self {
            signal,
            collector,
            opening: opening(signal, &resource(&env)),
            exported,
            failed,
            full,
            give_up: GIVE_UP,
            since: None,
            not_before: None,
        })
    }

    /// A queue with this exporter at its end, on a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self) -> io::Result<Lines> {
        let (signal, full, failed) = (self.signal, self.full.clone(), self.failed.clone());
        let reports = Reports {
            lost: Box::new(move |loss, spans| match loss {
                Loss::Full => full.add(spans),
                Loss::Refused => failed.add(spans),
            }),
            refused: Box::new(move |error| {
                if let Some(skipped) = REFUSED.ready() {
                    tracing::warn!(%error, skipped, "{} cannot be exported", signal.word());
                }
            }),
        };
        let name = if signal == Signal::Traces { "faregate-otlp" } else { "faregate-otlog" };
        Lines::start(name, self, LIMITS, reports)
    }

    fn took(&mut self, reply: &Reply, spans: u64) {
        let rejected = rejected(self.signal, &reply.body).min(spans);
        if let Some(exported) = &self.exported {
            exported.add(spans - rejected);
        }
        self.failed.add(rejected);
    }

    /// The spans were not taken, but may be later: kept, unless that has gone on for too long.
    fn keep(&mut self, spans: &mut Vec<u8>, count: u64, why: String) -> io::Error {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.give_up {
            self.drop_all(spans, count);
        }
        io::Error::other(why)
    }

    fn drop_all(&mut self, spans: &mut Vec<u8>, count: u64) {
        self.failed.add(count);
        spans.clear();
        self.since = None;
    }
}

impl Sink for Exporter {
    fn write(&mut self, spans: &mut Vec<u8>) -> io::Result<()> {
        let count = memchr::memchr_iter(b'\n', spans).count() as u64;
        if count == 0 {
            return Ok(());
        }
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Err(self.keep(spans, count, "the collector asked for a pause".into()));
        }
        let reply = match self.collector.post(&request(&self.opening, spans)) {
            Ok(reply) => reply,
            // Of a kind of its own, whatever it was: a closed socket is not the end of this output.
            Err(error) => return Err(self.keep(spans, count, error.to_string())),
        };
        match reply.status {
            200..=299 => {
                self.took(&reply, count);
                self.since = None;
                spans.clear();
                Ok(())
            }
            429 | 502 | 503 | 504 => {
                self.not_before = reply.retry_after.map(|pause| Instant::now() + pause.min(LONGEST_PAUSE));
                Err(self.keep(spans, count, format!("the collector answered {}", reply.status)))
            }
            status => {
                self.drop_all(spans, count);
                Err(io::Error::other(format!("the collector refused them with {status}")))
            }
        }
    }
}

fn request(opening: &[u8], spans: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(opening.len() + spans.len() + CLOSING.len());
    body.extend_from_slice(opening);
    // Inside a JSON text a line feed stands between values only, so each one is a separator but the last.
    body.extend(spans.trim_ascii_end().iter().map(|b| if *b == b'\n' { b',' } else { *b }));
    body.extend_from_slice(CLOSING);
    body
}

fn opening(signal: Signal, resource: &[(String, String)]) -> Vec<u8> {
    let attributes: Vec<Value> =
        resource.iter().map(|(key, value)| json!({ "key": key, "value": { "stringValue": value } })).collect();
    let scope = json!({ "name": "faregate", "version": env!("CARGO_PKG_VERSION") });
    let [resources, scopes, lines] = signal.lists();
    format!(
        "{{\"{resources}\":[{{\"resource\":{},\"{scopes}\":[{{\"scope\":{scope},\"{lines}\":[",
        json!({ "attributes": attributes })
    )
    .into_bytes()
}

fn resource(env: &impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let mut all = env("OTEL_RESOURCE_ATTRIBUTES").as_deref().map(pairs).unwrap_or_default();
    let mut set = |key: &str, value: String, wins: bool| match all.iter_mut().find(|(known, _)| known == key) {
        Some(found) if wins => found.1 = value,
        Some(_) => {}
        None => all.push((key.into(), value)),
    };
    match env("OTEL_SERVICE_NAME").filter(|name| !name.is_empty()) {
        Some(name) => set("service.name", name, true),
        None => set("service.name", "faregate".into(), false),
    }
    set("service.version", env!("CARGO_PKG_VERSION").into(), false);
    all
}

/// `key=value,key=value`, values percent-encoded, as OpenTelemetry's environment variables hold them.
fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_encoding::percent_decode_str(text.trim()).decode_utf8_lossy().into_owned();
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decode(key), decode(value)))
        .filter(|(key, _)| !key.is_empty())
        .collect()
}

/// How many lines of an accepted export the collector says that it refused.
fn rejected(signal: Signal, body: &[u8]) -> u64 {
    let text = memchr::memchr(b'{', body).zip(memchr::memrchr(b'}', body)).and_then(|(from, to)| body.get(from..=to));
    let report: Option<Value> = text.and_then(|text| serde_json::from_slice(text).ok());
    let count = report.as_ref().map(|report| &report["partialSuccess"][signal.rejected()]);
    // 64-bit numbers are text in this encoding.
    count.and_then(|count| count.as_u64().or_else(|| count.as_str()?.parse().ok())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_what_is_none_is_left_out() {
        let read = pairs("authorization=Basic%20YTpi, x-team = a%2Cb ,=x,nothing,");
        assert_eq!(read, [("authorization".into(), "Basic YTpi".into()), ("x-team".into(), "a,b".into())]);
    }

    #[test]
    fn the_service_is_named_by_the_environment_where_it_says_so() {
        let named = |vars: &'static [(&str, &str)]| {
            let env = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            resource(&env).into_iter().find(|(key, _)| key == "service.name").map(|(_, value)| value)
        };
        assert_eq!(named(&[]).as_deref(), Some("faregate"));
        assert_eq!(named(&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,b=c")]).as_deref(), Some("a"));
        let both = &[("OTEL_RESOURCE_ATTRIBUTES", "service.name=a"), ("OTEL_SERVICE_NAME", "z")];
        assert_eq!(named(both).as_deref(), Some("z"));
    }

    #[test]
    fn a_request_is_one_json_text_whatever_the_number_of_spans() {
        let opening = opening(Signal::Traces, &[("service.name".into(), "a\"b".into())]);
        for (spans, count) in [("{\"n\":1}\n", 1), ("{\"n\":1}\n{\"n\":\"a\\nb\"}\n", 2)] {
            let body: Value = serde_json::from_slice(&request(&opening, spans.as_bytes())).unwrap();
            let scope = &body["resourceSpans"][0]["scopeSpans"][0];
            assert_eq!(scope["spans"].as_array().map(Vec::len), Some(count));
            assert_eq!(body["resourceSpans"][0]["resource"]["attributes"][0]["value"]["stringValue"], "a\"b");
        }
    }

    #[test]
    fn a_partial_success_tells_how_many_were_refused() {
        assert_eq!(rejected(Signal::Traces, b""), 0);
        assert_eq!(rejected(Signal::Traces, b"{}"), 0);
        assert_eq!(rejected(Signal::Traces, br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"x"}}"#), 3);
        assert_eq!(rejected(Signal::Traces, b"1b\r\n{\"partialSuccess\":{\"rejectedSpans\":2}}\r\n0\r\n\r\n"), 2);
    }

    /// A collector that answers each connection with the next of these texts, then closes.
    fn collector(answers: &'static [&'static str]) -> String {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for answer in answers {
                let (mut socket, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut piece = [0; 1024];
                while !request.ends_with(CLOSING) {
                    let n = socket.read(&mut piece).unwrap();
                    request.extend_from_slice(&piece[..n]);
                }
                socket.write_all(answer.as_bytes()).unwrap();
            }
        });
        endpoint
    }

    fn exporter(endpoint: String) -> (Exporter, Telemetry) {
        let telemetry = Telemetry::new().unwrap();
        let destination = Destination { endpoint, headers: Vec::new() };
        (Exporter::new(Signal::Traces, &destination, |_| None, &telemetry).unwrap(), telemetry)
    }

    #[test]
    fn a_refused_batch_is_kept_for_a_while_and_then_given_up() {
        let (mut exporter, telemetry) = exporter(collector(&["HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"; 2]));
        let mut spans = b"{}\n{}\n".to_vec();
        assert!(exporter.write(&mut spans).is_err());
        assert_eq!(spans, b"{}\n{}\n", "kept");
        exporter.give_up = Duration::ZERO;
        assert!(exporter.write(&mut spans).is_err());
        assert!(spans.is_empty());
        assert_eq!(telemetry.metrics().spans_dropped.with(["export_failed"]).get(), 2);
    }

    #[test]
    fn a_pause_that_the_collector_asks_for_is_kept() {
        let answers =
            &["HTTP/1.1 429 Slow\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"];
        let (mut exporter, telemetry) = exporter(collector(answers));
        let mut spans = b"{}\n".to_vec();
        assert!(exporter.write(&mut spans).is_err());
        let until = exporter.not_before.unwrap();
        assert!(until <= Instant::now() + LONGEST_PAUSE);
        assert!(exporter.write(&mut spans).unwrap_err().to_string().contains("pause"));
        exporter.not_before = None;
        exporter.write(&mut spans).unwrap();
        assert!(spans.is_empty());
        assert_eq!(telemetry.metrics().spans_exported.with([]).get(), 1);
    }
}
