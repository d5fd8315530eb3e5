//! Log lines: whose they are, and what they never hold.

use serde_json::Value;

use super::support::{Client, Faregate, Setup, Upstream, eventually, post, table};

const CHAT: &str = r#"{"model":"m","messages":[]}"#;

fn json_lines(faregate: &Faregate) -> Vec<Value> {
    let log = faregate.stderr();
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn neither_bodies_nor_keys_are_logged_at_any_level() {
    // Answers, refuses, and breaks off: each way has lines of its own.
    let upstream = Upstream::start(|peer, request| match request.json()["model"].as_str().unwrap() {
        "refused" => peer.json(400, r#"{"error":{"message":"canary-reply"}}"#),
        "broken" => {
            peer.sse_head();
            peer.chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"canary-reply\"}}]}\n\n");
            peer.reset();
        }
        "garbage" => {
            peer.send("canary-reply is not HTTP\r\n\r\n");
            peer.close();
        }
        _ => peer.json(200, r#"{"choices":[{"message":{"content":"canary-reply"}}]}"#),
    });
    let config = format!(
        "server: {{ keys: [{{ name: team, key: {{ insecure_inline: canary-inbound }} }}] }}
observe: {{ log: {{ level: trace, calls: true }} }}
providers:
  alpha: {{ endpoints: {{ openai: \"http://{}/v1\" }}, credentials: {{ insecure_inline: canary-outbound }}, headers: {{ x-secret: canary-header }} }}
routes:
- {{ name: all, targets: [{{ provider: alpha }}] }}
",
        upstream.address
    );
    let trace = "trace,faregate=trace,pingora_core=trace,h2=trace,rustls=trace,mio=trace";
    let faregate = Setup::new(&config).env("RUST_LOG", trace).start();
    for (key, model) in [
        ("canary-inbound", "m"),
        ("canary-inbound", "refused"),
        ("canary-inbound", "broken"),
        ("canary-inbound", "garbage"),
        ("canary-wrong", "m"),
    ] {
        let mut client = Client::connect(faregate.api);
        let body = format!(r#"{{"model":"{model}","stream":true,"messages":[{{"content":"canary-prompt"}}]}}"#);
        client.post("/v1/chat/completions", &[&format!("authorization: Bearer {key}")], body);
        client.response();
    }
    let mut client = Client::connect(faregate.api);
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer canary-inbound\r\nbad header\r\n\r\n",
    );
    client.response().expect(400);
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &["authorization: Bearer canary-inbound"], "{\"model\": canary-prompt");
    client.response().expect(400);
    eventually("all calls logged", || faregate.stderr().matches("faregate::call: call").count() >= 6);
    let log = faregate.stderr();
    assert!(log.contains("TRACE"), "the level is as asked");
    let leaks: Vec<&str> = log.lines().filter(|line| line.contains("canary")).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    let records = std::fs::read_to_string(faregate.path().join("usage.jsonl")).unwrap();
    assert!(!records.contains("canary"), "{records}");
}

#[test]
fn a_call_s_lines_carry_its_id_and_one_of_them_tells_how_it_ended() {
    let alpha = Upstream::start(|peer, _| {
        peer.send("this is not HTTP\r\n\r\n");
        peer.close();
    });
    let config = table::with(
        &table::fallback(&[alpha.address]),
        "observe: { log: { format: json, level: debug, calls: true } }",
    );
    let faregate = Faregate::start(&config);
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &["x-request-id: id-1", "x-faregate-app: web"], CHAT);
    client.response().expect(502);
    let call = |faregate: &Faregate| {
        json_lines(faregate).into_iter().find(|line| line["target"] == "faregate::call" && line["message"] == "call")
    };
    eventually("the call's line", || call(&faregate).is_some());
    let line = call(&faregate).unwrap();
    for (field, value) in [
        ("level", "INFO"),
        ("request_id", "id-1"),
        ("app", "web"),
        ("dialect", "openai"),
        ("operation", "chat"),
        ("route", "all"),
        ("provider", "alpha"),
        ("model_asked", "m"),
        ("outcome", "upstream_error"),
    ] {
        assert_eq!(line[field], value, "{field} in {line}");
    }
    assert_eq!(line["status"], 502);
    assert_eq!(line["attempts"], 1);
    let lines = json_lines(&faregate);
    let of_calls: Vec<&Value> = lines.iter().filter(|line| line["target"] == "faregate::call").collect();
    assert!(of_calls.len() >= 2, "the cause has a line of its own at debug: {lines:#?}");
    assert!(of_calls.iter().all(|line| line["request_id"] == "id-1"), "{of_calls:#?}");
}

#[test]
fn the_level_is_configured_and_rust_log_wins() {
    let upstream = Upstream::json(200, "{}");
    let config = |level: &str| {
        table::with(
            &table::fallback(&[upstream.address]),
            &format!("observe: {{ log: {{ level: \"{level}\", calls: true }} }}"),
        )
    };
    let quiet = Faregate::start(&config("warn"));
    post(quiet.api, "/v1/chat/completions", CHAT).expect(200);
    quiet.signal("HUP");
    eventually("the reload", || quiet.metrics().sum("faregate_config_reloads_total", &[("result", "success")]) == 2.0);
    let louder = ["INFO", "DEBUG", "TRACE"];
    assert!(!louder.iter().any(|level| quiet.stderr().contains(level)), "{}", quiet.stderr());
    let filtered = Faregate::start(&config("warn,faregate::call=info"));
    post(filtered.api, "/v1/chat/completions", CHAT).expect(200);
    filtered.wait_logged("faregate::call: call");
    assert!(!filtered.stderr().contains("listening"));
    let told = Setup::new(&config("error")).env("RUST_LOG", "info").start();
    told.wait_logged("listening");
}
