//! When the next target is tried, and when never.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use support::{Blackhole, Client, Faregate, Gate, Peer, Response, Upstream, attempt_outcomes, post, refusing, table};

const CHAT: &str = r#"{"model":"m","messages":[]}"#;
const STREAM: &str = r#"{"model":"m","messages":[],"stream":true}"#;
const GOOD: &str = r#"{"choices":[{"message":{"content":"good"}}]}"#;
const ROLE: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const HI: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";
/// For the first target only: the second may be as slow as the machine is.
const SHORT: &str = "  alpha:\n    timeouts: { connect: 300ms, first_byte: 300ms, idle: 300ms }\n";

const LONG: &str = "  alpha:\n";

/// A stream when one was asked for, else JSON.
fn good() -> Upstream {
    Upstream::start(|peer, request| {
        if request.text().contains("\"stream\":true") { peer.sse(&[ROLE, HI, DONE]) } else { peer.json(200, GOOD) }
    })
}

/// The call must be served by the second target after the first failed like this.
#[track_caller]
fn falls_back_from(first: SocketAddr, path: &str, body: &str, timeouts: &str, outcome: &str) -> Response {
    let second = good();
    let config = table::fallback(&[first, second.address]).replace("  alpha:\n", timeouts);
    let faregate = Faregate::start(&config);
    let response = post(faregate.api, path, body).expect(200);
    assert!(response.text().contains("good") || response.text().contains("Hi"), "{}", response.text());
    assert_eq!(response.header("x-faregate-provider"), Some("beta"));
    assert_eq!(response.header("x-faregate-attempts"), Some("2"));
    assert_eq!(second.request().text().contains("\"stream\":true"), body.contains("\"stream\":true"));
    let metrics = faregate.metrics();
    assert_eq!(metrics.sum("faregate_fallbacks_total", &[("route", "all"), ("reason", outcome)]), 1.0);
    let record = faregate.only_record();
    assert_eq!(attempt_outcomes(&record), [format!("alpha:{outcome}"), "beta:ok".into()]);
    assert_eq!((&record["outcome"], &record["status"]), (&"ok".into(), &200.into()));
    response
}

#[track_caller]
fn falls_back(script: impl Fn(&mut Peer) + Send + Sync + 'static, outcome: &str) {
    falls_back_in(LONG, script, outcome);
}

#[track_caller]
fn falls_back_in(timeouts: &str, script: impl Fn(&mut Peer) + Send + Sync + 'static, outcome: &str) {
    let first = Upstream::start(move |peer, _| script(peer));
    falls_back_from(first.address, "/v1/chat/completions", CHAT, timeouts, outcome);
}

#[test]
fn refused_connections() {
    let (address, _socket) = refusing();
    falls_back_from(address, "/v1/chat/completions", CHAT, LONG, "upstream_connect");
}

#[test]
fn connections_that_never_come() {
    let hole = Blackhole::new();
    falls_back_from(hole.address, "/v1/chat/completions", CHAT, SHORT, "upstream_timeout");
}

#[test]
fn no_first_byte_in_time() {
    falls_back_in(SHORT, Peer::wait_closed, "upstream_timeout");
}

#[test]
fn statuses_that_promise_nothing() {
    for (status, outcome) in [
        (429, "upstream_rate_limited"),
        (500, "upstream_error"),
        (501, "upstream_error"),
        (502, "upstream_error"),
        (503, "upstream_error"),
        (529, "upstream_error"),
        (408, "upstream_timeout"),
        (401, "upstream_rejected"),
        (402, "upstream_rejected"),
        (403, "upstream_rejected"),
        (404, "upstream_rejected"),
    ] {
        falls_back(move |peer| peer.json(status, r#"{"error":{"message":"no"}}"#), outcome);
    }
}

#[test]
fn a_refusal_without_an_end() {
    falls_back(
        |peer| {
            peer.send("HTTP/1.1 503 Unavailable\r\ncontent-length: 100\r\n\r\n{");
            peer.close();
        },
        "upstream_error",
    );
}

#[test]
fn garbage_instead_of_an_answer() {
    falls_back(|peer| peer.send("\x16\x03\x01 what is this\r\n\r\n"), "upstream_error");
    falls_back(
        |peer| peer.send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx"),
        "upstream_error",
    );
}

#[test]
fn a_reset() {
    falls_back(Peer::reset, "upstream_error");
}

#[test]
fn a_close_before_and_inside_the_head() {
    falls_back(Peer::close, "upstream_error");
    falls_back(
        |peer| {
            peer.send("HTTP/1.1 200 OK\r\ncontent-le");
            peer.close();
        },
        "upstream_error",
    );
}

#[test]
fn a_json_body_that_dies_half_way() {
    let half = r#"{"choices":[{"message":{"content":"ha"#;
    falls_back(
        move |peer| {
            peer.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 200\r\n\r\n{half}"
            ));
            peer.close();
        },
        "upstream_error",
    );
    falls_back(
        move |peer| {
            peer.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
            peer.chunk(half);
            peer.reset();
        },
        "upstream_error",
    );
    falls_back_in(
        SHORT,
        move |peer| {
            peer.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 200\r\n\r\n{");
            peer.wait_closed();
        },
        "upstream_timeout",
    );
}

#[test]
fn an_error_object_with_status_200() {
    falls_back(|peer| peer.json(200, r#"{"error":{"message":"overloaded","code":503}}"#), "upstream_error");
}

#[test]
fn an_error_event_before_content() {
    let openai = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    for events in [vec![openai], vec![": ping\n\n", ROLE, openai]] {
        let first = Upstream::start(move |peer, _| peer.sse(&events));
        let response = falls_back_from(first.address, "/v1/chat/completions", STREAM, LONG, "upstream_error");
        assert_eq!(response.text(), [ROLE, HI, DONE].concat(), "nothing of the first stream is left");
    }
    let start =
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1}}}\n\n";
    let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    for (kind, outcome) in [("overloaded_error", "upstream_error"), ("rate_limit_error", "upstream_rate_limited")] {
        let error = format!(
            "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"m\"}}}}\n\n"
        );
        let first = Upstream::start(move |peer, _| peer.sse(&[start, ping, &error]));
        falls_back_from(first.address, "/v1/messages", STREAM, LONG, outcome);
    }
}

#[test]
fn a_stream_that_dies_before_content() {
    let first = Upstream::start(|peer, _| {
        peer.sse_head();
        peer.chunk(ROLE);
        peer.reset();
    });
    falls_back_from(first.address, "/v1/chat/completions", STREAM, LONG, "upstream_error");
    let first = Upstream::start(|peer, _| {
        peer.sse_head();
        peer.wait_closed();
    });
    falls_back_from(first.address, "/v1/chat/completions", STREAM, SHORT, "upstream_timeout");
}

/// The call must not go to the second target; its answer. The gate opens when the client has the answer's head.
#[track_caller]
fn stays(path: &str, body: &str, script: impl Fn(&mut Peer, &Gate) + Send + Sync + 'static, outcome: &str) -> Response {
    let seen = Gate::default();
    let gate = seen.clone();
    let (first, second) = (Upstream::start(move |peer, _| script(peer, &gate)), good());
    let faregate = Faregate::start(&table::fallback(&[first.address, second.address]));
    let mut client = Client::connect(faregate.api);
    client.post(path, &[], body);
    let head = client.head();
    seen.open();
    let response = client.rest_of(head, "POST");
    assert_eq!(response.header("x-faregate-provider"), Some("alpha"));
    assert_eq!(second.connections(), 0, "the second target was tried");
    let record = faregate.only_record();
    assert_eq!(attempt_outcomes(&record), [format!("alpha:{outcome}")]);
    assert_eq!(record["outcome"], outcome);
    response
}

#[test]
fn a_bad_request_is_tried_nowhere_else() {
    for status in [400, 409, 413, 422] {
        let body = r#"{"error":{"message":"your fault","type":"invalid_request_error"}}"#;
        let script = move |peer: &mut Peer, _: &Gate| peer.json(status, body);
        let response = stays("/v1/chat/completions", CHAT, script, "upstream_rejected").expect(status);
        assert_eq!(response.text(), body);
    }
    let event = "data: {\"error\":{\"message\":\"too long\",\"code\":\"context_length_exceeded\"}}\n\n";
    let response =
        stays("/v1/chat/completions", STREAM, move |peer, _| peer.sse(&[event]), "upstream_rejected").expect(200);
    assert_eq!(response.text(), event);
}

#[test]
fn never_after_content() {
    let broken = |peer: &mut Peer, seen: &Gate| {
        peer.sse_head();
        peer.chunk(ROLE);
        peer.chunk(HI);
        seen.wait();
        peer.reset();
    };
    let response = stays("/v1/chat/completions", STREAM, broken, "stream_broken").expect(200);
    let (before, event) = response.text().split_once(HI).unwrap();
    assert_eq!(before, ROLE);
    let event: serde_json::Value = serde_json::from_str(event.strip_prefix("data: ").unwrap().trim_end()).unwrap();
    assert!(event["error"]["message"].is_string(), "{event}");

    let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n";
    let broken = move |peer: &mut Peer, _: &Gate| {
        peer.sse_head();
        peer.chunk(delta);
        peer.close();
    };
    let response = stays("/v1/messages", STREAM, broken, "stream_broken").expect(200);
    let event = response.text().strip_prefix(delta).unwrap();
    let data = event.strip_prefix("event: error\ndata: ").unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(data.trim_end()).unwrap()["type"], "error");
}

#[test]
fn an_error_event_after_content_goes_to_the_client() {
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    let script = move |peer: &mut Peer, seen: &Gate| {
        peer.sse_head();
        peer.chunk(HI);
        seen.wait();
        peer.chunk(error);
        peer.last_chunk();
    };
    let response = stays("/v1/chat/completions", STREAM, script, "stream_broken").expect(200);
    assert_eq!(response.text(), [HI, error].concat());
}

#[test]
fn inside_an_event_the_stream_ends_visibly_unfinished() {
    let script = |peer: &mut Peer, seen: &Gate| {
        peer.sse_head();
        peer.chunk([HI, "data: {\"choi"].concat());
        seen.wait();
        peer.reset();
    };
    let body = r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#;
    let response = stays("/v1/chat/completions", body, script, "stream_broken");
    assert!(!response.complete, "{}", response.text());
    assert!(response.text().starts_with(HI) && !response.text().contains("error"), "{}", response.text());
}

#[test]
fn a_stream_that_said_its_end_is_whole() {
    let script = |peer: &mut Peer, seen: &Gate| {
        peer.sse_head();
        peer.chunk([HI, DONE].concat());
        seen.wait();
        peer.reset();
    };
    let response = stays("/v1/chat/completions", STREAM, script, "ok").expect(200);
    assert_eq!(response.text(), [HI, DONE].concat());
}

#[test]
fn a_long_json_body_that_dies_after_it_began_to_flow_ends_visibly() {
    let script = |peer: &mut Peer, _: &Gate| {
        peer.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n");
        peer.send("x".repeat(300_000));
        peer.close();
    };
    let response = stays("/v1/embeddings", CHAT, script, "stream_broken");
    assert!(!response.complete && response.body.len() >= 65_536);
}

#[test]
fn a_silent_stream_is_held_back_for_a_while_only() {
    let seen = Gate::default();
    let wait = seen.clone();
    let first = Upstream::start(move |peer, _| {
        peer.sse_head();
        peer.chunk(ROLE);
        wait.wait();
        peer.chunk(HI);
        peer.last_chunk();
    });
    let second = good();
    let faregate = Faregate::start(&table::fallback(&[first.address, second.address]));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], STREAM);
    // The provider says nothing more until the client has seen what there is.
    client.head();
    assert_eq!(client.chunks_until("assistant"), ROLE);
    seen.open();
    assert_eq!(client.chunks_until("Hi"), HI);
    assert_eq!(client.chunk(), None);
    assert_eq!(second.connections(), 0);
}

/// One target, tried again; the configuration of its retries; what it answers first.
fn tried_again(retry: &str, first: impl Fn(&mut Peer) + Send + Sync + 'static) -> (Upstream, Faregate) {
    let upstream =
        Upstream::in_turn(vec![Box::new(move |peer, _| first(peer)), Box::new(|peer, _| peer.json(200, GOOD))]);
    let config = table::with(&table::fallback(&[upstream.address]), &format!("defaults: {{ retry: {{ {retry} }} }}"));
    let faregate = Faregate::start(&config);
    (upstream, faregate)
}

#[test]
fn the_same_target_again_where_the_route_says_so() {
    let retry = "attempts_per_target: 2, backoff: 1ms";
    let (upstream, faregate) = tried_again(retry, |peer| peer.json(500, "{}"));
    post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
    assert_eq!((upstream.requests().len(), upstream.connections()), (2, 1), "the connection is good");
    let metrics = faregate.metrics();
    assert_eq!(metrics.sum("faregate_fallbacks_total", &[]), 0.0, "the same target is no fallback");
    faregate.wait_metric("faregate_attempts_total", &[("provider", "alpha")], 2.0);
    assert_eq!(attempt_outcomes(&faregate.only_record()), ["alpha:upstream_error", "alpha:ok"]);
}

#[test]
fn retry_after_is_honoured_within_its_bound() {
    let retry = "attempts_per_target: 2, max_backoff: 60s, backoff: 1ms";
    let waits = |value: String| {
        let (upstream, faregate) =
            tried_again(retry, move |peer| peer.reply(429, &[&format!("retry-after{value}")], "{}"));
        let began = std::time::Instant::now();
        post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
        assert_eq!(upstream.requests().len(), 2);
        began.elapsed()
    };
    // Only ever a lower bound: how much longer it took is the machine's affair.
    assert!(waits(": 1".into()) >= Duration::from_secs(1));
    assert!(waits("-ms: 400".into()) >= Duration::from_millis(400));
    let soon = SystemTime::now() + Duration::from_secs(4);
    assert!(waits(format!(": {}", http_date(soon))) >= Duration::from_secs(1), "a date");
    assert!(waits(": Sun, 06 Nov 1994 08:49:37 GMT".into()) < Duration::from_secs(30), "long past");
}

fn http_date(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let date = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%a, %d %b %Y %H:%M:%S GMT"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    String::from_utf8(date.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_longer_retry_after_moves_on() {
    let retry = "attempts_per_target: 2, max_backoff: 1s";
    let (upstream, faregate) = tried_again(retry, |peer| peer.reply(429, &["retry-after: 3600"], "{}"));
    let response = post(faregate.api, "/v1/chat/completions", CHAT).expect(429);
    assert_eq!(response.header("retry-after"), Some("3600"), "the client is told");
    assert_eq!(upstream.requests().len(), 1);
    assert_eq!(faregate.only_record()["outcome"], "upstream_rate_limited");
}

#[test]
fn no_more_attempts_than_allowed() {
    let broken: Vec<Upstream> = (0..4).map(|_| Upstream::json(503, r#"{"error":{"message":"no"}}"#)).collect();
    let addresses: Vec<_> = broken.iter().map(|upstream| upstream.address).collect();
    let config = table::with(&table::fallback(&addresses), "defaults: { retry: { max_attempts: 3 } }");
    let faregate = Faregate::start(&config);
    let response = post(faregate.api, "/v1/chat/completions", CHAT).expect(503);
    assert_eq!(response.header("x-faregate-attempts"), Some("3"));
    assert_eq!(broken.iter().map(|upstream| upstream.requests().len()).collect::<Vec<_>>(), [1, 1, 1, 0]);
    assert_eq!(faregate.only_record()["attempts"].as_array().unwrap().len(), 3);
}

#[test]
fn only_the_outcomes_that_the_route_names() {
    let (first, second) = (Upstream::json(500, "{}"), good());
    let config = table::with(
        &table::fallback(&[first.address, second.address]),
        "defaults: { retry: { on: [connect, rate_limited] } }",
    );
    let faregate = Faregate::start(&config);
    post(faregate.api, "/v1/chat/completions", CHAT).expect(500);
    assert_eq!(second.connections(), 0);
    assert_eq!(faregate.only_record()["outcome"], "upstream_error");
}

/// Thirty calls to a provider that always fails; their statuses.
fn thirty_calls(config: &str) -> Vec<u16> {
    let config = table::with(
        config,
        "defaults: { retry: { budget: 0.0, attempts_per_target: 2, backoff: 1ms }, \
         health: { consecutive_failures: 0, error_rate: 0.0 } }",
    );
    let faregate = Faregate::start(&config);
    let mut client = Client::connect(faregate.api);
    (0..30)
        .map(|_| {
            client.post("/v1/chat/completions", &[], CHAT);
            client.response().status
        })
        .collect()
}

#[test]
fn the_retry_budget_runs_out() {
    let only = Upstream::json(500, "{}");
    let began = std::time::Instant::now();
    let statuses = thirty_calls(&table::fallback(&[only.address]));
    assert!(statuses.iter().all(|status| *status == 500), "{statuses:?}");
    let again = only.requests().len() - statuses.len();
    // Ten are always allowed within ten seconds; a slow machine may see several such windows.
    let windows = 1 + began.elapsed().as_secs() as usize / 10;
    assert!((10..=10 * (windows + 1)).contains(&again), "{again} further attempts");
    if windows == 1 {
        assert_eq!(again, 10);
    }
}

#[test]
fn falling_back_to_another_provider_needs_no_budget() {
    let (first, second) = (Upstream::json(500, "{}"), good());
    let statuses = thirty_calls(&table::fallback(&[first.address, second.address]));
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(second.requests().len(), 30);
}

#[test]
fn a_stale_kept_connection_is_replaced_and_is_no_attempt() {
    for reset in [false, true] {
        let upstream = Upstream::raw(move |peer| {
            while peer.read_request().is_some() {
                // The first connection dies on its second request, without a word.
                if peer.connection == 0 && peer.over {
                    return if reset { peer.reset() } else { peer.close() };
                }
                peer.json(200, GOOD);
                peer.over = true;
            }
        });
        let faregate = Faregate::start(&table::one_worker(&table::fallback(&[upstream.address])));
        for _ in 0..2 {
            let response = post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
            assert_eq!(response.header("x-faregate-attempts"), Some("1"));
        }
        assert_eq!(upstream.connections(), 2);
        faregate.wait_metric("faregate_attempts_total", &[], 2.0);
        let records = faregate.stop();
        assert!(records.iter().all(|r| attempt_outcomes(r) == ["alpha:ok"]), "{records:#?}");
    }
}

#[test]
fn a_refused_call_leaves_its_connection_fit_for_the_next() {
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let first = Upstream::start(move |peer, _| match turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => peer.json(503, r#"{"error":{"message":"a moment"}}"#),
        _ => peer.json(200, GOOD),
    });
    let second = good();
    let faregate = Faregate::start(&table::one_worker(&table::fallback(&[first.address, second.address])));
    for expected in ["beta", "alpha", "alpha"] {
        let response = post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
        assert_eq!(response.header("x-faregate-provider"), Some(expected));
        assert_eq!(response.text(), GOOD);
    }
    assert_eq!(first.connections(), 1);
}
