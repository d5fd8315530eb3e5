//! A router is asked to tell of its own part in each call; the client sees nothing of that unless it asked itself.

mod support;

use std::time::Duration;

use serde_json::Value;
use support::{Client, Faregate, Peer, Request, Response, Setup, Upstream, eventually};

const TOLD: &str = r#""openrouter_metadata":{"requested":"a/b","strategy":"direct","region":"iad","summary":"available=1, selected=OpenAI","attempt":1,"is_byok":false,"endpoints":{"total":1,"available":[{"provider":"OpenAI","model":"openai/gpt-4o","selected":true}]},"generation_time":25}"#;
/// The router itself takes so long on top of the generation.
const HOP: Duration = Duration::from_millis(120);

const BODY: &str = r#"{"id":"g","model":"openai/gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],TOLD"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100,"cost":0.004}}"#;
const DENIED: &str = r#"{"error":{"code":403,"message":"Request blocked"},TOLD"user_id":"u"}"#;
const DOWN: &str = r#"{"error":{"code":502,"message":"down"},"user_id":"u"TOLD}"#;
const CHAT: &[&str] = &[
    "data: {\"id\":\"g\",\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n",
    "data: {\"id\":\"g\",\"choices\":[],TOLD\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}\n\n",
    "data: [DONE]\n\n",
];
const MESSAGES: &[&str] = &[
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":2}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"TOLD}\n\n",
];
const RESPONSES: &[&str] = &[
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"model\":\"m\"TOLD,\"usage\":{\"input_tokens\":3,\"output_tokens\":1,\"total_tokens\":4}}}\n\n",
];

/// What an answer is with the router's member in it, and without.
fn put(text: &str, told: bool) -> String {
    match (told, text.contains("TOLD\"")) {
        (true, true) => text.replace("TOLD", &format!("{TOLD},")),
        (true, false) => text.replace("TOLD", &format!(",{TOLD}")),
        (false, _) => text.replace("TOLD", ""),
    }
}

/// A router that tells of itself where it is asked to, by either name of the header.
fn router(peer: &mut Peer, request: &Request) {
    let names = ["x-openrouter-metadata", "x-openrouter-experimental-metadata"];
    let told = names.iter().any(|name| request.header(name) == Some("enabled"));
    let asked = request.json();
    match (asked["model"].as_str().unwrap(), asked["stream"].as_bool().unwrap()) {
        ("denied", _) => peer.json(403, put(DENIED, told)),
        ("down", _) => peer.json(502, put(DOWN, told)),
        ("slow", _) => {
            std::thread::sleep(Duration::from_millis(25) + HOP);
            peer.json(200, put(BODY, told));
        }
        (_, false) => peer.json(200, put(BODY, told)),
        (_, true) => {
            peer.sse_head();
            for event in events(&request.target) {
                // In pieces, as networks do it.
                let event = put(event, told);
                let (first, second) = event.split_at(event.len() / 2);
                peer.chunk(first);
                peer.chunk(second);
            }
            peer.last_chunk();
        }
    }
}

fn events(path: &str) -> &'static [&'static str] {
    match path.rsplit('/').next() {
        Some("messages") => MESSAGES,
        Some("responses") => RESPONSES,
        _ => CHAT,
    }
}

fn start(router: &Upstream, more: &str) -> Faregate {
    let endpoints = format!("{{ openai: \"{0}\", anthropic: \"{0}\", opaque: \"{0}\" }}", router.url());
    let config = format!(
        "providers:\n  router: {{ preset: openrouter, endpoints: {endpoints}, credentials: none{more} }}\nroutes:\n- {{ name: all, targets: [{{ provider: router }}], retry: {{ max_attempts: 1 }} }}\n"
    );
    Setup::new(&config).start()
}

fn call(faregate: &Faregate, path: &str, headers: &[&str], model: &str, stream: bool) -> Response {
    let mut client = Client::connect(faregate.api);
    client.post(path, headers, format!(r#"{{"model":"{model}","stream":{stream},"messages":[]}}"#));
    client.response()
}

#[test]
fn bodies_streams_and_errors_reach_the_client_as_if_nobody_had_asked() {
    let upstream = Upstream::start(router);
    let faregate = start(&upstream, "");
    let whole = call(&faregate, "/v1/chat/completions", &[], "a/b", false).expect(200);
    assert_eq!(whole.text(), put(BODY, false));
    assert_eq!(whole.header("content-length"), Some(&*put(BODY, false).len().to_string()));
    for path in ["/v1/chat/completions", "/v1/messages", "/v1/responses"] {
        let stream = call(&faregate, path, &[], "a/b", true).expect(200);
        let plain: String = events(path).iter().map(|event| put(event, false)).collect();
        assert_eq!(stream.text(), plain, "{path}");
    }
    for (model, status, error) in [("denied", 403, DENIED), ("down", 502, DOWN)] {
        for path in ["/v1/chat/completions", "/v1/messages"] {
            let refused = call(&faregate, path, &[], model, false).expect(status);
            assert_eq!(refused.text(), put(error, false), "{path}");
        }
    }
    for request in upstream.requests() {
        assert_eq!(request.header("x-openrouter-metadata"), Some("enabled"));
    }
    let records = faregate.stop();
    assert_eq!(records.len(), 8);
    for record in records.iter().filter(|record| record["status"] == 200) {
        assert_eq!(record["served_by"], "OpenAI");
        assert_eq!(record["router"]["region"], "iad");
        assert_eq!(record["router"]["generation_ms"], 25);
        assert_eq!((&record["outcome"], &record["usage_state"]), (&"ok".into(), &"reported".into()));
    }
    // The list price is that of the provider that served.
    assert_eq!(records[0]["cost"]["list"].to_string(), "0.0035");
}

#[test]
fn a_client_that_asks_itself_sees_it_and_one_that_declines_is_heeded() {
    let upstream = Upstream::start(router);
    let faregate = start(&upstream, "");
    for name in ["X-OpenRouter-Metadata", "x-openrouter-experimental-metadata"] {
        let header = format!("{name}: enabled");
        let whole = call(&faregate, "/v1/chat/completions", &[&header], "a/b", false).expect(200);
        assert_eq!(whole.text(), put(BODY, true));
        let stream = call(&faregate, "/v1/messages", &[&header], "a/b", true).expect(200);
        assert_eq!(stream.text(), MESSAGES.iter().map(|event| put(event, true)).collect::<String>());
    }
    call(&faregate, "/v1/chat/completions", &["x-openrouter-metadata: disabled"], "a/b", false).expect(200);
    let asked: Vec<_> =
        upstream.requests().iter().map(|request| request.head.all("x-openrouter-metadata").join(", ")).collect();
    assert_eq!(asked, ["enabled", "enabled", "", "", "disabled"]);
    let records = faregate.stop();
    let told: Vec<bool> = records.iter().map(|record| record["router"].is_object()).collect();
    assert_eq!(told, [true, true, true, true, false]);
}

#[test]
fn it_is_not_asked_where_that_is_turned_off_or_on_other_calls() {
    let upstream = Upstream::start(router);
    let faregate = start(&upstream, ", router_metadata: false");
    let whole = call(&faregate, "/v1/chat/completions", &[], "a/b", false).expect(200);
    assert_eq!(whole.text(), put(BODY, false));
    assert_eq!(faregate.only_record()["router"], Value::Null);

    let on = start(&upstream, "");
    call(&on, "/v1/embeddings", &[], "a/b", false).expect(200);
    call(&on, "/router/api/v1/anything", &[], "a/b", false).expect(200);
    assert_eq!(upstream.requests().len(), 3);
    assert!(upstream.requests().iter().all(|request| request.header("x-openrouter-metadata").is_none()));
}

#[test]
fn what_the_router_itself_adds_is_counted() {
    let upstream = Upstream::start(router);
    let faregate = start(&upstream, "");
    call(&faregate, "/v1/chat/completions", &[], "slow", false).expect(200);
    faregate.wait_metric("faregate_router_hop_seconds_count", &[("provider", "router")], 1.0);
    let sum = faregate.metrics().value("faregate_router_hop_seconds_sum", &[("provider", "router")]).unwrap();
    let record = faregate.only_record();
    let router = &record["router"];
    let hop = router["hop_ms"].as_f64().expect("a hop");
    let (round_trip, duration) = (router["round_trip_ms"].as_f64().unwrap(), record["duration_ms"].as_f64().unwrap());
    assert!((hop / 1000.0 - sum).abs() < 1e-5, "{hop} ms in the record, {sum} s in the metric");
    // It slept for this long at least; the way there and back over loopback was taken off.
    assert!(round_trip > 0.0 && hop + round_trip >= 120.0, "{record:#?}");
    assert!(hop <= duration - 25.0, "{record:#?}");
}

/// A generation that took longer than the whole call is none of this call.
#[test]
fn what_cannot_be_is_unknown() {
    let upstream = Upstream::start(|peer: &mut Peer, _: &Request| {
        peer.json(200, put(BODY, true).replace("\"generation_time\":25", "\"generation_time\":3600000"));
    });
    let faregate = start(&upstream, "");
    call(&faregate, "/v1/chat/completions", &[], "a/b", false).expect(200);
    eventually("the call is counted", || faregate.metrics().sum("faregate_requests_total", &[]) >= 1.0);
    faregate.wait_metric("faregate_requests_total", &[], 1.0);
    let metrics = faregate.metrics();
    let record = faregate.only_record();
    assert_eq!(metrics.value("faregate_router_hop_seconds_count", &[("provider", "router")]), None);
    assert_eq!((&record["router"]["generation_ms"], &record["router"]["hop_ms"]), (&3_600_000.into(), &Value::Null));
}
