//! SIGTERM and SIGINT: no new calls, those in flight finish within the grace time, one usage record each, exit 0.

mod support;

use std::net::TcpStream;

use support::{Client, Faregate, Gate, Upstream, eventually, get, table};

const STREAMED: &str = r#"{"model":"m","stream":true,"messages":[]}"#;
const FIRST: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n";

/// Streams one event, waits at the gate, ends well.
fn gated(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |peer, _| {
        peer.sse_head();
        peer.chunk(FIRST);
        gate.wait();
        peer.chunk("data: [DONE]\n\n");
        peer.last_chunk();
    })
}

/// A call whose first event has arrived.
fn call(faregate: &Faregate) -> Client {
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &["content-type: application/json"], STREAMED);
    assert!(client.head().line.contains("200"));
    client.chunks_until("one");
    client
}

fn stops_in_good_order(signal: &str) {
    let gate = Gate::default();
    let upstream = gated(&gate);
    let mut faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut calls: Vec<Client> = (0..3).map(|_| call(&faregate)).collect();
    assert_eq!(get(faregate.admin, "/readyz").status, 200);
    faregate.signal(signal);
    eventually("a closed listener", || TcpStream::connect(faregate.api).is_err());
    let ready = get(faregate.admin, "/readyz");
    assert_eq!(ready.status, 503, "{ready:?}");
    assert_eq!(get(faregate.admin, "/healthz").status, 200);
    gate.open();
    for client in &mut calls {
        client.chunks_until("[DONE]");
        assert_eq!(client.chunk(), None);
    }
    assert_eq!(faregate.wait().code(), Some(0));
    let records = faregate.records_now();
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record["outcome"] == "ok"), "{records:#?}");
}

#[test]
fn sigterm_lets_streams_finish() {
    stops_in_good_order("TERM");
}

#[test]
fn sigint_lets_streams_finish() {
    stops_in_good_order("INT");
}

#[test]
fn a_second_signal_stops_at_once_with_a_record_for_every_call() {
    let gate = Gate::default();
    let upstream = gated(&gate);
    let mut faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let calls: Vec<Client> = (0..3).map(|_| call(&faregate)).collect();
    faregate.signal("TERM");
    faregate.wait_logged("stopping: calls in flight may finish");
    faregate.signal("TERM");
    // The grace time is thirty seconds, and the gate is never opened.
    assert_eq!(faregate.wait().code(), Some(0));
    assert!(faregate.stderr().contains("stopping at once"));
    cut_off(&faregate, calls);
}

#[test]
fn after_the_grace_time_calls_are_cut_off_with_a_record_each() {
    let gate = Gate::default();
    let upstream = gated(&gate);
    let config = format!("server: {{ grace: 200ms }}\n{}", table::fallback(&[upstream.address]));
    let mut faregate = Faregate::start(&config);
    let calls: Vec<Client> = (0..3).map(|_| call(&faregate)).collect();
    faregate.signal("TERM");
    assert_eq!(faregate.wait().code(), Some(0));
    cut_off(&faregate, calls);
}

fn cut_off(faregate: &Faregate, calls: Vec<Client>) {
    for mut client in calls {
        let rest = client.rest();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "a stream that was cut off looks whole");
    }
    let records = faregate.records_now();
    assert_eq!(records.len(), 3, "{records:#?}");
    assert!(records.iter().all(|record| record["outcome"] != "ok"), "{records:#?}");
}

/// The answer to a call that comes on a kept connection while the process stops says that it is the last.
#[test]
fn a_kept_connection_is_closed_with_its_next_answer() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |peer, request| {
        if request.text().contains("stream") {
            held.wait();
        }
        peer.json(200, "{}");
    });
    let mut faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut kept = Client::connect(faregate.api);
    let ask = |client: &mut Client, body: &str| {
        client.post("/v1/chat/completions", &["content-type: application/json"], body);
    };
    ask(&mut kept, r#"{"model":"m","messages":[]}"#);
    assert_eq!(kept.response().expect(200).header("connection"), None);
    let mut holds = Client::connect(faregate.api);
    ask(&mut holds, STREAMED);
    upstream.wait_requests(2);
    faregate.signal("TERM");
    faregate.wait_logged("stopping: calls in flight may finish");
    ask(&mut kept, r#"{"model":"m","messages":[]}"#);
    assert_eq!(kept.response().expect(200).header("connection"), Some("close"));
    assert!(kept.rest().is_empty());
    gate.open();
    holds.response().expect(200);
    assert_eq!(faregate.wait().code(), Some(0));
    assert_eq!(faregate.records_now().len(), 3);
}
