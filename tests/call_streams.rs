//! Streams flow chunk by chunk, in bounded memory, and clients that go away cancel them.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::{Blackhole, Client, Faregate, Gate, Upstream, attempt_outcomes, eventually, table};

const STREAM: &str = r#"{"model":"m","messages":[],"stream":true}"#;
const ROLE: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";

fn word(n: usize) -> String {
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"word-{n};\"}}}}]}}\n\n")
}

#[test]
fn each_chunk_is_seen_before_the_next_is_sent() {
    const CHUNKS: usize = 20;
    for (path, targets) in [("/v1/chat/completions", 1), ("/v1/chat/completions", 2), ("/v1/messages", 1)] {
        let gates: Vec<Gate> = (0..CHUNKS).map(|_| Gate::default()).collect();
        let waits = gates.clone();
        let upstream = Upstream::start(move |peer, _| {
            peer.sse_head();
            for (n, seen) in waits.iter().enumerate() {
                peer.chunk(word(n));
                seen.wait();
            }
            peer.last_chunk();
        });
        let faregate = Faregate::start(&table::fallback(&vec![upstream.address; targets]));
        let mut client = Client::connect(faregate.api);
        client.post(path, &[], STREAM);
        assert_eq!(client.head().get("content-type"), Some("text/event-stream"));
        for (n, seen) in gates.iter().enumerate() {
            assert_eq!(client.chunks_until(&format!("word-{n};")), word(n));
            seen.open();
        }
        assert_eq!(client.chunk(), None);
        assert_eq!(faregate.only_record()["outcome"], "ok");
    }
}

#[test]
fn a_slow_client_slows_the_upstream_and_memory_stays() {
    // The upstream writes as much as it can; the client reads nothing until the upstream is stuck.
    const PIECE: usize = 16 * 1024;
    let (written, done) = (Arc::new(AtomicUsize::new(0)), Gate::default());
    let (count, stop) = (written.clone(), done.clone());
    let upstream = Upstream::start(move |peer, _| {
        peer.sse_head();
        peer.chunk(word(0));
        let piece = format!("{PIECE:x}\r\n: {}\n\n\r\n", "x".repeat(PIECE - 4));
        for _ in 0..8192 {
            if peer.try_send(&piece).is_err() {
                break;
            }
            count.fetch_add(PIECE, Ordering::SeqCst);
        }
        peer.last_chunk();
        stop.open();
    });
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    let before = faregate.resident();
    client.post("/v1/chat/completions", &[], STREAM);
    client.head();
    // 128 MiB are to come. It is stuck when nothing has moved for a while; kernels hold a few MiB on the way.
    let mut last = usize::MAX;
    eventually("the upstream is stuck", || {
        std::thread::sleep(Duration::from_millis(300));
        let now = written.load(Ordering::SeqCst);
        std::mem::replace(&mut last, now) == now
    });
    let stuck = written.load(Ordering::SeqCst);
    assert!(stuck < 64 << 20, "{stuck} bytes were taken although nobody read them");
    let grown = faregate.resident().saturating_sub(before);
    assert!(grown < 8 << 20, "grew by {grown} bytes");
    let mut seen = 0;
    while let Some(chunk) = client.chunk() {
        seen += chunk.len();
    }
    done.wait();
    assert_eq!(seen, word(0).len() + written.load(Ordering::SeqCst));
    let grown = faregate.resident().saturating_sub(before);
    assert!(grown < 16 << 20, "grew by {grown} bytes");
    assert_eq!(faregate.only_record()["outcome"], "ok");
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let upstream = Upstream::start(|peer, _| {
        peer.sse_head();
        peer.chunk(word(0));
        let piece = vec![b'\n'; 64 * 1024];
        while peer.try_send(format!("{:x}\r\n", piece.len())).is_ok()
            && peer.try_send(&piece).is_ok()
            && peer.try_send("\r\n").is_ok()
        {}
        peer.wait_closed();
    });
    let config = table::with(&table::fallback(&[upstream.address]), "server: { client_timeouts: { write: 500ms } }");
    let faregate = Faregate::start(&config);
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], STREAM);
    upstream.wait_closed(0);
    assert_eq!(faregate.only_record()["outcome"], "client_disconnected");
}

/// How a client goes away.
fn leave(client: Client, reset: bool) {
    if reset { client.reset() } else { drop(client) }
}

#[test]
fn a_client_that_goes_away_while_connecting() {
    let hole = Blackhole::new();
    let faregate = Faregate::start(&table::fallback(&[hole.address]));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], STREAM);
    faregate.wait_metric("faregate_requests_in_flight", &[], 1.0);
    drop(client);
    faregate.wait_metric("faregate_requests_in_flight", &[], 0.0);
    let record = faregate.only_record();
    assert_eq!(record["outcome"], "client_disconnected");
    assert_eq!(attempt_outcomes(&record), ["alpha:client_disconnected"]);
}

#[test]
fn a_client_that_goes_away_while_the_head_is_awaited() {
    for reset in [false, true] {
        let upstream = Upstream::start(|peer, _| peer.wait_closed());
        let second = Upstream::json(200, "{}");
        let faregate = Faregate::start(&table::fallback(&[upstream.address, second.address]));
        let mut client = Client::connect(faregate.api);
        client.post("/v1/chat/completions", &[], STREAM);
        upstream.wait_requests(1);
        leave(client, reset);
        upstream.wait_closed(0);
        let record = faregate.only_record();
        assert_eq!((&record["outcome"], &record["status"]), (&"client_disconnected".into(), &serde_json::Value::Null));
        assert_eq!(attempt_outcomes(&record), ["alpha:client_disconnected"]);
        assert_eq!(record["tokens"], "unknown");
        assert_eq!(second.connections(), 0, "nobody is left to fall back for");
    }
}

#[test]
fn a_client_that_goes_away_before_content() {
    let sse = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 999\r\n\r\n: ping\n\n";
    // Held back without an end: an event stream would be let go after a while.
    let json = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{";
    for answer in [sse, json] {
        let upstream = Upstream::start(move |peer, _| {
            peer.send(answer);
            peer.wait_closed();
        });
        let second = Upstream::json(200, "{}");
        let faregate = Faregate::start(&table::fallback(&[upstream.address, second.address]));
        let mut client = Client::connect(faregate.api);
        client.post("/v1/chat/completions", &[], STREAM);
        upstream.wait_requests(1);
        drop(client);
        upstream.wait_closed(0);
        assert_eq!(second.connections(), 0);
        assert_eq!(faregate.only_record()["outcome"], "client_disconnected");
    }
}

#[test]
fn a_client_that_goes_away_mid_stream() {
    for reset in [false, true] {
        let upstream = Upstream::start(|peer, _| {
            peer.sse_head();
            peer.chunk(word(0));
            peer.wait_closed();
        });
        let faregate = Faregate::start(&table::fallback(&[upstream.address]));
        let mut client = Client::connect(faregate.api);
        client.post("/v1/chat/completions", &[], STREAM);
        client.head();
        client.chunks_until("word-0;");
        leave(client, reset);
        upstream.wait_closed(0);
        let record = faregate.only_record();
        assert_eq!((&record["outcome"], &record["status"]), (&"client_disconnected".into(), &200.into()));
        assert_eq!(
            (&record["usage_state"], record["bytes_out"].as_u64()),
            (&"estimated".into(), Some(word(0).len() as u64))
        );
    }
}

#[test]
fn a_client_that_goes_away_inside_its_body() {
    let upstream = Upstream::json(200, "{}");
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    client.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{");
    faregate.wait_metric("faregate_requests_in_flight", &[], 1.0);
    drop(client);
    faregate.wait_metric("faregate_requests_in_flight", &[], 0.0);
    assert_eq!(upstream.connections(), 0);
    assert_eq!(faregate.only_record()["outcome"], "client_disconnected");
}

#[test]
fn a_half_close_cancels_or_not() {
    for (mode, served) in [("cancel", false), ("serve", true)] {
        let gate = Gate::default();
        let wait = gate.clone();
        let upstream = Upstream::start(move |peer, _| {
            peer.sse_head();
            peer.chunk(word(0));
            if served {
                wait.wait();
                peer.chunk(word(1));
                peer.last_chunk();
            } else {
                peer.wait_closed();
            }
        });
        let config = table::with(&table::fallback(&[upstream.address]), &format!("server: {{ half_close: {mode} }}"));
        let faregate = Faregate::start(&config);
        let mut client = Client::connect(faregate.api);
        client.post("/v1/chat/completions", &[], STREAM);
        upstream.wait_requests(1);
        client.finish();
        if served {
            client.head();
            client.chunks_until("word-0;");
            gate.open();
            client.chunks_until("word-1;");
            assert_eq!((client.chunk(), client.rest()), (None, vec![]));
        } else {
            upstream.wait_closed(0);
        }
        let expected = if served { "ok" } else { "client_disconnected" };
        assert_eq!(faregate.only_record()["outcome"], expected);
    }
}

#[test]
fn half_closed_clients_leave_nothing_behind() {
    let upstream = Upstream::json(200, "{}");
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    for start in ["", "POST /v1/chat", "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"] {
        let mut client = Client::connect(faregate.api);
        client.send(start);
        client.finish();
        assert_eq!(client.rest(), b"", "{start:?}");
    }
    let mut records = faregate.stop();
    assert_eq!(records.len(), 1, "only the last was a call");
    assert_eq!(records.remove(0)["outcome"], "client_disconnected");
}

#[test]
fn a_cancelled_stream_does_not_poison_the_pool() {
    let upstream = Upstream::start(|peer, request| {
        if request.text().contains("stream") {
            peer.sse_head();
            peer.chunk(word(0));
            peer.wait_closed();
        } else {
            peer.json(200, r#"{"clean":true}"#);
        }
    });
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    for n in 0..3 {
        let mut client = Client::connect(faregate.api);
        client.post("/v1/chat/completions", &[], STREAM);
        client.head();
        client.chunks_until("word-0;");
        drop(client);
        upstream.wait_closed(n);
    }
    let response = support::post(faregate.api, "/v1/chat/completions", "{\"model\":\"m\"}").expect(200);
    assert_eq!(response.text(), r#"{"clean":true}"#);
    assert_eq!(faregate.stop().len(), 4);
}

#[test]
fn an_event_cut_at_every_byte_arrives_the_same() {
    let events = [
        ROLE,
        &word(0),
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n",
        "data: [DONE]\n\n",
    ]
    .concat();
    let expected = [ROLE, &word(0), "data: [DONE]\n\n"].concat();
    let upstream = Upstream::start(move |peer, _| {
        peer.sse_head();
        for byte in events.bytes() {
            peer.chunk([byte]);
        }
        peer.last_chunk();
    });
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], STREAM);
    assert_eq!(client.response().expect(200).text(), expected);
    assert_eq!(faregate.only_record()["tokens"]["output"], 2);
}
