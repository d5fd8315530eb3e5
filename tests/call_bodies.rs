//! Request bodies of every size, whole through a fallback; and the limits on them.

mod support;

use support::{Client, Faregate, Gate, Upstream, eventually, post, table};

const AROUND_64K: [usize; 3] = [65_535, 65_536, 65_537];
const LARGE: [usize; 2] = [1 << 20, 20 << 20];

/// A chat body of exactly this size, with no two pages alike.
fn body(size: usize) -> Vec<u8> {
    let (head, tail) = (br#"{"model":"m","messages":[{"role":"user","content":""#, br#""}]}"#);
    let fill = size - head.len() - tail.len();
    let mut body = head.to_vec();
    body.extend((0..fill).map(|n| (b'a' + (n % 26) as u8) ^ ((n >> 12) & 1) as u8));
    body.extend_from_slice(tail);
    assert_eq!(body.len(), size);
    body
}

fn chunked(body: &[u8], chunk: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / 64);
    for part in body.chunks(chunk) {
        out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

#[test]
fn every_size_survives_a_fallback() {
    // The first upstream reads all of it and fails; the second must get the same bytes.
    let (first, second) = (Upstream::json(500, "{}"), Upstream::json(200, "{}"));
    let config = table::with(
        &table::fallback(&[first.address, second.address]),
        "defaults: { retry: { budget: 1.0 }, health: { consecutive_failures: 0, error_rate: 0.0 } }",
    );
    let faregate = Faregate::start(&config);
    let mut client = Client::connect(faregate.api);
    let mut calls = 0;
    for size in AROUND_64K.into_iter().chain(LARGE) {
        let body = body(size);
        for chunk in [0, 1000, 70_000] {
            if chunk == 0 {
                client.post("/v1/chat/completions", &[], &body);
            } else {
                client.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
                client.send(chunked(&body, chunk));
            }
            client.response().expect(200);
            for upstream in [&first, &second] {
                let request = upstream.requests().pop().unwrap();
                assert!(request.body == body, "{size} bytes came changed, chunk size {chunk}");
                assert_eq!(request.header("content-length"), Some(size.to_string().as_str()));
            }
            calls += 1;
        }
    }
    let records = faregate.stop();
    assert_eq!(records.len(), calls);
    assert!(records.iter().all(|record| record["outcome"] == "ok"));
    assert_eq!(records.last().unwrap()["bytes_in"], 20 << 20);
}

#[test]
fn bodies_of_nothing_and_of_one_byte() {
    let upstream = Upstream::start(|peer, request| peer.reply(200, &[], request.body.clone()));
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    for body in ["", "1"] {
        // Read whole, they are no JSON objects; passed through unread, they are nobody's business.
        client.post("/v1/chat/completions", &[], body);
        client.response().expect(400);
        client.post("/v1/files", &[], body);
        assert_eq!(client.response().expect(200).text(), body);
        client.send("POST /v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
        client.send(chunked(body.as_bytes(), 1));
        assert_eq!(client.response().expect(200).text(), body);
    }
    assert_eq!(faregate.stop().len(), 6);
}

#[test]
fn a_body_that_drips_in_arrives_whole() {
    let upstream = Upstream::json(200, "{}");
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let whole = body(300);
    let mut client = Client::connect(faregate.api);
    client.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    for byte in chunked(&whole, 7) {
        client.send([byte]);
    }
    client.response().expect(200);
    assert!(upstream.request().body == whole);
}

#[test]
fn a_body_over_the_limit_is_refused_in_the_clients_dialect() {
    let upstream = Upstream::json(200, "{}");
    let config = table::with(&table::fallback(&[upstream.address]), "server: { limits: { body: 100KiB } }");
    let faregate = Faregate::start(&config);
    let limit = 100 << 10;
    for (path, kind) in [("/v1/chat/completions", "invalid_request_error"), ("/v1/messages", "request_too_large")] {
        post(faregate.api, path, body(limit)).expect(200);
        let error = post(faregate.api, path, body(limit + 1)).expect(413).json();
        assert_eq!(error["error"]["type"], kind, "{error}");
        let mut client = Client::connect(faregate.api);
        client.send(format!("POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"));
        client.send(chunked(&body(limit), 10_000));
        client.response().expect(200);
        client.send(format!("POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"));
        client.send(chunked(&body(limit + 1), 10_000));
        let response = client.response().expect(413);
        assert_eq!((response.header("connection"), &response.json()["error"]["type"]), (Some("close"), &kind.into()));
    }
    assert_eq!(upstream.requests().len(), 4);
    let records = faregate.stop();
    let refused: Vec<_> = records.iter().filter(|record| record["status"] == 413).collect();
    assert_eq!((records.len(), refused.len()), (8, 4));
    assert!(refused.iter().all(|record| record["outcome"] == "client_invalid"));
}

#[test]
fn the_answer_to_a_far_too_large_body_is_not_lost() {
    let upstream = Upstream::json(200, "{}");
    let config = table::with(&table::fallback(&[upstream.address]), "server: { limits: { body: 1MiB } }");
    let faregate = Faregate::start(&config);
    // The client sends all of it before it reads.
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], body(20 << 20));
    client.response().expect(413);
}

#[test]
fn a_route_has_a_limit_of_its_own() {
    let upstream = Upstream::json(200, "{}");
    let config = table::fallback(&[upstream.address]).replace("- name: all\n", "- name: all\n  max_body: 1000B\n");
    let faregate = Faregate::start(&config);
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], body(1000));
    client.response().expect(200);
    client.post("/v1/chat/completions", &[], body(1001));
    client.response().expect(413);
    client.post("/v1/files", &[], body(1001));
    client.response().expect(413);
    let mut client = Client::connect(faregate.api);
    client.send("POST /v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send(chunked(&body(1001), 500));
    client.response().expect(413);
    let records = faregate.stop();
    assert_eq!(records.iter().map(|r| r["status"].as_u64().unwrap()).collect::<Vec<_>>(), [200, 413, 413, 413]);
}

#[test]
fn all_bodies_in_flight_share_one_budget() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |peer, _| {
        held.wait();
        peer.json(200, "{}");
    });
    let config = table::with(
        &table::fallback(&[upstream.address]),
        "server: { limits: { body: 95KiB, bodies_in_flight: 100KiB } }",
    );
    let faregate = Faregate::start(&config);
    let mut first = Client::connect(faregate.api);
    first.post("/v1/chat/completions", &[], body(70 << 10));
    upstream.wait_requests(1);
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let response = post(faregate.api, path, body(40 << 10)).expect(503);
        assert!(response.header("retry-after").is_some());
        assert!(response.json()["error"]["message"].is_string());
    }
    let mut small = Client::connect(faregate.api);
    small.post("/v1/chat/completions", &[], body(20 << 10));
    upstream.wait_requests(2);
    gate.open();
    first.response().expect(200);
    small.response().expect(200);
    eventually("the budget is given back", || post(faregate.api, "/v1/messages", body(90 << 10)).status == 200);
    let records = faregate.stop();
    assert_eq!(records.iter().filter(|r| r["outcome"] == "policy_rate_limited" && r["status"] == 503).count(), 2);
}

#[test]
fn a_body_is_let_go_once_the_answer_flows() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |peer, _| {
        peer.sse_head();
        peer.chunk("data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n");
        held.wait();
        peer.last_chunk();
    });
    let config = table::with(
        &table::fallback(&[upstream.address]),
        "server: { limits: { body: 16MiB, bodies_in_flight: 20MiB } }",
    );
    let faregate = Faregate::start(&config);
    let before = faregate.resident();
    // Together they are far over the budget; none of them can be sent again.
    let mut streams: Vec<Client> = (0..6)
        .map(|_| {
            let mut client = Client::connect(faregate.api);
            client.post("/v1/chat/completions", &[], body(15 << 20));
            client.head();
            client.chunks_until("Hi");
            client
        })
        .collect();
    // An allocator may keep some of what it was given back, but not all six.
    let grown = faregate.resident().saturating_sub(before);
    assert!(grown < 75 << 20, "six bodies of 15 MiB take {grown} bytes while their answers flow");
    gate.open();
    for client in &mut streams {
        while client.chunk().is_some() {}
    }
    assert_eq!(faregate.stop().len(), 6);
}

#[test]
fn slow_clients_are_told_so() {
    let upstream = Upstream::json(200, "{}");
    let config =
        table::with(&table::fallback(&[upstream.address]), "server: { client_timeouts: { head: 300ms, body: 300ms } }");
    let faregate = Faregate::start(&config);
    let mut client = Client::connect(faregate.api);
    client.send("POST /v1/chat/completions HTTP/1.1\r\nhost");
    client.response().expect(408);
    assert_eq!(client.rest(), b"");
    for (path, framing) in [
        ("/v1/messages", "content-length: 100\r\n\r\n{"),
        ("/v1/chat/completions", "transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"),
        ("/v1/files", "content-length: 100\r\n\r\n{"),
    ] {
        let mut client = Client::connect(faregate.api);
        client.send(format!("POST {path} HTTP/1.1\r\nhost: x\r\n{framing}"));
        let response = client.response().expect(408);
        assert_eq!(response.header("connection"), Some("close"));
        assert_eq!(client.rest(), b"");
    }
    let records = faregate.stop();
    assert_eq!(records.len(), 3, "what never had a head was no call");
    assert!(records.iter().all(|r| r["outcome"] == "client_invalid" && r["status"] == 408), "{records:#?}");
}

#[test]
fn an_oversized_head_is_refused() {
    let upstream = Upstream::json(200, "{}");
    let config = table::with(&table::fallback(&[upstream.address]), "server: { limits: { head: 4KiB } }");
    let faregate = Faregate::start(&config);
    let mut client = Client::connect(faregate.api);
    let pad = format!("x-pad: {}", "x".repeat(3000));
    client.post("/v1/messages", &[&pad], body(100));
    client.response().expect(200);
    let pad = format!("x-pad: {}", "x".repeat(5000));
    client.post("/v1/messages", &[&pad], body(100));
    let error = client.response().expect(431).json();
    assert_eq!(error["type"], "error", "in the client's dialect: {error}");
    assert_eq!(faregate.stop().len(), 1);
}

#[test]
fn a_body_that_breaks_the_framing_is_refused() {
    let upstream = Upstream::json(200, "{}");
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    for path in ["/v1/chat/completions", "/v1/files"] {
        let mut client = Client::connect(faregate.api);
        client.send(format!("POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"));
        client.response().expect(400);
        assert_eq!(client.rest(), b"");
    }
    let records = faregate.stop();
    assert!(records.iter().all(|r| r["outcome"] == "client_invalid"), "{records:#?}");
    assert_eq!(records.len(), 2);
}
