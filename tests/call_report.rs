//! What a call tells of its own cost, and what becomes of one whose client goes away.

mod support;

use support::{Client, Faregate, Gate, Peer, Request, Response, Upstream, get, table};

const MODEL: &str = "gpt-4o-2024-08-06";
/// 1,000 prompt tokens and 100 output tokens: $0.0035 by the list price.
const USAGE: &str = r#""usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}"#;

fn word(n: usize) -> String {
    format!("data: {{\"model\":\"{MODEL}\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"w{n} \"}}}}]}}\n\n")
}

fn last() -> String {
    format!("data: {{\"model\":\"{MODEL}\",\"choices\":[],{USAGE}}}\n\n")
}

/// A stream whose last event lacks its end, as some hosts have it.
fn breaks_off(peer: &mut Peer, _: &Request) {
    peer.sse(&[word(0), last(), "data: [DONE]\n".into()]);
}

fn answers(peer: &mut Peer, request: &Request) {
    if request.json()["stream"] == true {
        return peer.sse(&[word(0), last(), "data: [DONE]\n\n".into()]);
    }
    let usage = if request.text().contains("silent") { r#""usage":null"# } else { USAGE };
    peer.json(200, format!(r#"{{"model":"{MODEL}","choices":[{{"index":0,"message":{{"content":"hi"}}}}],{usage}}}"#));
}

fn config(upstream: &Upstream, more: &str) -> String {
    format!(
        "observe: {{ app: tests{more} }}
providers:
  openai: {{ base_url: \"{}\", credentials: none }}
",
        upstream.url()
    )
}

fn ask(faregate: &Faregate, headers: &[&str], body: &str) -> Response {
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", headers, body);
    client.response().expect(200)
}

const WHOLE: &str = r#"{"model":"gpt-4o","messages":[]}"#;
/// Usage is asked for, so that nothing is left out of the stream.
const STREAM: &str = r#"{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;

#[test]
fn a_whole_answer_says_in_headers_what_it_cost() {
    let upstream = Upstream::start(answers);
    let faregate = Faregate::start(&config(&upstream, ""));
    let said = ask(&faregate, &[], WHOLE);
    assert_eq!(said.header("x-faregate-cost"), Some("0.0035"));
    assert_eq!(said.header("x-faregate-list-cost"), Some("0.0035"));
    assert!(said.header("x-faregate-overhead-us").is_some_and(|us| us.parse::<u64>().is_ok()));
    assert_eq!(said.header("x-faregate-ttft-ms"), None, "no stream");
    let unknown = ask(&faregate, &[], r#"{"model":"gpt-4o","messages":["silent"]}"#);
    assert_eq!(unknown.header("x-faregate-cost"), Some("unknown"), "never 0");
    let records = faregate.stop();
    assert_eq!(records[0]["cost"]["effective"].to_string(), "0.0035");
    assert!(records[1]["cost"]["effective"].is_null());
}

#[test]
fn a_stream_says_it_in_trailers_where_the_client_takes_them() {
    let upstream = Upstream::start(answers);
    let faregate = Faregate::start(&config(&upstream, ""));
    let said = ask(&faregate, &["TE: trailers"], STREAM);
    assert!(said.header("trailer").is_some_and(|names| names.contains("x-faregate-cost")));
    assert_eq!(said.header("x-faregate-cost"), None, "the head went out before the cost was known");
    let has = |line: &str| said.trailers.iter().any(|trailer| trailer == line);
    assert!(has("x-faregate-cost: 0.0035") && has("x-faregate-list-cost: 0.0035"), "{:?}", said.trailers);
    assert!(said.trailers.iter().any(|line| line.starts_with("x-faregate-ttft-ms: ")));
    let plain = ask(&faregate, &[], STREAM);
    assert!(plain.trailers.is_empty() && plain.header("trailer").is_none());
    assert_eq!(plain.text(), [word(0), last(), "data: [DONE]\n\n".into()].concat(), "not a byte is added");

    // HTTP/1.0 has no chunks to put trailers behind: none are announced, whatever the client says that it takes.
    let mut old = Client::connect(faregate.api);
    let head =
        format!("POST /v1/chat/completions HTTP/1.0\r\nTE: trailers\r\ncontent-length: {}\r\n\r\n", STREAM.len());
    old.send(head + STREAM);
    let said = old.response().expect(200);
    assert!(said.trailers.is_empty() && said.header("trailer").is_none(), "{:?}", said.head.headers);
    assert_eq!(said.text(), plain.text());
}

#[test]
fn a_stream_says_it_in_a_comment_where_that_is_asked_for_and_nothing_where_it_is_turned_off() {
    let upstream = Upstream::start(answers);
    let faregate = Faregate::start(&config(&upstream, ", stream_comments: true, response_headers: false"));
    let said = ask(&faregate, &["TE: trailers"], STREAM);
    assert!(said.trailers.is_empty() && said.header("trailer").is_none());
    let (stream, comment) = said.text().split_once("[DONE]\n\n").unwrap();
    assert_eq!(stream, [word(0), last(), "data: ".into()].concat());
    assert!(
        comment.starts_with(": x-faregate-cost=0.0035 x-faregate-list-cost=0.0035 x-faregate-ttft-ms="),
        "{comment}"
    );
    assert!(comment.ends_with("\n\n") && comment.trim_end().lines().count() == 1);
    let whole = ask(&faregate, &[], WHOLE);
    assert!(whole.head.headers.iter().all(|(name, _)| !name.starts_with("x-faregate-")));
    assert!(whole.json().is_object(), "a JSON body takes no comment");
}

#[test]
fn nothing_is_added_to_a_stream_that_ends_inside_an_event() {
    let upstream = Upstream::start(breaks_off);
    let faregate = Faregate::start(&config(&upstream, ", stream_comments: true"));
    assert_eq!(ask(&faregate, &[], STREAM).text(), [word(0), last(), "data: [DONE]\n".into()].concat());
    assert_eq!(faregate.only_record()["cost"]["effective"].to_string(), "0.0035");
}

/// A stream whose client goes away after two words; `gone` opens once it has.
fn abandoned(route: &str) -> (Upstream, Faregate, Gate) {
    let gone = Gate::default();
    let wait = gone.clone();
    let upstream = Upstream::start(move |peer, _| {
        peer.sse_head();
        peer.chunk(word(0));
        peer.chunk(word(1));
        wait.wait();
        let _cancelled = peer.try_send(format!("{:x}\r\n{}\r\n", last().len(), last()));
        let _cancelled = peer.try_send("e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    });
    let faregate = Faregate::start(&format!(
        "{}routes: [{{ name: r, targets: [{{ provider: openai }}]{route} }}]\n",
        config(&upstream, "")
    ));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], STREAM);
    client.head();
    client.chunks_until("w1 ");
    client.reset();
    (upstream, faregate, gone)
}

#[test]
fn the_usage_of_an_abandoned_stream_is_estimated_and_in_no_sum() {
    let (upstream, faregate, gone) = abandoned("");
    let record = faregate.wait_records(1).remove(0);
    gone.open();
    upstream.wait_closed(0);
    assert_eq!(record["outcome"], "client_disconnected");
    assert_eq!(record["usage_state"], "estimated");
    assert_eq!(record["tokens"]["output"], 2, "one for each event that came");
    assert_eq!(record["tokens"]["input"], STREAM.len().div_ceil(4));
    assert!(record["cost"]["effective"].is_null());
    assert_eq!(record["cost"]["unpriced"], "usage estimated");
    faregate.wait_metric("faregate_unpriced_calls_total", &[("reason", "estimated")], 1.0);
    let page = get(faregate.admin, "/metrics").expect(200);
    assert!(!page.text().contains("\nfaregate_tokens_total{"), "an estimate is counted nowhere");
}

#[test]
fn a_route_that_drains_learns_the_usage_of_an_abandoned_stream() {
    let (_upstream, faregate, gone) = abandoned(", on_disconnect: drain");
    faregate.wait_metric("faregate_requests_in_flight", &[("dialect", "openai")], 1.0);
    gone.open();
    let record = faregate.wait_records(1).remove(0);
    assert_eq!(record["outcome"], "client_disconnected");
    assert_eq!(record["usage_state"], "reported");
    assert_eq!(record["tokens"]["output"], 100);
    assert_eq!(record["cost"]["effective"].to_string(), "0.0035");
}

#[test]
fn a_stream_that_the_provider_breaks_off_is_estimated_too() {
    let upstream = Upstream::start(|peer, _| {
        peer.sse_head();
        peer.chunk(word(0));
        peer.chunk(word(1));
        peer.reset();
    });
    let faregate = Faregate::start(&config(&upstream, ""));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], STREAM);
    client.response();
    let record = faregate.only_record();
    assert_eq!((&record["outcome"], &record["usage_state"]), (&"stream_broken".into(), &"estimated".into()));
    assert!(record["tokens"]["output"].as_u64().is_some_and(|tokens| (1..=2).contains(&tokens)));
}

#[test]
fn what_was_reported_before_an_anthropic_stream_broke_off_is_kept_and_the_rest_estimated() {
    let event = |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{rest}}}\n\n");
    let start = event(
        "message_start",
        r#""message":{"id":"m","model":"claude-sonnet-4-5","usage":{"input_tokens":25,"cache_read_input_tokens":7,"output_tokens":1}}"#,
    );
    let delta = event("content_block_delta", r#""index":0,"delta":{"type":"text_delta","text":"Hello"}"#);
    let upstream = Upstream::start(move |peer, _| {
        peer.sse_head();
        peer.chunk(&start);
        for _ in 0..3 {
            peer.chunk(&delta);
        }
        peer.reset();
    });
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/messages", &[], r#"{"model":"claude-sonnet-4-5","stream":true,"max_tokens":9,"messages":[]}"#);
    client.response();
    let record = faregate.only_record();
    assert_eq!(record["usage_state"], "estimated");
    assert_eq!((record["tokens"]["input"].as_u64(), record["tokens"]["cache_read"].as_u64()), (Some(25), Some(7)));
    assert!(record["tokens"]["output"].as_u64().is_some_and(|tokens| tokens <= 3));
}
