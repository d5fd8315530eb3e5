//! What clients and operators see when targets fail: the last meaningful error, ejection, probes; and what neither
//! ever sees: keys and bodies.

mod support;

use serde_json::Value;
use support::{Client, Faregate, Setup, Upstream, attempt_outcomes, eventually, get, post, refusing, table};

const CHAT: &str = r#"{"model":"m","messages":[]}"#;
const NO_EJECTION: &str = "defaults: { retry: { budget: 1.0 }, health: { consecutive_failures: 0, error_rate: 0.0 } }";

#[test]
fn the_last_meaningful_error_comes_in_the_clients_dialect() {
    let limited = r#"{"error":{"message":"slow down","type":"rate_limit_error"}}"#;
    let first =
        Upstream::start(move |peer, _| peer.reply(429, &["content-type: application/json", "retry-after: 7"], limited));
    let (refusing, _socket) = refusing();
    let faregate = Faregate::start(&table::with(&table::fallback(&[first.address, refusing]), NO_EJECTION));
    let response = post(faregate.api, "/v1/chat/completions", CHAT).expect(429);
    // A provider's own words say more than our "no connection"; the headers name whose words they are.
    assert_eq!(response.text(), limited);
    assert_eq!(response.header("retry-after"), Some("7"));
    assert_eq!(response.header("x-faregate-route"), Some("all"));
    assert_eq!(response.header("x-faregate-provider"), Some("alpha"));
    assert_eq!(response.header("x-faregate-model"), Some("m"));
    assert_eq!(response.header("x-faregate-attempts"), Some("2"));
    assert!(response.header("x-faregate-request-id").is_some_and(|id| id.len() >= 16));
    let record = faregate.only_record();
    assert_eq!(attempt_outcomes(&record), ["alpha:upstream_rate_limited", "beta:upstream_connect"]);
    assert_eq!((&record["outcome"], &record["status"]), (&"upstream_rate_limited".into(), &429.into()));
}

#[test]
fn later_words_win_over_earlier_ones() {
    let (first, second) =
        (Upstream::json(500, r#"{"error":{"message":"one"}}"#), Upstream::json(503, r#"{"error":{"message":"two"}}"#));
    let faregate = Faregate::start(&table::with(&table::fallback(&[first.address, second.address]), NO_EJECTION));
    let response = post(faregate.api, "/v1/messages", CHAT).expect(503);
    assert_eq!(response.text(), r#"{"error":{"message":"two"}}"#);
    assert_eq!(response.header("x-faregate-provider"), Some("beta"));
    assert_eq!(faregate.only_record()["outcome"], "upstream_error");
}

#[test]
fn no_words_at_all_become_ours_in_each_dialect() {
    let (address, _socket) = refusing();
    let faregate = Faregate::start(&table::with(&table::fallback(&[address]), NO_EJECTION));
    let openai = post(faregate.api, "/v1/chat/completions", CHAT).expect(502);
    assert_eq!(openai.header("content-type"), Some("application/json"));
    assert!(openai.json()["error"]["message"].is_string() && openai.json()["type"].is_null());
    let anthropic = post(faregate.api, "/v1/messages", CHAT).expect(502).json();
    assert_eq!(anthropic["type"], "error");
    assert!(anthropic["error"]["type"].is_string() && anthropic["error"]["message"].is_string());
    assert!(!openai.text().contains(&address.to_string()), "hosts are the operator's affair");
    faregate.wait_logged(&address.to_string());
    assert_eq!(faregate.stop().len(), 2);
}

#[test]
fn a_page_in_html_is_told_in_the_clients_dialect() {
    let page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
    let upstream = Upstream::start(move |peer, request| match request.target.as_str() {
        "/v1/messages" => peer.reply(502, &["content-type: text/html; charset=utf-8"], page),
        "/v1/embeddings" => peer.reply(413, &["content-type: text/html"], page),
        _ => peer.reply(503, &["retry-after: 3"], ""),
    });
    let faregate = Faregate::start(&table::with(&table::fallback(&[upstream.address]), NO_EJECTION));
    let anthropic = post(faregate.api, "/v1/messages", CHAT).expect(502);
    assert_eq!(anthropic.header("content-type"), Some("application/json"));
    assert_eq!(anthropic.json()["type"], "error");
    assert!(anthropic.json()["error"]["message"].as_str().unwrap().contains("502 Bad Gateway"));
    let openai = post(faregate.api, "/v1/chat/completions", CHAT).expect(503);
    assert!(openai.json()["error"]["message"].is_string());
    assert_eq!(openai.header("retry-after"), Some("3"));
    let rejected = post(faregate.api, "/v1/embeddings", CHAT).expect(413);
    assert!(rejected.json()["error"]["message"].as_str().unwrap().contains("502 Bad Gateway"), "{}", rejected.text());
    let records = faregate.stop();
    // Each call had a connection, and so perhaps a thread, of its own: their records may pass one another.
    let mut outcomes: Vec<_> = records.iter().map(|r| r["outcome"].as_str().unwrap()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["upstream_error", "upstream_error", "upstream_rejected"]);
}

fn state(faregate: &Faregate, provider: &str) -> String {
    let page: Value = get(faregate.admin, "/admin/targets").expect(200).json();
    let targets = page["targets"].as_array().unwrap();
    let target = targets.iter().find(|t| t["provider"] == provider && t["route"] == "all").unwrap();
    target["health"]["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_failing_target_is_ejected_probed_and_taken_back() {
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_broken = broken.clone();
    let first = Upstream::start(move |peer, _| match is_broken.load(std::sync::atomic::Ordering::SeqCst) {
        true => peer.json(500, "{}"),
        false => peer.json(200, r#"{"from":"alpha"}"#),
    });
    let second = Upstream::json(200, r#"{"from":"beta"}"#);
    let config = table::with(
        &table::fallback(&[first.address, second.address]),
        "defaults: { retry: { budget: 1.0 }, health: { consecutive_failures: 3, eject: 1s, max_eject: 1s } }",
    );
    let faregate = Faregate::start(&config);
    let up = |provider: &str| faregate.metrics().value("faregate_target_up", &[("provider", provider)]);
    assert_eq!((state(&faregate, "alpha").as_str(), up("alpha")), ("up", Some(1.0)));
    for _ in 0..3 {
        post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
    }
    // It may be out for so short a time that this machine sees its probe already, but it is up no more.
    assert_ne!(state(&faregate, "alpha"), "up");
    assert_eq!(state(&faregate, "beta"), "up");
    assert_eq!(up("beta"), Some(1.0));
    eventually("half-open", || state(&faregate, "alpha") == "probing");
    // The probe fails: out again.
    let before = first.requests().len();
    post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
    assert_eq!(first.requests().len(), before + 1, "one call probes");
    broken.store(false, std::sync::atomic::Ordering::SeqCst);
    eventually("half-open again", || state(&faregate, "alpha") == "probing");
    let response = post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
    assert_eq!(response.text(), r#"{"from":"alpha"}"#, "the probe is a call like any other");
    assert_eq!((state(&faregate, "alpha").as_str(), up("alpha")), ("up", Some(1.0)));
}

#[test]
fn an_ejected_target_is_passed_over_and_when_all_are_out_they_are_tried_anyway() {
    let (first, second) = (Upstream::json(500, "{}"), Upstream::json(500, "{}"));
    let config = table::with(
        &table::fallback(&[first.address, second.address]),
        "defaults: { retry: { budget: 1.0 }, health: { consecutive_failures: 2, eject: 300s, max_eject: 300s } }",
    );
    let faregate = Faregate::start(&config);
    for _ in 0..2 {
        post(faregate.api, "/v1/chat/completions", CHAT).expect(500);
    }
    assert_eq!((state(&faregate, "alpha").as_str(), state(&faregate, "beta").as_str()), ("ejected", "ejected"));
    let metrics = faregate.metrics();
    assert_eq!(metrics.sum("faregate_target_up", &[("provider", "alpha")]), 0.0);
    assert!(metrics.value("faregate_target_up", &[("provider", "alpha")]).is_some());
    let response = post(faregate.api, "/v1/chat/completions", CHAT).expect(500);
    assert_eq!(response.header("x-faregate-attempts"), Some("2"), "nothing else is left, so both are tried");
    assert_eq!((first.requests().len(), second.requests().len()), (3, 3));
    assert_eq!(faregate.stop().len(), 3);
}

#[test]
fn one_that_is_out_is_passed_over() {
    let (first, second) = (Upstream::json(500, "{}"), Upstream::json(200, "{}"));
    let config = table::with(
        &table::fallback(&[first.address, second.address]),
        "defaults: { retry: { budget: 1.0 }, health: { consecutive_failures: 2, eject: 300s, max_eject: 300s } }",
    );
    let faregate = Faregate::start(&config);
    for attempts in ["2", "2", "1", "1"] {
        let response = post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
        assert_eq!(response.header("x-faregate-attempts"), Some(attempts));
    }
    assert_eq!(first.requests().len(), 2);
}

/// After ten such calls the target must still be in service.
fn never_ejects(upstream: &Upstream, provider: &str, status: u16) {
    let config = format!(
        "providers:\n  alpha: {{ base_url: \"http://{}/v1\", {provider} }}\nroutes:\n- name: all\n  targets: [{{ provider: alpha \
         }}]\ndefaults: {{ health: {{ consecutive_failures: 2, eject: 300s }} }}\n",
        upstream.address
    );
    let faregate = Faregate::start(&config);
    for _ in 0..10 {
        let mut client = Client::connect(faregate.api);
        client.post("/alpha/v1/chat/completions", &["authorization: Bearer wrong"], CHAT);
        client.response().expect(status);
    }
    assert_eq!(state(&faregate, "alpha"), "up");
}

#[test]
fn what_is_no_fault_of_the_targets_does_not_eject_it() {
    let error = r#"{"error":{"message":"no"}}"#;
    never_ejects(&Upstream::json(400, error), "credentials: none", 400);
    never_ejects(&Upstream::json(404, error), "credentials: none", 404);
    never_ejects(&Upstream::json(401, error), "credentials: client", 401);
}

#[test]
fn no_key_and_no_body_in_any_log_line() {
    let (key, client_key, prompt) = ("sk-canary-upstream", "sk-canary-client", "canary prompt of a client");
    let first = Upstream::start(|peer, _| peer.json(500, r#"{"error":{"message":"canary answer"}}"#));
    let second = Upstream::start(|peer, request| match request.text().contains("\"stream\":true") {
        true => {
            peer.sse_head();
            peer.chunk("data: {\"choices\":[{\"delta\":{\"content\":\"canary answer\"}}]}\n\n");
            peer.reset();
        }
        false => peer.json(200, r#"{"choices":[{"message":{"content":"canary answer"}}]}"#),
    });
    let config = table::with(
        &table::fallback(&[first.address, second.address]).replace("key-alpha", key).replace("key-beta", key),
        "observe: { log: { level: debug, calls: true } }",
    );
    let faregate = Setup::new(&config).start();
    let mut client = Client::connect(faregate.api);
    for stream in [false, true] {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{prompt}"}}],"stream":{stream}}}"#);
        client.post(
            "/v1/chat/completions?key=sk-canary-query",
            &[&format!("authorization: Bearer {client_key}")],
            body,
        );
        client.response();
    }
    post(faregate.api, "/v1/messages", format!("{{\"canary prompt of a client\": {client_key}")).expect(400);
    post(faregate.api, &format!("/v1/{client_key}"), prompt);
    let mut client = Client::connect(faregate.api);
    client.send(format!("GET / HTTP/1.1\r\nauthorization {client_key}\r\n\r\n"));
    client.response().expect(400);
    faregate.wait_records(4);
    let records = std::fs::read_to_string(faregate.path().join("usage.jsonl")).unwrap();
    let metrics = get(faregate.admin, "/metrics").expect(200).text().to_owned();
    let targets = get(faregate.admin, "/admin/targets").expect(200).text().to_owned();
    let told = get(faregate.admin, "/admin/table").expect(200).text().to_owned();
    let log = faregate.stderr();
    assert!(log.contains("faregate::call"), "calls are logged: {log}");
    for (place, text) in
        [("log", &log), ("records", &records), ("metrics", &metrics), ("targets", &targets), ("table", &told)]
    {
        let line = text.lines().find(|line| line.contains("canary"));
        assert_eq!(line, None, "in the {place}");
    }
}
