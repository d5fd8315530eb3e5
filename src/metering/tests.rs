//! What a call's record says of what happened to it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::chat::{Usage, UsageReport};
use crate::dialect::{DialectId, Operation};
use crate::telemetry::Telemetry;

fn opened() -> Opened {
    Opened {
        request_id: RequestId::new(),
        dialect: DialectId::OpenAi,
        operation: Operation::Chat,
        accepted: Instant::now(),
        trace: None,
        trace_state: None,
    }
}

fn meter(records: &Path) -> Arc<Meter> {
    let options = MeterOptions { records: Some(records.into()), ..MeterOptions::default() };
    Meter::new(Telemetry::new().unwrap(), options).unwrap()
}

fn read(records: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(records).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_streamed_call_with_a_fallback_is_told_in_full() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.jsonl");
    let meter = meter(&path);
    let first = meter.target("chat", "one", "m-large");
    let second = meter.target("chat", "two", "");
    let mut exchange = meter.open(opened());
    exchange.set_app("team-a");
    exchange.set_request(Some("m".into()), true, 100);
    exchange.body_complete();
    exchange.begin_attempt(&first);
    exchange.end_attempt(Outcome::UpstreamConnect);
    exchange.begin_attempt(&second);
    exchange.attempt_connected(false, Duration::ZERO);
    exchange.request_sent(Duration::ZERO);
    exchange.response_head(200);
    exchange.content(Instant::now());
    for _ in 0..5 {
        exchange.chunk_in_out(Duration::from_micros(3));
        exchange.content(Instant::now());
    }
    exchange.set_usage(UsageReport::Reported(Usage { input: 7, output: 5, ..Usage::default() }));
    exchange.set_served_model("m-2026");
    exchange.add_sent(400);
    exchange.set_outcome(Outcome::Ok, 200);
    drop(exchange);
    assert!(meter.flush(Duration::from_secs(5)));
    let records = read(&path);
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record["app"], "team-a");
    assert_eq!(record["provider"], "two");
    assert_eq!(record["model_sent"], "m");
    assert_eq!(record["model_served"], "m-2026");
    assert_eq!(record["attempts"].as_array().map(Vec::len), Some(2));
    assert_eq!(record["attempts"][0]["outcome"], "upstream_connect");
    assert_eq!(record["attempts"][0]["model"], "m-large");
    assert_eq!(record["overhead_us"]["response"], 15.0);
    assert_eq!(record["tokens"]["input"], 7);
    let text = meter.telemetry.exposition();
    for line in [
        r#"faregate_requests_total{app="team-a",route="chat",provider="two",model="m",requested_model="m",dialect="openai",stream="true",outcome="ok"} 1"#,
        r#"faregate_fallbacks_total{route="chat",from="one/m-large",to="two/other",reason="upstream_connect"} 1"#,
        r#"faregate_attempts_total{provider="one",model="m-large",outcome="upstream_connect"} 1"#,
        r#"faregate_attempts_total{provider="two",model="m",outcome="ok"} 1"#,
        r#"faregate_tokens_total{app="team-a",provider="two",model="m",class="output"} 5"#,
        r#"faregate_requests_in_flight{dialect="openai"} 0"#,
        r#"faregate_upstream_connections_total{provider="two",reused="false"} 1"#,
        r#"faregate_time_to_first_token_seconds_count{route="chat",provider="two",model="m"} 1"#,
        r#"faregate_time_per_output_token_seconds_count{provider="two",model="m"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
    }
}

#[test]
fn a_call_dropped_without_an_outcome_is_the_client_s() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.jsonl");
    let meter = meter(&path);
    let mut exchange = meter.open(opened());
    exchange.begin_attempt(&meter.target("r", "p", "m"));
    drop(exchange);
    meter.shutdown();
    meter.shutdown();
    let records = read(&path);
    assert_eq!(records[0]["outcome"], "client_disconnected");
    assert_eq!(records[0]["attempts"][0]["outcome"], "client_disconnected");
    assert_eq!(records[0]["tokens"], "unknown");
    assert_eq!(records[0]["usage_state"], "unknown");
    assert_eq!(records[0]["status"], serde_json::Value::Null);
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn time_inside_leaves_out_connecting_waiting_failed_attempts_and_pauses() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.jsonl");
    let meter = meter(&path);
    let (first, second) = (meter.target("r", "one", "m"), meter.target("r", "two", "m"));
    let opened = opened();
    let at = opened.accepted;
    let mut exchange = meter.open(opened);
    exchange.set_request(Some("m".into()), true, 1);
    let call = &mut exchange.call;
    // The body takes 100 ms to come (the client's time), then 2 ms are ours.
    call.body_complete = Some(at + ms(100));
    call.begin_attempt(&first, at + ms(102));
    // 1 ms ours, 50 ms to connect; 3 ms to send, of which 2 ms waiting for the provider.
    call.attempt_connected(false, ms(50), Some(at + ms(153)));
    call.request_sent(ms(2), at + ms(156));
    // The provider takes 300 ms to fail, and there is a pause of 200 ms.
    call.end_attempt(Outcome::UpstreamError, at + ms(456));
    call.begin_attempt(&second, at + ms(656));
    // 1 ms ours; a kept connection, sent on after 1 ms more, found dead after 40 ms, replaced in 20 ms; 4 ms to send.
    call.attempt_connected(true, ms(0), Some(at + ms(657)));
    call.request_sent(ms(0), at + ms(658));
    call.attempt_connected(false, ms(20), Some(at + ms(718)));
    call.request_sent(ms(0), at + ms(722));
    assert_eq!(call.request_overhead, Some(ms(2 + 1 + 1 + 1 + 1 + 4)));
    // TTFT: from the request sent on the connection that worked; for the client from accepted.
    call.content(at + ms(822));
    call.content(at + ms(1022));
    assert_eq!(call.ttft(), Some(ms(100)));
    assert_eq!(call.client_ttft(), Some(ms(822)));
    exchange.chunk_in_out(ms(3));
    exchange.chunk_in_out(ms(4));
    exchange.set_usage(UsageReport::Reported(Usage { output: 5, ..Usage::default() }));
    assert_eq!(exchange.call.time_per_output_token(), Some(ms(50)), "200 ms by 4 gaps");
    exchange.set_outcome(Outcome::Ok, 200);
    drop(exchange);
    let m = meter.telemetry.metrics();
    assert_eq!(m.overhead.with(["request"]).sum(), ms(10));
    assert_eq!(m.overhead.with(["response"]).sum(), ms(7));
    assert_eq!(m.ttft.with(["r", "two", "m"]).sum(), ms(100));
    assert_eq!(m.tpot.with(["two", "m"]).sum(), ms(50));
    assert_eq!(m.connect.with(["one"]).sum(), ms(50));
    assert_eq!(m.connect.with(["two"]).sum(), ms(20));
    assert_eq!(m.connections.with(["two", "true"]).get(), 1);
    meter.shutdown();
    let record = &read(&path)[0];
    assert_eq!(record["overhead_us"]["request"], 10_000.0);
    assert_eq!(record["ttft_ms"], 100.0);
    assert_eq!(record["client_ttft_ms"], 822.0);
}

#[test]
fn content_of_a_failed_attempt_is_no_first_content() {
    let dir = tempfile::tempdir().unwrap();
    let meter = meter(&dir.path().join("usage.jsonl"));
    let target = meter.target("r", "p", "m");
    let opened = opened();
    let at = opened.accepted;
    let mut exchange = meter.open(opened);
    exchange.set_request(Some("m".into()), true, 1);
    let call = &mut exchange.call;
    call.begin_attempt(&target, at);
    call.request_sent(ms(0), at + ms(1));
    call.content(at + ms(2));
    call.begin_attempt(&target, at + ms(10));
    assert_eq!(call.client_ttft(), None);
    call.request_sent(ms(0), at + ms(20));
    call.content(at + ms(50));
    assert_eq!(call.ttft(), Some(ms(30)));
}

#[test]
fn without_a_stream_there_is_no_first_token_and_unknown_usage_is_not_zero() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.jsonl");
    let meter = meter(&path);
    let target = meter.target("r", "p", "m");
    let mut exchange = meter.open(opened());
    exchange.set_request(Some("m".into()), false, 1);
    exchange.begin_attempt(&target);
    exchange.request_sent(Duration::ZERO);
    exchange.response_head(200);
    exchange.content(Instant::now());
    exchange.set_outcome(Outcome::Ok, 200);
    drop(exchange);
    meter.shutdown();
    let record = &read(&path)[0];
    assert!(record["ttft_ms"].is_null() && record["overhead_us"]["request"].is_null());
    assert_eq!(record["tokens"], "unknown");
    let text = meter.telemetry.exposition();
    assert!(!text.contains("faregate_tokens_total{"), "{text}");
    assert!(text.contains(r#"faregate_usage_unknown_total{provider="p",model="m"} 1"#), "{text}");
}

#[test]
fn apps_and_models_that_clients_make_up_are_bounded() {
    let options = MeterOptions { max_apps: 2, max_models: 1, ..MeterOptions::default() };
    let meter = Meter::new(Telemetry::new().unwrap(), options).unwrap();
    let target = meter.target("r", "p", "");
    for (app, model, outcome) in
        [("a", "made-up", Outcome::UpstreamRejected), ("b", "served", Outcome::Ok), ("c", "served-too", Outcome::Ok)]
    {
        let mut exchange = meter.open(opened());
        exchange.set_app(app);
        exchange.set_request(Some(model.into()), false, 1);
        exchange.begin_attempt(&target);
        exchange.set_outcome(outcome, 200);
    }
    let rows = meter.telemetry.metrics().requests.rows();
    let mut seen: Vec<_> = rows.iter().map(|(labels, _)| (&*labels[0], &*labels[3])).collect();
    seen.sort_unstable();
    assert_eq!(seen, [("a", "other"), ("other", "other"), ("other", "served")], "`unknown` has the first place");
}
