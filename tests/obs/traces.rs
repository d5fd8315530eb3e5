//! Traces, as a collector gets them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};

use serde_json::Value;

use super::support::{Blackhole, Client, Faregate, Setup, Upstream, eventually, get, post, refusing, table};

const OK: &str = r#"{"id":"c","object":"chat.completion","model":"served-1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4}}}"#;
const CHAT: &str = r#"{"model":"m","messages":[]}"#;
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[derive(Debug, Clone)]
struct Span {
    trace: String,
    id: String,
    parent: Option<String>,
    state: Option<String>,
    name: String,
    kind: u64,
    start: u64,
    end: u64,
    error: bool,
    attributes: BTreeMap<String, String>,
}

/// All spans of one export, each field of the kind that the protocol has for it.
fn decode(export: &Value) -> Vec<Span> {
    let attributes = |list: &Value| -> BTreeMap<String, String> {
        let all = list.as_array().unwrap().iter().map(|attribute| {
            let value = attribute["value"].as_object().unwrap();
            assert_eq!(value.len(), 1, "{attribute}");
            let (kind, value) = value.iter().next().unwrap();
            let text = match kind.as_str() {
                "stringValue" => value.as_str().unwrap().to_owned(),
                "intValue" => value.as_str().unwrap().parse::<i64>().unwrap().to_string(),
                "boolValue" => value.as_bool().unwrap().to_string(),
                "doubleValue" => value.as_f64().unwrap().to_string(),
                other => panic!("{other}"),
            };
            (attribute["key"].as_str().unwrap().to_owned(), text)
        });
        let count = list.as_array().unwrap().len();
        let map: BTreeMap<_, _> = all.collect();
        assert_eq!(map.len(), count, "no attribute comes twice");
        map
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let nanos = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    let mut spans = Vec::new();
    for resource in export["resourceSpans"].as_array().unwrap() {
        let named = attributes(&resource["resource"]["attributes"]);
        assert!(named.contains_key("service.name") && named.contains_key("service.version"), "{named:?}");
        for scope in resource["scopeSpans"].as_array().unwrap() {
            assert_eq!(scope["scope"]["name"], "faregate");
            for span in scope["spans"].as_array().unwrap() {
                spans.push(Span {
                    trace: text(&span["traceId"]).unwrap(),
                    id: text(&span["spanId"]).unwrap(),
                    parent: text(&span["parentSpanId"]),
                    state: text(&span["traceState"]),
                    name: text(&span["name"]).unwrap(),
                    kind: span["kind"].as_u64().unwrap(),
                    start: nanos(&span["startTimeUnixNano"]),
                    end: nanos(&span["endTimeUnixNano"]),
                    error: span["status"]["code"] == 2,
                    attributes: attributes(&span["attributes"]),
                });
            }
        }
    }
    spans
}

fn spans(collector: &Upstream) -> Vec<Span> {
    collector.requests().iter().flat_map(|request| decode(&request.json())).collect()
}

fn traced(config: &str, collector: &str, more: &str) -> String {
    table::with(config, &format!("observe: {{ traces: {{ endpoint: \"{collector}\"{more} }} }}"))
}

fn url(upstream: &Upstream) -> String {
    format!("http://{}", upstream.address)
}

#[test]
fn a_call_is_a_span_in_the_caller_s_trace_and_each_attempt_one_under_it() {
    let collector = Upstream::json(200, "{}");
    let alpha = Upstream::json(500, r#"{"error":{"message":"down"}}"#);
    let beta = Upstream::json(200, OK);
    let config = traced(&table::fallback(&[alpha.address, beta.address]), &url(&collector), ", sample: 0");
    let faregate = Faregate::start(&config);
    let mut client = Client::connect(faregate.api);
    let parent = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01");
    client.post("/v1/chat/completions", &[&parent, "tracestate: a=1", "tracestate: b=2", "x-faregate-app: web"], CHAT);
    client.response().expect(200);
    eventually("three spans", || spans(&collector).len() >= 3);
    let all = spans(&collector);
    assert_eq!(all.len(), 3, "{all:#?}");
    let sent = collector.requests().remove(0);
    assert_eq!((&*sent.method, &*sent.target), ("POST", "/v1/traces"));
    assert_eq!(sent.header("content-type"), Some("application/json"));

    let call = all.iter().find(|span| span.kind == 2).unwrap();
    let attempts: Vec<&Span> = all.iter().filter(|span| span.kind == 3).collect();
    assert_eq!(attempts.len(), 2);
    assert!(all.iter().all(|span| span.trace == TRACE && span.state.as_deref() == Some("a=1,b=2")));
    assert_eq!(call.parent.as_deref(), Some("00f067aa0ba902b7"));
    assert!(attempts.iter().all(|attempt| attempt.parent.as_deref() == Some(&*call.id)));
    assert!(call.start > 1_700_000_000_000_000_000 && call.start <= call.end);
    for attempt in &attempts {
        assert!(call.start <= attempt.start && attempt.start <= attempt.end && attempt.end <= call.end);
    }
    assert!(attempts[0].end <= attempts[1].start);

    // The provider is told of the attempt's span, in the same trace.
    for (attempt, upstream) in attempts.iter().zip([&alpha, &beta]) {
        let expected = format!("00-{TRACE}-{}-01", attempt.id);
        assert_eq!(upstream.request().header("traceparent"), Some(&*expected));
        assert_eq!(upstream.request().head.all("tracestate"), ["a=1", "b=2"]);
        let port = upstream.address.port().to_string();
        assert_eq!(attempt.attributes["server.address"], "127.0.0.1");
        assert_eq!(attempt.attributes["server.port"], port);
    }
    assert_eq!((&*call.name, &*attempts[0].name), ("chat m", "chat m"));
    assert!(!call.error && attempts[0].error && !attempts[1].error);
    let says = |span: &Span, expected: &[(&str, &str)]| {
        for (key, value) in expected {
            assert_eq!(span.attributes.get(*key).map(String::as_str), Some(*value), "{key} of {span:#?}");
        }
    };
    let id = faregate.wait_records(1)[0]["request_id"].as_str().unwrap().to_owned();
    says(
        call,
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "beta"),
            ("gen_ai.request.model", "m"),
            ("gen_ai.response.model", "served-1"),
            ("gen_ai.usage.input_tokens", "10"),
            ("gen_ai.usage.cache_read.input_tokens", "4"),
            ("gen_ai.usage.output_tokens", "5"),
            ("http.response.status_code", "200"),
            ("faregate.request_id", &id),
            ("faregate.app", "web"),
            ("faregate.route", "all"),
            ("faregate.attempts", "2"),
            ("faregate.outcome", "ok"),
        ],
    );
    says(
        attempts[0],
        &[
            ("gen_ai.provider.name", "alpha"),
            ("http.response.status_code", "500"),
            ("error.type", "500"),
            ("faregate.outcome", "upstream_error"),
        ],
    );
    assert!(!attempts[0].attributes.contains_key("gen_ai.usage.input_tokens"), "it answered nothing");
    says(attempts[1], &[("http.request.resend_count", "1"), ("gen_ai.response.model", "served-1")]);
    assert!(!attempts[1].attributes.contains_key("error.type"));
    eventually("the export counted", || {
        faregate.metrics().value("faregate_trace_spans_exported_total", &[]) == Some(3.0)
    });
    let record = &faregate.stop()[0];
    assert_eq!(record["trace_id"], TRACE);
}

#[test]
fn without_a_caller_s_trace_a_new_one_begins_and_the_share_decides() {
    let collector = Upstream::json(200, "{}");
    let upstream = Upstream::json(200, OK);
    let table = table::fallback(&[upstream.address]);
    let all = Faregate::start(&traced(&table, &url(&collector), ""));
    let mut client = Client::connect(all.api);
    client.post("/v1/chat/completions", &["traceparent: 00-not-valid-01", "tracestate: a=1"], CHAT);
    client.response().expect(200);
    let record = all.only_record();
    let spans = spans(&collector);
    assert_eq!(spans.len(), 2, "flushed at the end");
    let call = spans.iter().find(|span| span.kind == 2).unwrap();
    assert_eq!((call.parent.as_deref(), call.state.as_deref()), (None, None));
    assert_eq!(record["trace_id"].as_str(), Some(&*call.trace));
    let got = upstream.request();
    assert!(got.header("traceparent").unwrap().starts_with(&format!("00-{}-", call.trace)));
    assert!(got.header("traceparent").unwrap().ends_with("-03"), "sampled, random");
    assert_eq!(got.header("tracestate"), None, "of a trace that does not go on");

    let none = Faregate::start(&traced(&table, &url(&collector), ", sample: 0"));
    post(none.api, "/v1/chat/completions", CHAT).expect(200);
    none.stop();
    assert_eq!(collector.requests().len(), 1, "no further export");
    assert!(upstream.requests()[1].header("traceparent").unwrap().ends_with("-02"), "not sampled");
}

#[test]
fn a_caller_that_does_not_record_is_followed() {
    let collector = Upstream::json(200, "{}");
    let upstream = Upstream::json(200, OK);
    let faregate = Faregate::start(&traced(&table::fallback(&[upstream.address]), &url(&collector), ""));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[&format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-00")], CHAT);
    client.response().expect(200);
    faregate.stop();
    let told = upstream.request().header("traceparent").unwrap().to_owned();
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"), "{told}");
    assert!(!told.contains("00f067aa0ba902b7"));
    assert!(collector.requests().is_empty());
}

#[test]
fn without_a_collector_the_caller_s_headers_go_on_as_they_came() {
    let upstream = Upstream::json(200, OK);
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let mut client = Client::connect(faregate.api);
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    client.post("/v1/chat/completions", &[&format!("traceparent: {parent}"), "tracestate: a=1"], CHAT);
    client.response().expect(200);
    let got = upstream.request();
    assert_eq!((got.header("traceparent"), got.header("tracestate")), (Some(&*parent), Some("a=1")));
    assert_eq!(faregate.only_record()["trace_id"], TRACE);
}

#[test]
fn a_stream_s_span_tells_its_first_chunk_and_a_broken_one_its_error() {
    let collector = Upstream::json(200, "{}");
    let upstream = Upstream::start(|peer, _| {
        peer.sse_head();
        peer.chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n");
        peer.reset();
    });
    let faregate = Faregate::start(&traced(&table::fallback(&[upstream.address]), &url(&collector), ""));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], r#"{"model":"m","stream":true,"messages":[]}"#);
    client.response();
    faregate.stop();
    for span in spans(&collector) {
        assert_eq!(span.attributes["gen_ai.request.stream"], "true");
        assert_eq!(span.attributes["error.type"], "stream_broken", "{span:#?}");
        assert!(span.error);
        assert!(span.attributes["gen_ai.response.time_to_first_chunk"].parse::<f64>().unwrap() > 0.0);
    }
    assert_eq!(spans(&collector).len(), 2);
}

#[test]
fn a_collector_that_refuses_or_is_away_costs_spans_that_are_counted_and_no_call() {
    let upstream = Upstream::json(200, OK);
    let table = table::fallback(&[upstream.address]);
    let refuses = Upstream::json(400, "{}");
    let faregate = Faregate::start(&traced(&table, &url(&refuses), ""));
    post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
    let failed = |faregate: &Faregate| {
        faregate.metrics().value("faregate_trace_spans_dropped_total", &[("reason", "export_failed")])
    };
    eventually("the spans counted as lost", || failed(&faregate) == Some(2.0));
    faregate.wait_logged("traces cannot be exported");

    let partly = Upstream::json(200, r#"{"partialSuccess":{"rejectedSpans":"1"}}"#);
    let faregate = Faregate::start(&traced(&table, &url(&partly), ""));
    post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
    eventually("one of two counted as lost", || failed(&faregate) == Some(1.0));
    assert_eq!(faregate.metrics().value("faregate_trace_spans_exported_total", &[]), Some(1.0));

    let (nowhere, _held) = refusing();
    let hole = Blackhole::new();
    for address in [nowhere, hole.address] {
        let mut faregate = Faregate::start(&traced(&table, &format!("http://{address}"), ""));
        for _ in 0..20 {
            post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
        }
        faregate.signal("TERM");
        assert!(faregate.wait().success(), "the stop does not wait for it for long");
    }
}

#[test]
fn spans_that_a_busy_collector_refuses_are_sent_again() {
    let collector = Upstream::in_turn(vec![
        Box::new(|peer, _| peer.json(503, "{}")),
        Box::new(|peer, _| peer.reset()),
        Box::new(|peer, _| peer.json(200, "{}")),
    ]);
    let upstream = Upstream::json(200, OK);
    let faregate = Faregate::start(&traced(&table::fallback(&[upstream.address]), &url(&collector), ""));
    post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
    let exported = || faregate.metrics().value("faregate_trace_spans_exported_total", &[]);
    eventually("the spans taken at last", || exported() == Some(2.0));
    let requests = collector.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[0].body, requests[2].body, "the same spans");
}

#[test]
fn headers_come_from_the_configuration_and_the_environment_and_are_shown_nowhere() {
    let collector = Upstream::json(200, "{}");
    let upstream = Upstream::json(200, OK);
    let more = ", headers: { x-one: { env: ONE }, x-two: { insecure_inline: canary-two } }";
    let config = traced(&table::fallback(&[upstream.address]), &url(&collector), more);
    let faregate = Setup::new(&config)
        .env("ONE", "canary-one")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-two=loses,authorization=Basic%20canary-three")
        .env("OTEL_SERVICE_NAME", "edge")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        .env("RUST_LOG", "trace")
        .start();
    post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
    collector.wait_requests(1);
    let sent = collector.request();
    assert_eq!(sent.header("x-one"), Some("canary-one"));
    assert_eq!(sent.header("x-two"), Some("canary-two"));
    assert_eq!(sent.header("authorization"), Some("Basic canary-three"));
    let resource = sent.json()["resourceSpans"][0]["resource"].to_string();
    assert!(resource.contains(r#""stringValue":"edge""#) && resource.contains("deployment.environment.name"));
    let page = get(faregate.admin, "/admin/table").expect(200);
    assert!(!page.text().contains("canary") && !faregate.stderr().contains("canary"));
}

#[test]
fn a_collector_behind_tls_is_trusted_by_the_certificate_that_is_named() {
    let identity = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(identity.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], key)
        .unwrap();
    let tls = Arc::new(tls);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(tls.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(session, socket);
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            // A client that does not trust us ends it here.
            while let Ok(n) = stream.read(&mut piece)
                && n > 0
            {
                request.extend_from_slice(&piece[..n]);
                if request.ends_with(b"]}]}]}") {
                    let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
                    tell.send(String::from_utf8(std::mem::take(&mut request)).unwrap()).unwrap();
                }
            }
        }
    });
    let upstream = Upstream::json(200, OK);
    let config = traced(&table::fallback(&[upstream.address]), &format!("https://localhost:{port}"), "");
    let setup = Setup::new(&config).file("ca.pem", identity.cert.pem());
    let faregate = setup.env("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem").start();
    post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
    let request = told.recv_timeout(super::support::PATIENCE).unwrap();
    let body = request.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(decode(&serde_json::from_str(body).unwrap()).len(), 2);
    eventually("the export counted", || {
        faregate.metrics().value("faregate_trace_spans_exported_total", &[]) == Some(2.0)
    });

    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let setup = Setup::new(&config).file("ca.pem", stranger.cert.pem());
    let faregate = setup.env("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem").start();
    post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
    faregate.wait_logged("traces cannot be exported");
    assert!(told.try_recv().is_err(), "nothing is sent to a collector that is not trusted");
}

#[test]
fn a_usage_record_reaches_a_collector_as_a_log_record() {
    let collector = Upstream::json(200, "{}");
    let alpha = Upstream::json(200, OK);
    let config = table::with(
        &table::fallback(&[alpha.address]),
        &format!("observe: {{ usage_logs: {{ endpoint: \"{}\" }} }}", url(&collector)),
    );
    let faregate = Faregate::start(&config);
    let mut client = Client::connect(faregate.api);
    let parent = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01");
    client.post("/v1/chat/completions", &[&parent, "x-request-id: a\"b\\c"], CHAT);
    client.response().expect(200);
    let on_file = faregate.wait_records(1).remove(0);
    collector.wait_requests(1);
    let sent = collector.request();
    assert_eq!((&*sent.method, &*sent.target), ("POST", "/v1/logs"));
    let export = sent.json();
    let resource = &export["resourceLogs"][0];
    assert!(resource["resource"]["attributes"].to_string().contains("service.name"));
    let logs = resource["scopeLogs"][0]["logRecords"].as_array().unwrap();
    assert_eq!(logs.len(), 1);
    assert_eq!((&logs[0]["traceId"], &logs[0]["severityNumber"]), (&TRACE.into(), &9.into()));
    assert!(logs[0]["timeUnixNano"].as_str().unwrap().parse::<u64>().unwrap() > 1_700_000_000_000_000_000);
    let body: Value = serde_json::from_str(logs[0]["body"]["stringValue"].as_str().unwrap()).unwrap();
    assert_eq!(body, on_file, "the same record");
    assert_eq!(body["request_id"], "a\"b\\c");
}

#[test]
fn usage_records_that_no_collector_takes_are_counted_and_calls_go_on() {
    let collector = Upstream::json(400, "{}");
    let alpha = Upstream::json(200, OK);
    let config = table::with(
        &table::fallback(&[alpha.address]),
        &format!("observe: {{ usage_logs: {{ endpoint: \"{}\" }} }}", url(&collector)),
    );
    let faregate = Faregate::start(&config);
    for _ in 0..3 {
        post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
    }
    faregate.wait_metric("faregate_usage_records_dropped_total", &[], 3.0);
    assert_eq!(faregate.stop().len(), 3, "the file has them all the same");
}
