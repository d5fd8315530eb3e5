//! Calls of vendors' own APIs, from end to end: passed through as they are, and metered and priced like any other.

mod support;

use support::{Client, Faregate, Gate, Peer, Record, Request, Upstream, eventually};

/// Two vendors at one address: what they charge is known by their presets.
fn config(upstream: &Upstream) -> String {
    let host = format!("http://{}", upstream.address);
    format!(
        "providers:
  google: {{ preset: google-ai-studio, endpoints: {{ openai: \"{host}/v1beta/openai\", opaque: \"{host}\" }}, credentials: none }}
  cohere: {{ preset: cohere, endpoints: {{ openai: \"{host}/compatibility/v1\", opaque: \"{host}\" }}, credentials: none }}
  other: {{ endpoints: {{ openai: \"{host}/v1\", opaque: \"{host}\" }}, credentials: none }}
"
    )
}

fn start(script: impl Fn(&mut Peer, &Request) + Send + Sync + 'static) -> (Upstream, Faregate) {
    let upstream = Upstream::start(script);
    let faregate = Faregate::start(&config(&upstream));
    (upstream, faregate)
}

const TEXT: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]}}],"usageMetadata":{"promptTokenCount":1000,"totalTokenCount":1000},"modelVersion":"gemini-2.5-flash"}"#;
const END: &str = r#"{"candidates":[{"content":{"parts":[{"text":"."}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1000,"candidatesTokenCount":60,"thoughtsTokenCount":40,"totalTokenCount":1100},"modelVersion":"gemini-2.5-flash"}"#;
const STREAM: &str = "/google/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse";

/// Tokens of a record without zeros, as text.
fn tokens(record: &Record) -> String {
    let Some(classes) = record["tokens"].as_object() else { return record["tokens"].to_string() };
    let some = classes.iter().filter(|(_, n)| **n != 0);
    some.map(|(class, n)| format!("{class} {n}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_stream_of_a_vendors_own_is_metered_and_priced() {
    let (upstream, faregate) = start(|peer, _| {
        peer.sse(&[format!("data: {TEXT}\r\n\r\n"), format!("data: {END}\r\n\r\n")]);
    });
    let mut client = Client::connect(faregate.api);
    client.post(STREAM, &["accept-encoding: gzip, br", "te: trailers"], r#"{"contents":[]}"#);
    let body = client.response().expect(200);
    assert!(body.header("trailer").is_some_and(|names| names.contains("x-faregate-cost")));
    for line in ["x-faregate-cost: 0.00055", "x-faregate-list-cost: 0.00055"] {
        assert!(body.trailers.iter().any(|trailer| trailer == line), "{line}: {:?}", body.trailers);
    }
    assert_eq!(body.text(), format!("data: {TEXT}\r\n\r\ndata: {END}\r\n\r\n"));
    let sent = upstream.request();
    assert_eq!(sent.header("accept-encoding"), Some("identity"), "the answer is read");
    faregate.wait_metric("faregate_tokens_total", &[("provider", "google"), ("class", "reasoning")], 40.0);
    let page = faregate.metrics();
    assert!(
        (page.sum("faregate_cost_usd_total", &[("provider", "google"), ("basis", "list")]) - 0.00055).abs() < 1e-12
    );
    let model = [("provider", "google"), ("model", "gemini-2.5-flash")];
    assert_eq!(page.sum("faregate_time_to_first_token_seconds_count", &model) as u64, 1);
    let record = faregate.only_record();
    assert_eq!(tokens(&record), "input 1000, output 60, reasoning 40");
    assert_eq!((&record["usage_state"], &record["operation"]), (&"reported".into(), &"chat".into()));
    assert_eq!((&record["dialect"], &record["stream"]), (&"opaque".into(), &true.into()));
    for field in ["model_asked", "model_sent", "model_served"] {
        assert_eq!(record[field], "gemini-2.5-flash", "{field}");
    }
    // 1,000 tokens at $0.30 and 100 at $2.50 a million.
    assert_eq!([&record["cost"]["list"], &record["cost"]["billed"]].map(ToString::to_string), ["0.00055", "0.00055"]);
    assert!(record["ttft_ms"].is_number(), "{record}");
}

#[test]
fn the_model_may_stand_in_the_request_alone() {
    let (_upstream, faregate) = start(|peer, _| {
        peer.json(200, r#"{"message":{},"usage":{"billed_units":{"input_tokens":1000,"output_tokens":100}}}"#);
    });
    let mut client = Client::connect(faregate.api);
    let padding = "x".repeat(300_000);
    // In the middle of a body that comes in pieces.
    client.send("POST /cohere/v2/chat HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
    let body = format!(
        r#"{{"messages":[{{"content":"\"model\":\"no\"{padding}"}}],"model":"command-a-03-2025","stream":false}}"#
    );
    for piece in body.as_bytes().chunks(7_001) {
        client.send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    }
    client.send("0\r\n\r\n");
    client.response().expect(200);
    let record = faregate.only_record();
    assert_eq!(tokens(&record), "input 1000, output 100");
    assert_eq!(
        (&record["model_asked"], &record["model_sent"]),
        (&"command-a-03-2025".into(), &"command-a-03-2025".into())
    );
    assert_eq!((&record["model_served"], &record["stream"]), (&serde_json::Value::Null, &false.into()));
    assert_eq!(record["cost"]["list"].to_string(), "0.0035");
    assert_eq!(record["bytes_in"], body.len());
}

#[test]
fn what_cannot_be_read_is_unknown_and_costs_what_nobody_knows() {
    let (upstream, faregate) = start(|peer, request| match request.header("x-case") {
        Some("gzip") => peer.reply(200, &["content-type: application/json", "content-encoding: gzip"], b"\x1f\x8b\x08"),
        Some("silent") => peer.json(200, r#"{"candidates":[]}"#),
        Some("half") => peer.reply(200, &["content-type: application/json"], r#"{"usageMetadata":{"promptTok"#),
        _ => peer.json(200, END),
    });
    let path = "/google/v1beta/models/gemini-2.5-flash:generateContent";
    for case in ["gzip", "silent", "half"] {
        let mut client = Client::connect(faregate.api);
        client.post(path, &[&format!("x-case: {case}"), "accept-encoding: gzip"], "{}");
        client.response().expect(200);
    }
    // Asked for as it can be read; only a provider that compresses all the same is unknown.
    assert!(upstream.requests().iter().all(|request| request.header("accept-encoding") == Some("identity")));
    let unknown = [("provider", "google")];
    eventually("three are counted", || faregate.metrics().sum("faregate_usage_unknown_total", &unknown) as u64 == 3);
    let unpriced = [("provider", "google"), ("reason", "no_usage")];
    assert_eq!(faregate.metrics().sum("faregate_unpriced_calls_total", &unpriced) as u64, 3);
    for record in faregate.stop() {
        assert_eq!((&record["tokens"], &record["outcome"]), (&"unknown".into(), &"ok".into()));
        assert_eq!(record["cost"]["effective"], serde_json::Value::Null);
    }
}

#[test]
fn an_error_inside_an_answer_counts_as_what_it_is() {
    let failed = r#"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}"#;
    let (_upstream, faregate) = start(move |peer, request| {
        let mut events = vec![format!("data: {failed}\n\n")];
        if request.target.contains("late") {
            events.insert(0, format!("data: {TEXT}\n\n"));
        }
        peer.sse(&events);
    });
    for (model, outcome, said) in
        [("early", "upstream_rate_limited", "\"unknown\""), ("late", "stream_broken", "input 1000, output 1")]
    {
        let mut client = Client::connect(faregate.api);
        client.post(&format!("/google/v1beta/models/{model}:streamGenerateContent?alt=sse"), &[], "{}");
        assert!(client.response().expect(200).text().ends_with(&format!("data: {failed}\n\n")), "told as it came");
        let records = faregate.wait_records(if model == "early" { 1 } else { 2 });
        let record = records.iter().find(|record| record["model_asked"] == model).unwrap();
        assert_eq!((&record["outcome"], &record["status"]), (&outcome.into(), &200.into()));
        assert_eq!(tokens(record), said, "{model}");
    }
}

#[test]
fn a_stream_that_breaks_keeps_what_was_reported_so_far() {
    let (_upstream, faregate) = start(|peer, _| {
        peer.sse_head();
        peer.chunk(format!("data: {TEXT}\n\n"));
        peer.close();
    });
    let mut client = Client::connect(faregate.api);
    client.post(STREAM, &[], "{}");
    let response = client.response();
    assert_eq!((response.status, response.complete), (200, false));
    let record = faregate.only_record();
    assert_eq!((&record["outcome"], tokens(&record).as_str()), (&"stream_broken".into(), "input 1000, output 1"));
    assert_eq!(record["usage_state"], "estimated", "a report without the content that came is none of it");
}

#[test]
fn a_client_that_leaves_a_stream_is_metered_as_far_as_it_came() {
    let gate = Gate::default();
    let left = gate.clone();
    let (upstream, faregate) = start(move |peer, _| {
        peer.sse_head();
        peer.chunk(format!("data: {TEXT}\n\n"));
        left.wait();
        peer.wait_closed();
    });
    let mut client = Client::connect(faregate.api);
    client.post(STREAM, &[], "{}");
    client.head();
    assert!(client.chunks_until("\n\n").contains("hi"), "each event goes out as it comes");
    drop(client);
    gate.open();
    upstream.wait_closed(0);
    let record = faregate.only_record();
    assert_eq!((&record["outcome"], tokens(&record).as_str()), (&"client_disconnected".into(), "input 1000, output 1"));
    assert_eq!(record["usage_state"], "estimated");
}

#[test]
fn where_the_route_says_so_the_rest_is_read_for_its_usage() {
    let gate = Gate::default();
    let left = gate.clone();
    let upstream = Upstream::start(move |peer, _| {
        peer.sse_head();
        peer.chunk(format!("data: {TEXT}\n\n"));
        left.wait();
        // What the client will not take any more.
        peer.chunk(format!("data: {TEXT}\n\n"));
        peer.chunk(format!("data: {END}\n\n"));
        peer.last_chunk();
    });
    let route = "routes:\n- name: drained\n  match: { api: [other] }\n  on_disconnect: drain\n  targets: [{ provider: google }]\n";
    let faregate = Faregate::start(&(config(&upstream) + route));
    let mut client = Client::connect(faregate.api);
    client.post(STREAM, &[], "{}");
    client.head();
    client.chunks_until("\n\n");
    client.reset();
    gate.open();
    let records = faregate.wait_records(1);
    assert_eq!(
        (&records[0]["outcome"], &records[0]["usage_state"]),
        (&"client_disconnected".into(), &"reported".into())
    );
    assert_eq!(tokens(&records[0]), "input 1000, output 60, reasoning 40");
}

#[test]
fn lines_stream_unless_told_not_to() {
    let (_upstream, faregate) = start(|peer, request| {
        match request.target.as_str() {
        "/api/generate" => peer.json(404, r#"{"error":"model 'm' not found"}"#),
        _ => peer.reply(
            200,
            &["content-type: application/x-ndjson"],
            "{\"model\":\"qwen3:4b\",\"message\":{\"content\":\"x\"},\"done\":false}\n{\"model\":\"qwen3:4b\",\"done\":true,\"prompt_eval_count\":7,\"eval_count\":9}\n",
        ),
    }
    });
    for path in ["/other/api/chat", "/other/api/generate"] {
        let mut client = Client::connect(faregate.api);
        client.post(path, &["content-type: application/json"], r#"{"model":"qwen3:4b","messages":[]}"#);
        client.response();
    }
    let records = faregate.stop();
    let of = |operation: &str| records.iter().find(|record| record["operation"] == operation).unwrap();
    assert_eq!((tokens(of("chat")).as_str(), &of("chat")["stream"]), ("input 7, output 9", &true.into()));
    assert!(of("chat")["ttft_ms"].is_number());
    let refused = of("completions");
    assert_eq!((&refused["stream"], &refused["model_asked"]), (&true.into(), &"qwen3:4b".into()));
    assert_eq!((&refused["outcome"], &refused["cost"]), (&"upstream_rejected".into(), &serde_json::Value::Null));
}

#[test]
fn a_counting_call_reports_no_usage_and_misses_none() {
    let (_upstream, faregate) = start(|peer, _| peer.json(200, r#"{"totalTokens":9}"#));
    let mut client = Client::connect(faregate.api);
    client.post("/google/v1beta/models/gemini-2.5-flash:countTokens", &[], "{}");
    client.response().expect(200);
    assert_eq!(faregate.metrics().sum("faregate_usage_unknown_total", &[]) as u64, 0);
    let record = faregate.only_record();
    assert_eq!((&record["operation"], &record["tokens"]), (&"count_tokens".into(), &"unknown".into()));
    assert_eq!(record["cost"], serde_json::Value::Null);
}
