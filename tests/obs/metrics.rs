//! Every value of the metrics page after traffic that was scripted call by call.

use std::collections::BTreeMap;

use super::support::{Client, Faregate, Gate, Peer, Record, Request, Upstream, eventually, get, post, promtool};

const OK: &str = r#"{"id":"c","object":"chat.completion","model":"served-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4}}}"#;

fn content(text: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"served-1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
    )
}

const USAGE: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"served-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,\"total_tokens\":10}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// What the upstream does follows from the model that it is asked for.
fn script(held: Gate) -> impl Fn(&mut Peer, &Request) + Send + Sync {
    move |peer, request| match request.json()["model"].as_str().unwrap() {
        "main-stream" => peer.sse(&[content("a"), content("b"), content("c"), USAGE.into(), DONE.into()]),
        "main-refused" => peer.json(400, r#"{"error":{"message":"no","type":"invalid_request_error"}}"#),
        "slow" => peer.wait_closed(),
        "main-gone" => {
            peer.sse_head();
            peer.chunk(content("a"));
            held.wait();
            peer.wait_closed();
        }
        "main-no-usage" => peer.json(200, r#"{"id":"c","object":"chat.completion","choices":[]}"#),
        _ => peer.json(200, OK),
    }
}

fn failing(peer: &mut Peer, request: &Request) {
    let fails = request.json()["model"] == "second";
    peer.json(if fails { 500 } else { 200 }, if fails { r#"{"error":{"message":"down"}}"# } else { OK });
}

fn config(alpha: &Upstream, beta: &Upstream) -> String {
    format!(
        "observe: {{ app: batch, gen_ai_metrics: true }}
providers:
  alpha: {{ endpoints: {{ openai: \"{}\" }}, credentials: {{ insecure_inline: a }} }}
  beta: {{ endpoints: {{ openai: \"{}\" }}, credentials: {{ insecure_inline: b }} }}
routes:
- {{ name: main, match: {{ model: main-* }}, targets: [{{ provider: alpha }}] }}
- {{ name: backup, match: {{ model: second }}, targets: [{{ provider: beta }}, {{ provider: alpha, model: fixed }}], retry: {{ attempts_per_target: 1 }} }}
- {{ name: slow, match: {{ model: slow }}, targets: [{{ provider: alpha }}], timeouts: {{ first_byte: 200ms }} }}
",
        alpha.url(),
        beta.url()
    )
}

fn chat(faregate: &Faregate, headers: &[&str], model: &str, stream: bool) -> u16 {
    let mut client = Client::connect(faregate.api);
    let body = format!(r#"{{"model":"{model}","stream":{stream},"messages":[]}}"#);
    client.post("/v1/chat/completions", headers, body);
    client.response().status
}

/// Lines of these metrics, `_bucket` and `_sum` left out, sorted.
fn lines<'a>(page: &'a str, metrics: &[&str]) -> Vec<&'a str> {
    let wanted = |line: &&str| {
        let name = line.split(['{', ' ']).next().unwrap();
        metrics.iter().any(|metric| name == *metric || name.strip_suffix("_count") == Some(metric))
    };
    let mut found: Vec<&str> = page.lines().filter(wanted).collect();
    found.sort_unstable();
    found
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn after_scripted_traffic_every_value_is_exact_and_records_add_up_to_it() {
    let held = Gate::default();
    let alpha = Upstream::start(script(held.clone()));
    let beta = Upstream::start(failing);
    let faregate = Faregate::start(&config(&alpha, &beta));

    assert_eq!(chat(&faregate, &["x-faregate-app: web"], "main-ok", false), 200);
    assert_eq!(chat(&faregate, &["x-faregate-app: web"], "main-ok", false), 200);
    assert_eq!(chat(&faregate, &[], "main-stream", true), 200);
    assert_eq!(chat(&faregate, &[], "second", false), 200, "falls back");
    assert_eq!(chat(&faregate, &[], "main-refused", false), 400);
    assert_eq!(chat(&faregate, &[], "main-no-usage", false), 200);
    assert_eq!(chat(&faregate, &[], "nowhere", false), 404);
    assert_eq!(chat(&faregate, &[], "slow", false), 504);
    post(faregate.api, "/v1/chat/completions", "{not json").expect(400);
    let mut gone = Client::connect(faregate.api);
    gone.post("/v1/chat/completions", &[], r#"{"model":"main-gone","stream":true,"messages":[]}"#);
    gone.head();
    gone.chunks_until("\"a\"");
    let during = faregate.metrics();
    assert_eq!(during.value("faregate_requests_in_flight", &[("dialect", "openai")]), Some(1.0));
    gone.reset();
    held.open();
    eventually("all calls counted", || faregate.metrics().sum("faregate_requests_total", &[]) >= 10.0);

    let page = get(faregate.admin, "/metrics").expect(200);
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let page = page.text();
    assert_eq!(
        lines(page, &["faregate_requests_total"]),
        sorted(
            r#"
faregate_requests_total{app="batch",route="backup",provider="alpha",model="fixed",requested_model="second",dialect="openai",stream="false",outcome="ok"} 1
faregate_requests_total{app="batch",route="main",provider="alpha",model="main-no-usage",requested_model="main-no-usage",dialect="openai",stream="false",outcome="ok"} 1
faregate_requests_total{app="batch",route="main",provider="alpha",model="main-stream",requested_model="main-stream",dialect="openai",stream="true",outcome="ok"} 1
faregate_requests_total{app="batch",route="main",provider="alpha",model="other",requested_model="other",dialect="openai",stream="false",outcome="upstream_rejected"} 1
faregate_requests_total{app="batch",route="main",provider="alpha",model="other",requested_model="other",dialect="openai",stream="true",outcome="client_disconnected"} 1
faregate_requests_total{app="batch",route="none",provider="none",model="none",requested_model="none",dialect="openai",stream="false",outcome="client_invalid"} 1
faregate_requests_total{app="batch",route="none",provider="none",model="none",requested_model="other",dialect="openai",stream="false",outcome="no_route"} 1
faregate_requests_total{app="batch",route="slow",provider="alpha",model="other",requested_model="slow",dialect="openai",stream="false",outcome="upstream_timeout"} 1
faregate_requests_total{app="web",route="main",provider="alpha",model="main-ok",requested_model="main-ok",dialect="openai",stream="false",outcome="ok"} 2
"#
        )
    );
    assert_eq!(
        lines(page, &["faregate_attempts_total"]),
        sorted(
            r#"
faregate_attempts_total{provider="alpha",model="fixed",outcome="ok"} 1
faregate_attempts_total{provider="alpha",model="main-no-usage",outcome="ok"} 1
faregate_attempts_total{provider="alpha",model="main-ok",outcome="ok"} 2
faregate_attempts_total{provider="alpha",model="main-stream",outcome="ok"} 1
faregate_attempts_total{provider="alpha",model="other",outcome="client_disconnected"} 1
faregate_attempts_total{provider="alpha",model="other",outcome="upstream_rejected"} 1
faregate_attempts_total{provider="alpha",model="other",outcome="upstream_timeout"} 1
faregate_attempts_total{provider="beta",model="other",outcome="upstream_error"} 1
"#
        )
    );
    assert_eq!(
        lines(page, &["faregate_tokens_total", "faregate_usage_unknown_total", "faregate_fallbacks_total"]),
        sorted(
            r#"
faregate_fallbacks_total{route="backup",from="beta/other",to="alpha/fixed",reason="upstream_error"} 1
faregate_tokens_total{app="batch",provider="alpha",model="fixed",class="cache_read"} 4
faregate_tokens_total{app="batch",provider="alpha",model="fixed",class="input"} 6
faregate_tokens_total{app="batch",provider="alpha",model="fixed",class="output"} 5
faregate_tokens_total{app="batch",provider="alpha",model="main-stream",class="input"} 7
faregate_tokens_total{app="batch",provider="alpha",model="main-stream",class="output"} 3
faregate_tokens_total{app="web",provider="alpha",model="main-ok",class="cache_read"} 8
faregate_tokens_total{app="web",provider="alpha",model="main-ok",class="input"} 12
faregate_tokens_total{app="web",provider="alpha",model="main-ok",class="output"} 10
faregate_usage_unknown_total{provider="alpha",model="main-no-usage"} 1
"#
        )
    );
    let histograms = [
        "faregate_request_duration_seconds",
        "faregate_overhead_seconds",
        "faregate_time_to_first_token_seconds",
        "faregate_time_per_output_token_seconds",
    ];
    assert_eq!(
        lines(page, &histograms),
        sorted(
            r#"
faregate_overhead_seconds_count{phase="request"} 8
faregate_overhead_seconds_count{phase="response"} 7
faregate_request_duration_seconds_count{route="backup",provider="alpha",model="fixed",stream="false"} 1
faregate_request_duration_seconds_count{route="main",provider="alpha",model="main-no-usage",stream="false"} 1
faregate_request_duration_seconds_count{route="main",provider="alpha",model="main-ok",stream="false"} 2
faregate_request_duration_seconds_count{route="main",provider="alpha",model="main-stream",stream="true"} 1
faregate_request_duration_seconds_count{route="main",provider="alpha",model="other",stream="false"} 1
faregate_request_duration_seconds_count{route="main",provider="alpha",model="other",stream="true"} 1
faregate_request_duration_seconds_count{route="none",provider="none",model="none",stream="false"} 2
faregate_request_duration_seconds_count{route="slow",provider="alpha",model="other",stream="false"} 1
faregate_time_per_output_token_seconds_count{provider="alpha",model="main-stream"} 1
faregate_time_to_first_token_seconds_count{route="main",provider="alpha",model="main-stream"} 1
faregate_time_to_first_token_seconds_count{route="main",provider="alpha",model="other"} 1
"#
        )
    );
    let conventional = [
        "gen_ai_client_operation_duration_seconds",
        "gen_ai_server_time_to_first_token_seconds",
        "gen_ai_server_time_per_output_token_seconds",
    ];
    assert_eq!(
        lines(page, &conventional),
        sorted(
            r#"
gen_ai_client_operation_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="alpha",gen_ai_request_model="fixed",error_type=""} 1
gen_ai_client_operation_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="alpha",gen_ai_request_model="main-no-usage",error_type=""} 1
gen_ai_client_operation_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="alpha",gen_ai_request_model="main-ok",error_type=""} 2
gen_ai_client_operation_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="alpha",gen_ai_request_model="main-stream",error_type=""} 1
gen_ai_client_operation_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="alpha",gen_ai_request_model="other",error_type="client_disconnected"} 1
gen_ai_client_operation_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="alpha",gen_ai_request_model="other",error_type="upstream_rejected"} 1
gen_ai_client_operation_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="alpha",gen_ai_request_model="other",error_type="upstream_timeout"} 1
gen_ai_server_time_per_output_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="alpha",gen_ai_request_model="main-stream"} 1
gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="alpha",gen_ai_request_model="main-stream"} 1
gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="alpha",gen_ai_request_model="other"} 1
"#
        )
    );
    let after = faregate.metrics();
    assert_eq!(after.value("faregate_requests_in_flight", &[("dialect", "openai")]), Some(0.0));
    let connections = |provider| after.sum("faregate_upstream_connections_total", &[("provider", provider)]);
    assert_eq!((connections("alpha"), connections("beta")), (8.0, 1.0));
    let new = after.value("faregate_upstream_connections_total", &[("provider", "alpha"), ("reused", "false")]);
    assert_eq!(new, after.value("faregate_upstream_connect_seconds_count", &[("provider", "alpha")]));
    assert_eq!(new, Some(alpha.connections() as f64));
    assert_eq!(after.value("faregate_target_up", &[("provider", "beta"), ("model", "any")]), Some(1.0));
    assert_eq!(after.value("faregate_target_up", &[("provider", "alpha"), ("model", "fixed")]), Some(1.0));
    assert_eq!(after.value("faregate_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    for zero in [
        "faregate_usage_records_dropped_total",
        "faregate_log_lines_dropped_total",
        "faregate_trace_spans_exported_total",
    ] {
        assert_eq!(after.value(zero, &[]), Some(0.0), "{zero}");
    }
    promtool(page);
    let page = after;
    add_up(&page, &faregate.stop());
}

/// Counters are the sums of what the records say.
fn add_up(page: &super::support::Metrics, records: &[Record]) {
    let mut calls: BTreeMap<&str, f64> = BTreeMap::new();
    let mut attempts: BTreeMap<&str, f64> = BTreeMap::new();
    let mut tokens: BTreeMap<&str, f64> = BTreeMap::new();
    for record in records {
        *calls.entry(record["outcome"].as_str().unwrap()).or_default() += 1.0;
        for attempt in record["attempts"].as_array().unwrap() {
            *attempts.entry(attempt["outcome"].as_str().unwrap()).or_default() += 1.0;
        }
        // Estimates are in no sum.
        let counted = record["tokens"].as_object().filter(|_| record["usage_state"] != "estimated");
        for (class, count) in counted.into_iter().flatten() {
            *tokens.entry(class).or_default() += count.as_f64().unwrap();
        }
    }
    assert_eq!(page.sum("faregate_requests_total", &[]), records.len() as f64);
    for (outcome, count) in calls {
        assert_eq!(page.sum("faregate_requests_total", &[("outcome", outcome)]), count, "{outcome}");
    }
    let all: f64 = attempts.values().sum();
    assert_eq!(page.sum("faregate_attempts_total", &[]), all);
    for (outcome, count) in attempts {
        assert_eq!(page.sum("faregate_attempts_total", &[("outcome", outcome)]), count, "{outcome}");
    }
    for (class, count) in tokens.iter().filter(|(class, _)| **class != "web_searches") {
        assert_eq!(page.sum("faregate_tokens_total", &[("class", class)]), *count, "{class}");
    }
    assert!(tokens["input"] > 0.0);
}

#[test]
fn a_reload_takes_old_targets_away_and_a_refused_one_is_told() {
    let upstream = Upstream::json(200, OK);
    let (one, two) = (config(&upstream, &upstream), config(&upstream, &upstream));
    let without_beta = two.replace("  beta:", "  gamma:").replace("provider: beta", "provider: gamma");
    let without_beta = without_beta.replace("app: batch", "app: other");
    let faregate = Faregate::start(&one);
    let before = faregate.metrics();
    let generation = before.value("faregate_config_generation", &[]).unwrap();
    assert_eq!(before.sum("faregate_target_up", &[("provider", "beta")]), 1.0);
    assert_eq!(before.sum("faregate_config_info", &[]), 1.0);
    assert_eq!(before.value("faregate_config_reloads_total", &[("result", "failure")]), Some(0.0));

    faregate.rewrite(&without_beta);
    faregate.wait_logged("configuration reloaded");
    faregate.wait_logged("observe: changes here need a restart");
    eventually("the new table's targets", || {
        faregate.metrics().sum("faregate_target_up", &[("provider", "gamma")]) == 1.0
    });
    let after = faregate.metrics();
    assert_eq!(after.value("faregate_target_up", &[("provider", "beta")]), None, "a target that is gone");
    assert_eq!(after.value("faregate_config_generation", &[]), Some(generation + 1.0));
    assert_eq!(after.sum("faregate_config_info", &[]), 1.0, "one hash, the new one");
    assert_eq!(after.value("faregate_config_reloads_total", &[("result", "success")]), Some(2.0));
    assert!(after.value("faregate_config_last_reload_timestamp_seconds", &[]).unwrap() > 1.7e9);

    faregate.rewrite("routes: 7");
    faregate.wait_logged("the routing table in use stays");
    eventually("the refusal", || faregate.metrics().value("faregate_config_last_reload_success", &[]) == Some(0.0));
    let refused = faregate.metrics();
    assert_eq!(refused.value("faregate_config_reloads_total", &[("result", "failure")]), Some(1.0));
    assert_eq!(refused.value("faregate_config_generation", &[]), Some(generation + 1.0));
    assert_eq!(refused.sum("faregate_target_up", &[("provider", "gamma")]), 1.0);
}

#[test]
fn an_ejected_target_is_down_until_it_answers_again() {
    let upstream = Upstream::json(503, r#"{"error":{"message":"down"}}"#);
    let config = format!(
        "providers:\n  alpha: {{ endpoints: {{ openai: \"{}\" }} }}\ndefaults: {{ health: {{ consecutive_failures: 2, eject: 300s }} }}\n\
         routes:\n- {{ name: all, targets: [{{ provider: alpha, model: m }}], retry: {{ attempts_per_target: 1 }} }}\n",
        upstream.url()
    );
    let faregate = Faregate::start(&config);
    let up = || faregate.metrics().value("faregate_target_up", &[("provider", "alpha"), ("model", "m")]);
    assert_eq!(up(), Some(1.0));
    for _ in 0..2 {
        chat(&faregate, &[], "m", false);
    }
    eventually("the ejection", || up() == Some(0.0));
    let targets = get(faregate.admin, "/admin/targets").expect(200).json();
    assert_eq!(targets["targets"][0]["health"]["state"], "ejected");
}

/// Whatever clients make up, the label shows what an operator wrote down.
#[test]
fn requested_model_shows_names_of_the_configuration_and_nothing_else() {
    let upstream = Upstream::start(|peer, _| peer.json(200, OK));
    let config = |aliases: &str| {
        format!(
            "providers:
  alpha: {{ endpoints: {{ openai: \"{}\" }}, credentials: {{ insecure_inline: a }}, models: [listed, any-*] }}
aliases: {{ {aliases} }}
routes:
- {{ name: fixed, match: {{ model: [m-*, fast] }}, targets: [{{ provider: alpha, model: large }}] }}
",
            upstream.url()
        )
    };
    let faregate = Faregate::start(&config("quick: m-1, swift: m-1"));
    let ask = |models: &[&str]| models.iter().for_each(|model| assert_eq!(chat(&faregate, &[], model, false), 200));
    let counted = |calls: f64| {
        faregate.wait_metric("faregate_requests_total", &[], calls);
        let page = faregate.metrics();
        move |model: &str, requested: &str| {
            page.sum("faregate_requests_total", &[("model", model), ("requested_model", requested)])
        }
    };
    // Twice each: the first call of a name finds its counter, the second takes it from where it was kept.
    ask(&["quick", "quick", "swift", "swift", "fast", "fast", "m-1", "m-2", "m-2", "m-3"]);
    ask(&["large", "listed", "any-1", "alpha/m-2"]);
    let now = counted(14.0);
    assert_eq!(now("large", "quick"), 2.0);
    assert_eq!(now("large", "swift"), 2.0);
    assert_eq!(now("large", "fast"), 2.0);
    assert_eq!(now("large", "m-1"), 1.0, "what an alias stands for");
    assert_eq!(now("large", "other"), 3.0, "only a glob knows m-2 and m-3");
    assert_eq!(now("large", "large"), 1.0, "sent to the only provider as asked");
    assert_eq!(now("listed", "listed"), 1.0);
    assert_eq!(now("any-1", "any-1"), 1.0, "served, so that its name is the model label too");
    assert_eq!(now("m-2", "other"), 1.0, "asked for as alpha/m-2");

    // Names come and go with the table.
    faregate.rewrite(&config("brisk: m-1, swift: m-1"));
    faregate.wait_metric("faregate_config_generation", &[], 2.0);
    ask(&["brisk", "swift", "m-2"]);
    let now = counted(17.0);
    assert_eq!((now("large", "brisk"), now("large", "swift"), now("large", "other")), (1.0, 3.0, 4.0));
}
