//! Many calls at once that end in every way there is: each leaves exactly one record, with the ending that it had.

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use support::{Client, Faregate, Gate, Upstream, table};

const THREADS: usize = 8;
const ROUNDS: usize = 15;

/// How a call ends, what the client says, and what the record must say.
const ENDINGS: [(&str, &str); 10] = [
    ("json", "ok"),
    ("stream", "ok"),
    ("fallback", "ok"),
    ("reset", "ok"),
    ("refused", "upstream_rejected"),
    ("broken", "stream_broken"),
    ("leave-early", "client_disconnected"),
    ("leave-late", "client_disconnected"),
    ("invalid", "client_invalid"),
    ("unread", "ok"),
];

fn word() -> &'static str {
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n"
}

/// Opened, by request id, when the upstream has a call that its client is about to leave.
type UnderWay = Arc<Mutex<BTreeMap<String, Gate>>>;

fn main_upstream(under_way: UnderWay) -> Upstream {
    Upstream::start(move |peer, request| {
        let text = request.text();
        let says = |ending: &str| text.contains(&format!("\"ending\":\"{ending}\""));
        if says("stream") {
            peer.sse(&[word(), "data: [DONE]\n\n"]);
        } else if says("fallback") {
            peer.json(500, "{}");
        } else if says("reset") {
            peer.reset();
        } else if says("refused") {
            peer.json(400, "{}");
        } else if says("broken") {
            peer.sse_head();
            peer.chunk(word());
            peer.close();
        } else if says("leave-early") {
            let id = request.header("x-request-id").unwrap().to_owned();
            under_way.lock().unwrap().entry(id).or_default().open();
            peer.wait_closed();
        } else if says("leave-late") {
            peer.sse_head();
            peer.chunk(word());
            peer.wait_closed();
        } else {
            peer.json(200, "{}");
        }
    })
}

fn call(faregate: &Faregate, under_way: &UnderWay, id: &str, ending: &str) {
    let mut client = Client::connect(faregate.api);
    let gate = under_way.lock().unwrap().entry(id.to_owned()).or_default().clone();
    let id = format!("x-request-id: {id}");
    let stream = matches!(ending, "stream" | "broken" | "leave-late");
    let body = format!(r#"{{"model":"m","messages":[],"stream":{stream},"ending":"{ending}"}}"#);
    match ending {
        "invalid" => client.post("/v1/chat/completions", &[&id], "{"),
        "unread" => client.post("/v1/files", &[&id], "some bytes"),
        _ => client.post("/v1/chat/completions", &[&id], body),
    }
    match ending {
        "leave-early" => {
            gate.wait();
            client.reset();
        }
        "leave-late" => {
            client.head();
            client.chunks_until("Hi");
        }
        "refused" | "invalid" => drop(client.response().expect(400)),
        _ => drop(client.response().expect(200)),
    }
}

#[test]
fn every_call_leaves_one_record() {
    let under_way = UnderWay::default();
    let (first, second) = (main_upstream(under_way.clone()), Upstream::json(200, "{}"));
    let config = table::with(
        &table::fallback(&[first.address, second.address]),
        "defaults: { retry: { budget: 1.0 }, health: { consecutive_failures: 0, error_rate: 0.0 } }",
    );
    let faregate = Faregate::start(&config);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (faregate, under_way) = (&faregate, &under_way);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    for at in 0..ENDINGS.len() {
                        // Each thread in an order of its own.
                        let (ending, _) = ENDINGS[(at * 3 + thread) % ENDINGS.len()];
                        call(faregate, under_way, &format!("{ending}-{thread}-{round}"), ending);
                    }
                }
            });
        }
    });
    let calls = THREADS * ROUNDS * ENDINGS.len();
    faregate.wait_metric("faregate_requests_total", &[], calls as f64);
    faregate.wait_metric("faregate_requests_in_flight", &[], 0.0);
    let metrics = faregate.metrics();
    let records = faregate.stop();
    assert_eq!(records.len(), calls);
    let attempts: usize = records.iter().map(|record| record["attempts"].as_array().unwrap().len()).sum();
    assert_eq!(metrics.sum("faregate_attempts_total", &[]), attempts as f64);
    let mut endings: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut ids = std::collections::BTreeSet::new();
    for record in &records {
        let id = record["request_id"].as_str().unwrap();
        assert!(ids.insert(id), "two records of {id}");
        let ending = id.rsplitn(3, '-').last().unwrap();
        *endings.entry((ending.into(), record["outcome"].as_str().unwrap().into())).or_default() += 1;
    }
    let expected: BTreeMap<_, _> =
        ENDINGS.iter().map(|(ending, outcome)| ((ending.to_string(), outcome.to_string()), THREADS * ROUNDS)).collect();
    assert_eq!(endings, expected);
}
