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
    exchange.set_request(Some("m"), true, 100);
    exchange.body_complete();
    exchange.begin_attempt(&first);
    exchange.end_attempt(Outcome::UpstreamConnect);
    exchange.begin_attempt(&second);
    exchange.attempt_connected(false, Duration::ZERO);
    exchange.request_sent();
    exchange.response_head(200);
    exchange.first_content();
    for _ in 0..5 {
        exchange.chunk_in_out(Duration::from_micros(3));
        exchange.last_content();
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
        r#"faregate_requests_total{app="team-a",route="chat",provider="two",model="m",dialect="openai",stream="true",outcome="ok"} 1"#,
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
