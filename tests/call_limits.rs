//! Limits on calls and connections, and inbound keys: who is turned away, and how.

mod support;

use support::{Client, Faregate, Gate, Upstream, eventually, post, table};

const CHAT: &str = r#"{"model":"m","messages":[]}"#;

/// An upstream that answers once the gate is open.
fn gated() -> (Upstream, Gate) {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |peer, _| {
        held.wait();
        peer.json(200, "{}");
    });
    (upstream, gate)
}

#[test]
fn calls_beyond_the_process_limit_are_told_to_come_back() {
    let (upstream, gate) = gated();
    let config = table::with(&table::fallback(&[upstream.address]), "server: { limits: { calls: 2 } }");
    let faregate = Faregate::start(&config);
    let mut running: Vec<Client> = (0..2).map(|_| Client::connect(faregate.api)).collect();
    running[0].post("/v1/chat/completions", &[], CHAT);
    running[1].ask("GET", "/v1/models", &[]);
    upstream.wait_requests(2);
    for path in ["/v1/chat/completions", "/v1/messages", "/v1/files"] {
        let response = post(faregate.api, path, CHAT).expect(503);
        assert!(response.header("retry-after").is_some());
    }
    gate.open();
    running.iter_mut().for_each(|client| drop(client.response().expect(200)));
    eventually("the limit is given back", || post(faregate.api, "/v1/messages", CHAT).status == 200);
    let records = faregate.stop();
    let refused = records.iter().filter(|r| r["status"] == 503);
    assert!(refused.clone().count() >= 3 && refused.clone().all(|r| r["outcome"] == "policy_rate_limited"));
    assert!(refused.clone().all(|r| r["attempts"].as_array().unwrap().is_empty()));
}

#[test]
fn calls_beyond_a_routes_limit_are_told_to_slow_down() {
    let (upstream, gate) = gated();
    let config = table::fallback(&[upstream.address]).replace("- name: all\n", "- name: all\n  max_calls: 1\n");
    let faregate = Faregate::start(&config);
    let mut running = Client::connect(faregate.api);
    running.post("/v1/chat/completions", &[], CHAT);
    upstream.wait_requests(1);
    let openai = post(faregate.api, "/v1/chat/completions", CHAT).expect(429);
    assert!(openai.header("retry-after").is_some());
    let anthropic = post(faregate.api, "/v1/messages", CHAT).expect(429).json();
    assert_eq!(anthropic["error"]["type"], "rate_limit_error");
    post(faregate.api, "/v1/files", CHAT).expect(429);
    gate.open();
    running.response().expect(200);
    eventually("the limit is given back", || post(faregate.api, "/v1/messages", CHAT).status == 200);
    // A client that goes away gives its place back too.
    let records = faregate.stop();
    assert!(records.iter().filter(|r| r["status"] == 429).all(|r| r["outcome"] == "policy_rate_limited"));
}

#[test]
fn a_client_that_goes_away_gives_its_place_back() {
    let upstream = Upstream::start(|peer, request| match request.text().contains("hold") {
        true => peer.wait_closed(),
        false => peer.json(200, "{}"),
    });
    let config = table::with(
        &table::fallback(&[upstream.address]).replace("- name: all\n", "- name: all\n  max_calls: 1\n"),
        "server: { limits: { calls: 1 } }",
    );
    let faregate = Faregate::start(&config);
    for n in 0..3 {
        let mut client = Client::connect(faregate.api);
        client.post("/v1/chat/completions", &[], r#"{"model":"hold"}"#);
        upstream.wait_requests(n + 1);
        drop(client);
        upstream.wait_closed(n);
        faregate.wait_metric("faregate_requests_in_flight", &[], 0.0);
    }
    eventually("a call goes through", || post(faregate.api, "/v1/chat/completions", CHAT).status == 200);
}

#[test]
fn connections_beyond_the_limit_wait_their_turn() {
    let upstream = Upstream::json(200, "{}");
    let config = table::with(&table::fallback(&[upstream.address]), "server: { limits: { connections: 1 } }");
    let faregate = Faregate::start(&config);
    let mut first = Client::connect(faregate.api);
    first.post("/v1/chat/completions", &[], CHAT);
    first.response().expect(200);
    let mut second = Client::connect(faregate.api);
    second.post("/v1/chat/completions", &[], CHAT);
    first.post("/v1/chat/completions", &[], CHAT);
    first.response().expect(200);
    assert_eq!(upstream.requests().len(), 2, "the second connection waits");
    drop(first);
    second.response().expect(200);
    assert_eq!(faregate.stop().len(), 3);
}

#[test]
fn connections_to_a_provider_beyond_its_limit_fall_back() {
    let (first, gate) = gated();
    let second = Upstream::json(200, "{}");
    let config =
        table::fallback(&[first.address, second.address]).replace("  alpha:\n", "  alpha:\n    max_connections: 1\n");
    let config = table::with(&config, "defaults: { retry: { budget: 1.0 }, health: { consecutive_failures: 2 } }");
    let faregate = Faregate::start(&config);
    let mut running = Client::connect(faregate.api);
    running.post("/v1/chat/completions", &[], CHAT);
    first.wait_requests(1);
    for _ in 0..4 {
        let response = post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
        assert_eq!(response.header("x-faregate-provider"), Some("beta"));
    }
    gate.open();
    running.response().expect(200);
    // The limit was ours, so it never spoke against the target.
    eventually("the connection is back in the pool", || {
        let response = post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
        response.header("x-faregate-provider") == Some("alpha")
    });
    assert_eq!(first.connections(), 1);
}

#[test]
fn one_connection_to_a_provider_serves_every_worker() {
    let upstream = Upstream::json(200, "{}");
    let config = table::fallback(&[upstream.address]).replace("  alpha:\n", "  alpha:\n    max_connections: 1\n");
    let faregate = Faregate::start(&table::with(&config, "server: { workers: 4 }"));
    // Workers take turns with connections, so that the one that is kept belongs to another worker most of the time.
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(faregate.api)).collect();
    for _ in 0..3 {
        for client in &mut clients {
            client.post("/v1/chat/completions", &[], CHAT);
            client.response().expect(200);
        }
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn inbound_keys_are_asked_for_and_never_leave() {
    let upstream = Upstream::json(200, "{}");
    let config = table::with(
        &table::fallback(&[upstream.address])
            .replace("credentials: { insecure_inline: key-alpha }", "credentials: client"),
        "server: { keys: [{ name: team-a, key: { insecure_inline: fg-secret } }] }",
    );
    let faregate = Faregate::start(&config);
    let call = |headers: &[&str], path: &str| {
        let mut client = Client::connect(faregate.api);
        client.post(path, headers, CHAT);
        client.response()
    };
    let refused = call(&[], "/v1/chat/completions").expect(401);
    assert!(refused.json()["error"]["message"].is_string());
    assert_eq!(call(&["x-api-key: wrong"], "/v1/messages").expect(401).json()["error"]["type"], "authentication_error");
    call(&["authorization: Bearer wrong"], "/v1/files").expect(401);
    assert_eq!(upstream.requests().len(), 0);
    for header in ["authorization: Bearer fg-secret", "x-api-key: fg-secret", "api-key: fg-secret"] {
        call(&[header], "/v1/chat/completions").expect(200);
    }
    let seen: String = upstream.requests().iter().map(|r| String::from_utf8_lossy(&r.head.raw).into_owned()).collect();
    assert!(!seen.contains("fg-secret"), "{seen}");
    let records = faregate.stop();
    let denied = records.iter().filter(|r| r["outcome"] == "policy_denied" && r["status"] == 401).count();
    assert_eq!((records.len(), denied), (6, 3));
    assert!(records.iter().filter(|r| r["outcome"] == "ok").all(|r| r["app"] == "team-a"));
}
