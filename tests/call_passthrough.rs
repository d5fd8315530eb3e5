//! Paths that are passed through unread: uploads stream, downloads stream, upgrades are tunnelled.

mod support;

use support::{Client, Faregate, Gate, Upstream, get, table};

#[test]
fn paths_and_methods_go_through() {
    let upstream = Upstream::start(|peer, request| peer.json(200, format!("{} {}", request.method, request.target)));
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    for (method, path) in [
        ("GET", "/v1/models"),
        ("GET", "/v1/files/f-1/content?x=1"),
        ("DELETE", "/v1/files/f-1"),
        ("GET", "/v1/batches"),
        ("POST", "/v1/batches/b-1/cancel"),
        ("GET", "/v1/messages/batches"),
    ] {
        let mut client = Client::connect(faregate.api);
        client.ask(method, path, &[]);
        assert_eq!(client.response().expect(200).text(), format!("{method} {path}"));
    }
    let records = faregate.stop();
    assert_eq!(records.len(), 6);
    assert!(records.iter().all(|record| record["outcome"] == "ok" && record["tokens"] == "unknown"), "{records:#?}");
}

#[test]
fn head_has_the_length_and_no_body() {
    let upstream = Upstream::start(|peer, _| peer.send("HTTP/1.1 200 OK\r\ncontent-length: 77\r\n\r\n"));
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    for _ in 0..2 {
        client.ask("HEAD", "/v1/models", &[]);
        let response = client.response_to("HEAD").expect(200);
        assert_eq!(response.header("content-length"), Some("77"));
        assert_eq!(response.header("transfer-encoding"), None);
    }
    assert_eq!(faregate.stop().len(), 2);
}

/// Sends an upload in two parts, the second only after the upstream has the first.
fn upload(framing: &str, first: &[u8], second: &[u8], expected: &[u8]) {
    let (got_first, expected_first) = (Gate::default(), expected.len() / 2);
    let gate = got_first.clone();
    let upstream = Upstream::raw(move |peer| {
        let Some(head) = peer.read_head() else { return };
        if head.get("transfer-encoding").is_some() {
            let mut body = Vec::new();
            while let Some(chunk) = peer.read_chunk() {
                body.extend(chunk);
                if body.len() == expected_first {
                    gate.open();
                }
            }
            peer.reply(200, &["content-type: application/octet-stream"], body);
        } else {
            let length: usize = head.get("content-length").unwrap().parse().unwrap();
            let mut body = peer.bytes(expected_first);
            gate.open();
            body.extend(peer.bytes(length - expected_first));
            peer.reply(200, &["content-type: application/octet-stream"], body);
        }
    });
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    client.send(format!(
        "POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\n{framing}\r\n\r\n"
    ));
    client.send(first);
    got_first.wait();
    client.send(second);
    assert!(client.response().expect(200).body == expected);
    let record = faregate.only_record();
    assert_eq!((&record["outcome"], record["bytes_in"].as_u64()), (&"ok".into(), Some(expected.len() as u64)));
}

#[test]
fn an_upload_of_known_length_streams() {
    let body: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
    upload("content-length: 200000", &body[..100_000], &body[100_000..], &body);
}

#[test]
fn a_chunked_upload_streams() {
    let body: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    let chunk = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
    let last = [chunk(&body[50_000..]), b"0\r\n\r\n".to_vec()].concat();
    upload("transfer-encoding: chunked", &chunk(&body[..50_000]), &last, &body);
}

#[test]
fn a_download_streams_as_it_comes() {
    let (gate, hold) = (Gate::default(), Gate::default());
    let (sent, opened) = (hold.clone(), gate.clone());
    let upstream = Upstream::start(move |peer, _| {
        peer.send("HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 6\r\n\r\nabc");
        opened.wait();
        peer.send("def");
        sent.open();
    });
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/audio/speech", &[], r#"{"model":"tts"}"#);
    assert_eq!(client.head().get("content-type"), Some("audio/mpeg"));
    assert_eq!(client.bytes(3), b"abc");
    gate.open();
    assert_eq!(client.bytes(3), b"def");
    hold.wait();
    assert_eq!(faregate.only_record()["outcome"], "ok");
}

#[test]
fn an_answer_before_the_end_of_an_upload_is_seen_at_once() {
    let upstream = Upstream::raw(|peer| {
        while peer.read_head().is_some() {
            peer.json(401, r#"{"error":{"message":"no"}}"#);
            peer.wait_closed();
        }
    });
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    client.send("POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nbegin");
    // Only five bytes of a million were sent, and the answer is here.
    assert_eq!(client.response().expect(401).text(), r#"{"error":{"message":"no"}}"#);
    upstream.wait_closed(0);
    get(faregate.api, "/v1/models").expect(401);
    assert_eq!(upstream.connections(), 2, "a connection with half a request on it serves no other");
    let records = faregate.stop();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["outcome"], "upstream_rejected");
}

#[test]
fn a_client_that_goes_away_during_an_upload_cancels_it() {
    let begun = Gate::default();
    let gate = begun.clone();
    let upstream = Upstream::raw(move |peer| {
        if let Some(head) = peer.read_head() {
            gate.open();
            peer.read_body(head);
        }
    });
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    client.send("POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nbegin");
    begun.wait();
    drop(client);
    upstream.wait_closed(0);
    assert!(!upstream.request().complete);
    let record = faregate.only_record();
    assert_eq!((&record["outcome"], &record["status"]), (&"client_disconnected".into(), &serde_json::Value::Null));
}

#[test]
fn a_dead_kept_connection_is_replaced_for_a_get() {
    let upstream = Upstream::raw(|peer| {
        while peer.read_request().is_some() {
            // The first connection dies on its second request.
            if peer.connection == 0 && peer.over {
                return;
            }
            peer.json(200, "{}");
            peer.over = true;
        }
    });
    let faregate = Faregate::start(&table::one_worker(&table::fallback(&[upstream.address])));
    get(faregate.api, "/v1/models").expect(200);
    get(faregate.api, "/v1/models").expect(200);
    assert_eq!(upstream.connections(), 2);
    let records = faregate.stop();
    assert!(records.iter().all(|r| r["attempts"].as_array().unwrap().len() == 1), "{records:#?}");
}

#[test]
fn a_websocket_is_tunnelled_both_ways() {
    let upstream = Upstream::raw(|peer| {
        let Some(head) = peer.read_head() else { return };
        assert_eq!((head.get("upgrade"), head.get("connection")), (Some("websocket"), Some("upgrade")));
        assert_eq!(head.get("sec-websocket-key"), Some("a2V5"));
        peer.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: yes\r\n\r\nhello");
        assert_eq!(peer.bytes(4), b"ping");
        peer.send("pong");
        assert_eq!(peer.bytes(3), b"bye");
        peer.close();
    });
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    let headers = ["connection: keep-alive, Upgrade", "upgrade: websocket", "sec-websocket-key: a2V5"];
    client.ask("GET", "/v1/realtime?model=m", &headers);
    let head = client.head();
    assert_eq!(head.line, "HTTP/1.1 101 Switching Protocols");
    assert_eq!((head.get("upgrade"), head.get("sec-websocket-accept")), (Some("websocket"), Some("yes")));
    assert_eq!(client.bytes(5), b"hello");
    client.send("ping");
    assert_eq!(client.bytes(4), b"pong");
    client.send("bye");
    assert_eq!(client.rest(), b"");
    let record = faregate.only_record();
    assert_eq!((&record["outcome"], &record["status"]), (&"ok".into(), &101.into()));
}

#[test]
fn an_upgrade_that_is_refused_is_an_ordinary_answer() {
    let upstream = Upstream::json(400, r#"{"error":{"message":"no upgrade"}}"#);
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    client.ask("GET", "/v1/realtime", &["connection: Upgrade", "upgrade: websocket"]);
    client.response().expect(400);
    client.ask("GET", "/v1/models", &[]);
    client.response().expect(400);
    assert_eq!(faregate.stop().len(), 2);
}

#[test]
fn no_connection_is_told_in_the_clients_dialect() {
    let (address, _socket) = support::refusing();
    let faregate = Faregate::start(&table::fallback(&[address]));
    let response = get(faregate.api, "/v1/models").expect(502);
    assert!(response.json()["error"]["message"].is_string());
    assert_eq!(response.header("x-faregate-provider"), Some("alpha"));
    let record = faregate.only_record();
    assert_eq!((&record["outcome"], &record["status"]), (&"upstream_connect".into(), &502.into()));
}

#[test]
fn a_download_that_dies_ends_visibly() {
    let upstream = Upstream::start(|peer, _| {
        peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
        peer.close();
    });
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let response = get(faregate.api, "/v1/files/f/content");
    assert_eq!((response.status, response.text(), response.complete), (200, "abc", false));
    assert_eq!(faregate.only_record()["outcome"], "stream_broken");
}
