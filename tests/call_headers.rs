//! Header rules towards both sides: keys, hop-by-hop, encodings, `Expect`, trailers, dates, versions, pipelining.

mod support;

use support::{Client, Faregate, Setup, Upstream, table};

const CHAT: &str = r#"{"model":"m","messages":[]}"#;

/// Sends a chat call with these headers; the head at the upstream.
fn arrives(faregate: &Faregate, upstream: &Upstream, path: &str, headers: &[&str]) -> support::Head {
    let mut client = Client::connect(faregate.api);
    client.post(path, headers, CHAT);
    client.response().expect(200);
    upstream.requests().pop().unwrap().head
}

#[test]
fn keys_are_injected_and_the_clients_never_cross() {
    let upstream = Upstream::json(200, "{}");
    let a = upstream.address;
    let config = format!(
        "providers:\n  keyed: {{ base_url: \"http://{a}/v1\", credentials: {{ env: THE_KEY }} }}\n  bare: {{ base_url: \
         \"http://{a}/v1\" }}\n  named: {{ base_url: \"http://{a}/v1\", auth: {{ header: x-own-key }}, credentials: {{ \
         file: key.txt }} }}\n  none: {{ base_url: \"http://{a}/v1\", credentials: none }}\n  theirs: {{ base_url: \
         \"http://{a}/v1\", credentials: client }}\n\
         routes:\n- {{ name: bare, match: {{ model: m, headers: {{ x-to: bare }} }}, targets: [{{ provider: bare }}] }}\n\
         - {{ name: theirs, match: {{ model: m, headers: {{ x-to: theirs }} }}, targets: [{{ provider: theirs }}] }}\n"
    );
    let faregate = Setup::new(&config).env("THE_KEY", "sk-env").file("key.txt", " sk-file\n").start();
    let mine = ["authorization: Bearer sk-mine", "x-api-key: sk-mine", "api-key: sk-mine", "x-goog-api-key: sk-mine"];
    let to = |path: &str, more: &str| {
        let headers: Vec<&str> = mine.iter().copied().chain((!more.is_empty()).then_some(more)).collect();
        let head = arrives(&faregate, &upstream, path, &headers);
        let others = ["x-api-key", "api-key", "x-goog-api-key"].map(|name| head.all(name).len()).iter().sum::<usize>();
        (head.all("authorization").join("|"), others, head)
    };
    let (authorization, others, _) = to("/keyed/v1/chat/completions", "");
    assert_eq!((authorization.as_str(), others), ("Bearer sk-env", 0), "ours replaces the client's");
    let (authorization, others, head) = to("/named/v1/chat/completions", "");
    assert_eq!((authorization.as_str(), others, head.get("x-own-key")), ("", 0, Some("sk-file")));
    let (authorization, others, _) = to("/none/v1/chat/completions", "");
    assert_eq!((authorization.as_str(), others), ("", 0));
    let (authorization, others, _) = to("/bare/v1/chat/completions", "");
    assert_eq!((authorization.as_str(), others), ("Bearer sk-mine", 3), "addressed by its path, without a key of ours");
    let (authorization, others, _) = to("/v1/chat/completions", "x-to: bare");
    assert_eq!((authorization.as_str(), others), ("", 0), "not addressed: the client meant another provider's key");
    let (authorization, others, _) = to("/v1/chat/completions", "x-to: theirs");
    assert_eq!((authorization.as_str(), others), ("Bearer sk-mine", 3), "the configuration says so");
    assert_eq!(faregate.stop().len(), 6);
}

#[test]
fn a_fallback_sends_each_provider_its_own_key() {
    let (first, second) = (Upstream::json(500, "{}"), Upstream::json(200, "{}"));
    let faregate = Faregate::start(&table::fallback(&[first.address, second.address]));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/messages", &["x-api-key: mine", "authorization: Bearer mine"], CHAT);
    client.response().expect(200);
    for (upstream, key) in [(&first, "key-alpha"), (&second, "key-beta")] {
        let head = upstream.request().head;
        let text = String::from_utf8_lossy(&head.raw).into_owned();
        assert!(text.contains(key) && !text.contains("mine"), "{text}");
        assert_eq!(text.matches("key-").count(), 1, "{text}");
    }
}

#[test]
fn hop_by_hop_fields_end_here() {
    let upstream = Upstream::start(|peer, _| {
        peer.reply(
            200,
            &[
                "content-type: application/json",
                "connection: keep-alive, x-back-hop",
                "x-back-hop: 1",
                "keep-alive: timeout=5",
                "proxy-authenticate: Basic",
                "x-faregate-route: forged",
                "x-stays: yes",
            ],
            "{}",
        );
    });
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    let headers = [
        "connection: keep-alive, X-Hop",
        "x-hop: 1",
        "keep-alive: timeout=5",
        "te: trailers",
        "proxy-authorization: Basic eA==",
        "accept-encoding: gzip, br",
        "x-faregate-app: a",
        "x-faregate-other: b",
        "x-stays: yes",
        "user-agent: sdk/1.0",
    ];
    client.post("/v1/chat/completions", &headers, CHAT);
    let response = client.response().expect(200);
    let head = upstream.request().head;
    for gone in ["connection", "x-hop", "keep-alive", "te", "proxy-authorization", "x-faregate-app", "x-faregate-other"]
    {
        assert_eq!(head.all(gone), Vec::<&str>::new(), "{gone}");
    }
    assert_eq!((head.get("x-stays"), head.get("user-agent")), (Some("yes"), Some("sdk/1.0")));
    assert_eq!(head.get("accept-encoding"), Some("identity"), "the answer is read");
    assert_eq!(head.get("host"), Some(upstream.address.to_string().as_str()));
    for gone in ["x-back-hop", "keep-alive", "proxy-authenticate", "connection"] {
        assert_eq!(response.head.all(gone), Vec::<&str>::new(), "{gone}");
    }
    assert_eq!((response.header("x-stays"), response.header("x-faregate-route")), (Some("yes"), Some("all")));
}

#[test]
fn an_unread_answer_may_be_encoded() {
    let upstream = Upstream::start(|peer, _| peer.reply(200, &["content-encoding: gzip"], b"\x1f\x8b..."));
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    client.ask("GET", "/v1/files", &["accept-encoding: gzip"]);
    let response = client.response().expect(200);
    assert_eq!((response.header("content-encoding"), response.body.as_slice()), (Some("gzip"), &b"\x1f\x8b..."[..]));
    assert_eq!(upstream.request().header("accept-encoding"), Some("gzip"));
}

#[test]
fn one_date() {
    let theirs = "date: Sun, 06 Nov 1994 08:49:37 GMT";
    let dated = Upstream::start(move |peer, _| peer.reply(200, &[theirs], "{}"));
    let faregate = Faregate::start(&table::fallback(&[dated.address]));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], CHAT);
    assert_eq!(client.response().expect(200).head.all("date"), ["Sun, 06 Nov 1994 08:49:37 GMT"]);
    let undated = Upstream::json(200, "{}");
    let faregate = Faregate::start(&table::fallback(&[undated.address]));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], CHAT);
    assert_eq!(client.response().expect(200).head.all("date").len(), 1);
}

#[test]
fn one_hundred_is_sent_when_it_is_needed() {
    let upstream = Upstream::json(200, "{}");
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let expect = |length: usize| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut client = Client::connect(faregate.api);
    client.send(expect(CHAT.len()));
    assert_eq!(client.head().line, "HTTP/1.1 100 Continue");
    client.send(CHAT);
    client.response().expect(200);
    // The body came without being asked for: an interim answer would only be in the way.
    client.send([expect(CHAT.len()).as_bytes(), CHAT.as_bytes()].concat());
    client.response().expect(200);
    assert!(upstream.requests().iter().all(|request| request.header("expect").is_none()));
    assert_eq!(faregate.stop().len(), 2);
}

#[test]
fn too_large_a_body_is_refused_instead_of_asked_for() {
    let upstream = Upstream::json(200, "{}");
    let faregate =
        Faregate::start(&table::with(&table::fallback(&[upstream.address]), "server: { limits: { body: 1KiB } }"));
    let mut client = Client::connect(faregate.api);
    client.send("POST /v1/messages HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1025\r\n\r\n");
    let error = client.response().expect(413).json();
    assert_eq!(error["error"]["type"], "request_too_large");
    assert_eq!(client.rest(), b"");
    assert_eq!(faregate.only_record()["outcome"], "client_invalid");
}

#[test]
fn trailers_reach_who_takes_them() {
    let upstream = Upstream::start(|peer, _| {
        peer.sse_head();
        peer.chunk("data: [DONE]\n\n");
        peer.send("0\r\nx-checksum: abc\r\n\r\n");
    });
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &["te: trailers"], CHAT);
    // Ours stand after them.
    assert_eq!(client.response().expect(200).trailers.first().map(String::as_str), Some("x-checksum: abc"));
    client.post("/v1/chat/completions", &[], CHAT);
    assert_eq!(client.response().expect(200).trailers, Vec::<String>::new());
    // Trailers of a request end here: nobody upstream was promised any.
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{CHAT}\r\n0\r\nx-t: 1\r\n\r\n",
        CHAT.len()
    ));
    client.response().expect(200);
    let last = upstream.requests().pop().unwrap();
    assert_eq!((last.text(), last.trailers.len()), (CHAT, 0));
}

#[test]
fn http_1_0_clients_get_what_they_understand() {
    let upstream = Upstream::start(|peer, request| {
        if request.text().contains("stream") {
            peer.sse(&["data: x\n\n", "data: [DONE]\n\n"])
        } else {
            peer.json(200, "{}")
        }
    });
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let stream = r#"{"model":"m","messages":[],"stream":true}"#;
    let send = |client: &mut Client, more: &str, body: &str| {
        let length = body.len();
        client.send(format!("POST /v1/chat/completions HTTP/1.0\r\n{more}content-length: {length}\r\n\r\n{body}"));
    };
    let mut client = Client::connect(faregate.api);
    send(&mut client, "", CHAT);
    let response = client.response().expect(200);
    assert_eq!((response.header("connection"), response.text()), (Some("close"), "{}"));
    assert_eq!(client.rest(), b"");
    let mut client = Client::connect(faregate.api);
    send(&mut client, "connection: keep-alive\r\n", CHAT);
    assert_eq!(client.response().expect(200).header("connection"), Some("keep-alive"));
    send(&mut client, "connection: keep-alive\r\n", stream);
    let response = client.response().expect(200);
    assert_eq!(response.header("transfer-encoding"), None, "there are no chunks in HTTP/1.0");
    assert_eq!((response.header("connection"), response.text()), (Some("close"), "data: x\n\ndata: [DONE]\n\n"));
    assert_eq!(faregate.stop().len(), 3);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start(|peer, request| peer.json(200, request.body.clone()));
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    let body = |n: usize| format!(r#"{{"model":"m","n":{n},"pad":"{}"}}"#, "x".repeat(n * 997));
    let all: String = (0..20)
        .map(|n| {
            let body = body(n);
            format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        })
        .collect();
    let writer = client.stream().try_clone().unwrap();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut &writer, all.as_bytes()).unwrap());
    for n in 0..20 {
        assert_eq!(client.response().expect(200).text(), body(n));
    }
    writing.join().unwrap();
    assert_eq!(faregate.stop().len(), 20);
}

#[test]
fn request_ids_and_traces_go_on() {
    let upstream = Upstream::json(200, "{}");
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traceparent = format!("traceparent: 00-{trace}-b7ad6b7169203331-01");
    let head = arrives(
        &faregate,
        &upstream,
        "/v1/chat/completions",
        &["x-request-id: mine-1", &traceparent, "tracestate: a=b"],
    );
    assert_eq!((head.get("x-request-id"), head.get("tracestate")), (Some("mine-1"), Some("a=b")));
    assert!(head.get("traceparent").unwrap().starts_with(&format!("00-{trace}-")), "{head:?}");
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], CHAT);
    let shown = client.response().expect(200).header("x-faregate-request-id").unwrap().to_owned();
    let head = upstream.requests().pop().unwrap().head;
    assert_eq!((head.get("x-request-id"), head.get("traceparent")), (Some(shown.as_str()), None));
    let records = faregate.stop();
    assert_eq!((records[0]["request_id"].as_str(), records[0]["trace_id"].as_str()), (Some("mine-1"), Some(trace)));
    assert_eq!(records[1]["request_id"], shown);
}

#[test]
fn a_header_cannot_be_smuggled_through_a_request_id() {
    let upstream = Upstream::json(200, "{}");
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let long = format!("x-request-id: {}", "a".repeat(5000));
    let head = arrives(&faregate, &upstream, "/v1/chat/completions", &[&long]);
    assert!(head.get("x-request-id").unwrap().len() <= 200);
}
