//! Every API in its own dialect, under every path that clients use, with bytes that arrive as they were sent.

mod support;

use support::{Client, Faregate, Upstream, post, table};

const CHAT: &str = r#"{ "model" : "m-1",
  "messages":[ {"role":"user","content":"Grüße 😀 \u00e9 \"model\":\"no\""} ], "x" : 1.0e+2 }"#;

fn echo() -> Upstream {
    Upstream::start(|peer, request| {
        let body = format!(r#"{{"seen":"{} {}"}}"#, request.method, request.target);
        peer.json(200, body);
    })
}

/// The path at the upstream for a POST to `path`.
#[track_caller]
fn arrives_at(path: &str, expected: &str) {
    let upstream = echo();
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let response = post(faregate.api, path, CHAT).expect(200);
    assert_eq!(response.text(), format!(r#"{{"seen":"POST {expected}"}}"#));
    let request = upstream.request();
    assert_eq!(request.text(), CHAT, "the body came changed");
    let record = faregate.only_record();
    assert_eq!((&record["outcome"], &record["status"]), (&"ok".into(), &200.into()));
    assert_eq!(record["tokens"], "unknown", "none were reported");
}

#[test]
fn openai_paths() {
    for api in ["chat/completions", "responses", "completions", "embeddings"] {
        arrives_at(&format!("/v1/{api}"), &format!("/v1/{api}"));
    }
    arrives_at("/alpha/v1/chat/completions", "/v1/chat/completions");
    arrives_at("/chat/completions", "/v1/chat/completions");
}

#[test]
fn anthropic_paths() {
    for path in ["/v1/messages", "/messages", "/alpha/v1/messages", "/alpha/messages"] {
        arrives_at(path, "/v1/messages");
    }
    arrives_at("/v1/messages/count_tokens", "/v1/messages/count_tokens");
}

#[test]
fn vendor_prefixes_of_presets() {
    let upstream = echo();
    let config = format!(
        "providers:\n  anthropic: {{ base_url: \"http://{0}/v1\", credentials: none }}\n  openai: {{ base_url: \
         \"http://{0}/v1\", credentials: none }}\n",
        upstream.address
    );
    let faregate = Faregate::start(&config);
    for (path, expected) in [
        ("/anthropic/v1/messages", "/v1/messages"),
        ("/anthropic/messages", "/v1/messages"),
        ("/openai/v1/chat/completions", "/v1/chat/completions"),
        ("/openai/v1/responses", "/v1/responses"),
        ("/openai/v1/embeddings", "/v1/embeddings"),
    ] {
        let response = post(faregate.api, path, CHAT).expect(200);
        assert_eq!(response.text(), format!(r#"{{"seen":"POST {expected}"}}"#), "{path}");
    }
    let records = faregate.stop();
    assert_eq!(records.len(), 5);
    assert!(records.iter().all(|record| record["outcome"] == "ok"));
}

#[test]
fn a_query_goes_along() {
    arrives_at("/v1/chat/completions?a=1&b=%20x", "/v1/chat/completions?a=1&b=%20x");
}

#[test]
fn only_the_model_is_patched() {
    let (first, second) = (Upstream::json(500, "{}"), echo());
    let config = format!(
        "{}{}aliases: {{ fast: m-1 }}\nroutes:\n- name: r\n  match: {{ model: m-1 }}\n  targets:\n  - provider: alpha\n  \
         - {{ provider: beta, model: \"quo\\\"ted\" }}\n",
        "providers:\n",
        [table::provider("alpha", &first.address), table::provider("beta", &second.address)].concat()
    );
    let faregate = Faregate::start(&config);
    let asked = CHAT.replace("m-1", "fast");
    post(faregate.api, "/v1/chat/completions", &asked).expect(200);
    assert_eq!(first.request().text(), CHAT, "an alias is written out");
    assert_eq!(second.request().text(), CHAT.replace("m-1", "quo\\\"ted"), "the target's own name is written");
    let record = faregate.only_record();
    assert_eq!((record["model_asked"].as_str(), record["model_sent"].as_str()), (Some("fast"), Some("quo\"ted")));
}

const CONTENT: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// What a client gets whose body ends with `asks`, and what the upstream got.
fn streamed(asks: &str) -> (String, String, serde_json::Value) {
    let upstream = Upstream::start(|peer, request| {
        let asked = request.json()["stream_options"]["include_usage"] == true;
        peer.sse(if asked { &[CONTENT, USAGE, DONE] } else { &[CONTENT, DONE] });
    });
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let body = format!(r#"{{"model":"m","messages":[],"stream":true{asks}}}"#);
    let response = post(faregate.api, "/v1/chat/completions", body).expect(200);
    let sent = upstream.request().text().to_owned();
    (response.text().to_owned(), sent, faregate.only_record())
}

#[test]
fn usage_is_asked_for_and_stripped_again() {
    let (got, sent, record) = streamed("");
    assert_eq!(got, [CONTENT, DONE].concat());
    assert!(sent.contains(r#""stream_options":{"include_usage":true}"#), "{sent}");
    assert_eq!((record["tokens"]["input"].as_u64(), record["tokens"]["output"].as_u64()), (Some(9), Some(3)));
}

#[test]
fn usage_that_the_client_asked_for_stays() {
    let (got, sent, record) = streamed(r#","stream_options":{"include_usage":true}"#);
    assert_eq!(got, [CONTENT, USAGE, DONE].concat());
    assert_eq!(sent, r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#);
    assert_eq!(record["tokens"]["output"], 3);
}

#[test]
fn usage_that_the_client_refused_is_stripped() {
    let (got, sent, record) = streamed(r#","stream_options":{"include_usage":false}"#);
    assert_eq!(got, [CONTENT, DONE].concat());
    assert_eq!(sent.matches("stream_options").count(), 1, "{sent}");
    assert_eq!(record["tokens"]["output"], 3);
}

#[test]
fn usage_is_read_from_json() {
    let openai =
        r#"{"model":"served","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;
    let anthropic = r#"{"type":"message","model":"served","content":[],"usage":{"input_tokens":7,"output_tokens":2}}"#;
    for (path, answer) in [("/v1/chat/completions", openai), ("/v1/messages", anthropic)] {
        let upstream = Upstream::json(200, answer);
        let faregate = Faregate::start(&table::fallback(&[upstream.address]));
        assert_eq!(post(faregate.api, path, CHAT).expect(200).text(), answer);
        let record = faregate.only_record();
        assert_eq!((record["tokens"]["input"].as_u64(), record["tokens"]["output"].as_u64()), (Some(7), Some(2)));
        assert_eq!(record["model_served"], "served");
    }
}

#[test]
fn a_body_that_is_no_json_is_refused_in_the_clients_dialect() {
    let upstream = echo();
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let openai = post(faregate.api, "/v1/chat/completions", "{\"model\":").expect(400).json();
    assert_eq!(openai["error"]["type"], "invalid_request_error");
    let anthropic = post(faregate.api, "/v1/messages", "[]").expect(400).json();
    assert_eq!((&anthropic["type"], &anthropic["error"]["type"]), (&"error".into(), &"invalid_request_error".into()));
    assert_eq!(upstream.requests().len(), 0);
    let records = faregate.stop();
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|r| r["outcome"] == "client_invalid" && r["status"] == 400));
}

#[test]
fn a_model_that_no_route_serves_is_told_so() {
    let upstream = echo();
    let config = table::fallback(&[upstream.address, upstream.address])
        .replace("- name: all\n", "- name: all\n  match: { model: \"known-*\" }\n");
    let faregate = Faregate::start(&config);
    let error = post(faregate.api, "/v1/chat/completions", CHAT).expect(404).json();
    assert!(error["error"]["message"].as_str().unwrap().contains("m-1"), "{error}");
    let record = faregate.only_record();
    assert_eq!((&record["outcome"], &record["status"]), (&"no_route".into(), &404.into()));
}

#[test]
fn calls_follow_each_other_on_one_connection() {
    let upstream = echo();
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    for _ in 0..5 {
        client.post("/v1/chat/completions", &[], CHAT);
        client.response().expect(200);
    }
    assert_eq!(upstream.connections(), 1, "the upstream's connection is kept too");
    assert_eq!(faregate.stop().len(), 5);
}
