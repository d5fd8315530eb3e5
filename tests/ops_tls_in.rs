//! The API over TLS, with HTTP/1.1 and HTTP/2 by ALPN: the same behaviour over each, and certificates that rotate.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::Reason;
use support::h2::H2Client;
use support::tls::{Authority, behind};
use support::{Client, Faregate, Gate, Setup, Upstream, eventually, get, table};

const BODY: &str = r#"{"model":"m","messages":[]}"#;
const STREAMED: &str = r#"{"model":"m","stream":true,"messages":[]}"#;
const FIRST: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n";

fn secure(authority: &Authority, config: &str, server: &str) -> Faregate {
    let pair = authority.issue(&["localhost"]);
    Setup::new(&format!("server: {{ tls: {{ certificate: c.pem, key: k.pem }}, {server} }}\n{config}"))
        .file("c.pem", &pair.certificate)
        .file("k.pem", &pair.key)
        .start()
}

fn http2(faregate: &Faregate, authority: &Authority) -> H2Client {
    H2Client::connect(faregate.api, authority.client(&["h2"]), "localhost")
}

/// How a call travels.
#[derive(Clone, Copy, Debug)]
enum Over {
    Http1,
    Http2,
}

#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    /// Of those headers that say the same over every version.
    headers: Vec<(String, String)>,
    body: String,
    trailers: Vec<String>,
}

fn call(
    over: Over,
    http1: SocketAddr,
    http2: &H2Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let same = |name: &str| {
        ["content-type", "content-length", "retry-after", "x-faregate-route", "x-faregate-attempts", "x-kept"]
            .contains(&name)
    };
    let (status, all, body, mut trailers) = match over {
        Over::Http1 => {
            let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let mut client = Client::connect(http1);
            if body.is_empty() {
                client.ask(method, path, &lines)
            } else {
                client.post(path, &lines, body)
            }
            let answer = client.response_to(method);
            (answer.status, answer.head.headers, answer.body, answer.trailers)
        }
        Over::Http2 => {
            let sent = if body.is_empty() {
                http2.start(method, path, headers, true)
            } else {
                http2.post(path, headers, body)
            };
            let answer = sent.unwrap().answer().unwrap();
            let pairs = |map: &http::HeaderMap| -> Vec<(String, String)> {
                map.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect()
            };
            let trailers = answer.trailers.iter().flat_map(pairs).map(|(n, v)| format!("{n}: {v}")).collect();
            (answer.status, pairs(&answer.headers), answer.body, trailers)
        }
    };
    // The request's own id stands in some bodies.
    let id = all.iter().find(|(n, _)| n.eq_ignore_ascii_case("x-faregate-request-id")).map(|(_, id)| id.clone());
    let body = String::from_utf8(body).unwrap().replace(&id.unwrap(), "ID");
    let mut headers: Vec<_> = all.into_iter().map(|(n, v)| (n.to_lowercase(), v)).filter(|(n, _)| same(n)).collect();
    headers.sort();
    trailers.sort();
    Answer { status, headers, body, trailers }
}

/// One body of calls, over both versions.
#[test]
fn every_version_gets_the_same_answers() {
    let upstream = Upstream::start(|peer, request| match request.target.as_str() {
        "/v1/files/trailers" => peer.send(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 9\r\n\r\n",
        ),
        "/v1/files/empty" => peer.send("HTTP/1.1 204 No Content\r\nx-kept: yes\r\n\r\n"),
        _ if request.text().contains("\"stream\":true") => peer.sse(&[FIRST, "data: [DONE]\n\n"]),
        _ if request.text().contains("limited") => {
            peer.reply(429, &["retry-after: 7"], r#"{"error":{"message":"slow"}}"#)
        }
        _ => {
            let echo = format!(
                "{{\"method\":\"{}\",\"target\":\"{}\",\"length\":{}}}",
                request.method,
                request.target,
                request.body.len()
            );
            peer.reply(200, &["content-type: application/json", "x-kept: yes"], echo);
        }
    });
    let authority = Authority::new();
    let limits = "limits: { body: 2MiB }";
    let faregate = secure(&authority, &table::fallback(&[upstream.address]), limits);
    let http1 = behind(faregate.api, authority.client(&["http/1.1"]), "localhost").address;
    let http2 = http2(&faregate, &authority);
    let big = format!("{{\"model\":\"m\",\"messages\":[\"{}\"]}}", "x".repeat(1 << 20));
    let too_big = format!("{{\"model\":\"m\",\"messages\":[\"{}\"]}}", "x".repeat(3 << 20));
    let limited = r#"{"model":"limited","messages":[]}"#;
    let none: &[(&str, &str)] = &[];
    for (method, path, headers, body, status) in [
        ("POST", "/v1/chat/completions", none, BODY, 200),
        ("POST", "/v1/chat/completions", none, STREAMED, 200),
        ("POST", "/v1/chat/completions", none, &big, 200),
        ("POST", "/v1/chat/completions", none, &too_big, 413),
        ("POST", "/v1/messages", none, &too_big, 413),
        ("POST", "/v1/chat/completions", none, limited, 429),
        ("GET", "/alpha/v1/files?limit=2", none, "", 200),
        ("HEAD", "/alpha/v1/files", none, "", 200),
        ("DELETE", "/alpha/v1/files/1", none, "", 200),
        ("GET", "/alpha/v1/files/empty", none, "", 204),
        ("GET", "/alpha/v1/files/trailers", &[("te", "trailers")], "", 200),
    ] {
        let one = call(Over::Http1, http1, &http2, method, path, headers, body);
        let two = call(Over::Http2, http1, &http2, method, path, headers, body);
        assert_eq!(one.status, status, "{method} {path}: {one:?}");
        assert_eq!(one, two, "{method} {path}");
    }
    assert_eq!(http2.closed(), None, "one connection served them all");
}

#[test]
fn a_stream_over_http2_flows_and_a_reset_cancels_the_call_upstream() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |peer, request| {
        peer.sse_head();
        peer.chunk(FIRST);
        if request.text().contains("given-up") {
            peer.wait_closed();
            return;
        }
        held.wait();
        peer.chunk("data: [DONE]\n\n");
        peer.last_chunk();
    });
    let authority = Authority::new();
    let faregate = secure(&authority, &table::fallback(&[upstream.address]), "");
    let client = http2(&faregate, &authority);
    let mut call = client.post("/v1/chat/completions", &[], STREAMED).unwrap();
    let mut stream = call.head().unwrap().into_body();
    assert_eq!(call.next(&mut stream).unwrap().unwrap(), FIRST);
    let mut given_up = client.post("/v1/chat/completions", &[], &STREAMED.replace("\"m\"", "\"given-up\"")).unwrap();
    let mut other = given_up.head().unwrap().into_body();
    given_up.next(&mut other).unwrap();
    given_up.body.send_reset(Reason::CANCEL);
    upstream.wait_closed(1);
    // The call beside it, on the same connection, is not touched.
    gate.open();
    let mut rest = Vec::new();
    while let Some(chunk) = call.next(&mut stream).unwrap() {
        rest.extend(chunk);
    }
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    let mut outcomes: Vec<_> =
        faregate.wait_records(2).iter().map(|r| r["outcome"].as_str().unwrap().to_owned()).collect();
    outcomes.sort();
    assert_eq!(outcomes, ["client_disconnected", "ok"]);
}

/// A client that does not read holds its provider up instead of filling memory, and the calls beside it go on.
#[test]
fn a_slow_reader_slows_the_provider() {
    const TOTAL: usize = 64 << 20;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let upstream = Upstream::start(move |peer, request| {
        if !request.text().contains("\"stream\":true") {
            return peer.json(200, "{}");
        }
        peer.sse_head();
        let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(16 << 10));
        while count.fetch_add(event.len(), Ordering::SeqCst) < TOTAL {
            peer.chunk(&event);
        }
        peer.last_chunk();
    });
    let authority = Authority::new();
    let faregate = secure(&authority, &table::fallback(&[upstream.address]), "");
    let client = H2Client::with_window(faregate.api, authority.client(&["h2"]), "localhost", 128 << 10);
    let before = faregate.resident();
    let mut call = client.post("/v1/chat/completions", &[], STREAMED).unwrap();
    let mut stream = call.head().unwrap().into_body();
    // Until nothing moves any more.
    let mut last = 0;
    loop {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let now = sent.load(Ordering::SeqCst);
        if now == last && now > 0 {
            break;
        }
        last = now;
    }
    assert!(last < TOTAL / 2, "{last} bytes were taken from the provider for a client that reads none");
    assert!(faregate.resident() < before + (24 << 20), "memory grew by {}", faregate.resident() - before);
    let mut got = 0;
    while let Some(chunk) = call.next(&mut stream).unwrap() {
        got += chunk.len();
    }
    assert!(got >= TOTAL);
    assert_eq!(faregate.wait_records(1)[0]["outcome"], "ok");
}

#[test]
fn many_streams_at_once_and_no_more_than_announced() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |peer, _| {
        held.wait();
        peer.json(200, "{}");
    });
    let authority = Authority::new();
    let faregate = secure(&authority, &table::fallback(&[upstream.address]), "");
    let client = http2(&faregate, &authority);
    let calls: Vec<_> = (0..150).map(|_| client.post("/v1/chat/completions", &[], BODY).unwrap()).collect();
    upstream.wait_requests(150);
    gate.open();
    for call in calls {
        assert_eq!(call.answer().unwrap().status, 200);
    }
    assert_eq!(faregate.wait_records(150).len(), 150);
}

#[test]
fn heads_beyond_the_limit_are_refused_and_the_connection_goes_on() {
    let upstream = Upstream::json(200, "{}");
    let authority = Authority::new();
    let faregate = secure(&authority, &table::fallback(&[upstream.address]), "limits: { head: 8KiB }");
    let client = http2(&faregate, &authority);
    let large = "y".repeat(12 << 10);
    let refused = client.post("/v1/chat/completions", &[("x-large", &large)], BODY).and_then(|call| call.answer());
    match refused {
        Ok(answer) => assert_eq!(answer.status, 431),
        Err(error) => assert!(error.is_reset(), "{error}"),
    }
    assert!(upstream.requests().is_empty());
    assert_eq!(client.post("/v1/chat/completions", &[], BODY).unwrap().answer().unwrap().status, 200);
}

#[test]
fn a_stop_says_goaway_and_lets_streams_finish() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |peer, _| {
        peer.sse_head();
        peer.chunk(FIRST);
        held.wait();
        peer.chunk("data: [DONE]\n\n");
        peer.last_chunk();
    });
    let authority = Authority::new();
    let mut faregate = secure(&authority, &table::fallback(&[upstream.address]), "");
    let client = http2(&faregate, &authority);
    let mut call = client.post("/v1/chat/completions", &[], STREAMED).unwrap();
    let mut stream = call.head().unwrap().into_body();
    call.next(&mut stream).unwrap();
    faregate.signal("TERM");
    eventually("readiness off", || get(faregate.admin, "/readyz").status == 503);
    // New streams are refused with GOAWAY, sooner or later (it may not have arrived yet).
    eventually("no new streams", || client.start("GET", "/alpha/v1/files", &[], true).is_err());
    gate.open();
    let mut rest = Vec::new();
    while let Some(chunk) = call.next(&mut stream).unwrap() {
        rest.extend(chunk);
    }
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    drop((call, stream));
    assert_eq!(faregate.wait().code(), Some(0));
    // In good order or, where the process was gone before its last frame was read, by a reset: nothing is left to lose.
    assert!(client.closed().is_some(), "the connection is still open");
}

#[test]
fn a_rotated_certificate_is_shown_to_new_connections() {
    let upstream = Upstream::json(200, "{}");
    let (old, new) = (Authority::new(), Authority::new());
    let faregate = secure(&old, &table::fallback(&[upstream.address]), "");
    let before = http2(&faregate, &old);
    let pair = new.issue(&["localhost"]);
    // One file after the other, as copying does it.
    fs::write(faregate.path().join("c.pem"), &pair.certificate).unwrap();
    faregate.wait_logged("the certificate in use stays");
    fs::write(faregate.path().join("k.pem"), &pair.key).unwrap();
    faregate.wait_logged("the certificate was read again");
    let after = http2(&faregate, &new);
    for client in [&before, &after] {
        assert_eq!(client.post("/v1/chat/completions", &[], BODY).unwrap().answer().unwrap().status, 200);
    }
    let refused = behind(faregate.api, old.client(&["http/1.1"]), "localhost");
    let mut client = Client::connect(refused.address);
    client.ask("GET", "/", &[]);
    assert!(client.rest().is_empty());
    eventually("the old authority's client to refuse", || refused.failed() == 1);
    assert_eq!(refused.made(), 0);
}

#[test]
fn uploads_stream_through_over_http2() {
    let upstream = Upstream::start(|peer, request| peer.json(200, format!("{{\"length\":{}}}", request.body.len())));
    let authority = Authority::new();
    let faregate = secure(&authority, &table::fallback(&[upstream.address]), "limits: { body: 64KiB }");
    let client = http2(&faregate, &authority);
    let mut call =
        client.start("POST", "/alpha/v1/files", &[("content-type", "application/octet-stream")], false).unwrap();
    let part = Bytes::from(vec![7; 256 << 10]);
    for last in [false, false, false, true] {
        call.body.reserve_capacity(part.len());
        let mut left = part.clone();
        while !left.is_empty() {
            let room = client.wait(std::future::poll_fn(|cx| call.body.poll_capacity(cx))).unwrap().unwrap();
            let now = left.split_to(room.min(left.len()));
            call.body.send_data(now, last && left.is_empty()).unwrap();
            call.body.reserve_capacity(left.len());
        }
    }
    assert_eq!(call.answer().unwrap().body, format!("{{\"length\":{}}}", 1 << 20).as_bytes());
}
