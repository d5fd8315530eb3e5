//! What is sent twice, and what is not.

use super::stage::{ALL, STREAM, body, call, config, content, direct, router, start, wait_result};
use super::support::{Client, Faregate, Gate, Upstream, post};

#[test]
fn a_call_goes_to_the_direct_target_too_with_its_key_and_model_and_the_client_sees_one_answer() {
    let (router, direct) = (Upstream::start(router), Upstream::start(direct));
    let faregate = start(&config(&router, &direct, ALL));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &["authorization: Bearer the-clients", "x-mine: yes"], body(STREAM));
    let answer = client.response().expect(200);
    assert!(answer.text().contains("from openai/gpt-4o") && !answer.text().contains("usage"), "{}", answer.text());
    assert!(!answer.text().contains("from gpt-4o"));
    wait_result(&faregate, "paired", 1.0);

    let (routed, probe) = (router.request(), direct.request());
    assert_eq!(routed.header("authorization"), Some("Bearer key-router"));
    assert_eq!(probe.header("authorization"), Some("Bearer key-direct"));
    assert_eq!((probe.target.as_str(), probe.header("x-mine")), ("/v1/chat/completions", Some("yes")));
    assert_ne!(probe.header("x-request-id"), routed.header("x-request-id"));
    let (mut sent, mut doubled) = (routed.json(), probe.json());
    assert_eq!(doubled["stream_options"]["include_usage"], true);
    assert_eq!((sent["model"].take(), doubled["model"].take()), ("openai/gpt-4o".into(), "gpt-4o".into()));
    assert_eq!(sent, doubled);

    // For clients and providers there was one call.
    let page = faregate.metrics();
    assert_eq!(page.sum("faregate_requests_total", &[]), 1.0);
    assert_eq!(page.sum("faregate_requests_total", &[("provider", "router"), ("outcome", "ok")]), 1.0);
    assert_eq!(page.sum("faregate_attempts_total", &[]), 1.0);
    assert_eq!(page.sum("faregate_requests_in_flight", &[]), 0.0);
    assert_eq!(page.sum("faregate_time_to_first_token_seconds_count", &[]), 1.0);
    for metric in ["faregate_cost_usd_total", "faregate_tokens_total"] {
        assert_eq!(page.sum(metric, &[("provider", "direct")]), 0.0, "{metric}");
    }
    assert_eq!(page.value("faregate_target_up", &[("provider", "direct"), ("model", "gpt-4o")]), None);
    let spent = [("route", "all"), ("provider", "direct"), ("model", "gpt-4o"), ("basis", "effective")];
    assert_eq!(page.value("faregate_paired_probe_cost_usd_total", &spent), Some(0.0035));

    let mut records = faregate.stop();
    assert_eq!(records.len(), 2, "{records:#?}");
    records.sort_by_key(|record| record["probe_of"].is_string());
    assert!(records[0]["probe_of"].is_null());
    assert_eq!(records[1]["probe_of"], records[0]["request_id"]);
    assert_eq!(records[1]["request_id"].as_str(), probe.header("x-request-id"));
    assert_eq!((&records[1]["app"], &records[1]["route"]), (&"faregate-probe".into(), &"all".into()));
    assert_eq!((&records[1]["provider"], &records[1]["model_sent"]), (&"direct".into(), &"gpt-4o".into()));
    assert_eq!((&records[1]["outcome"], &records[1]["tokens"]["input"]), (&"ok".into(), &1000.into()));
    let effective = |record: &serde_json::Value| record["cost"]["effective"].to_string();
    assert_eq!([effective(&records[0]), effective(&records[1])], ["0.004025", "0.0035"]);
}

#[test]
fn without_a_probe_nothing_is_sent_counted_or_written_twice() {
    let (router, direct) = (Upstream::start(router), Upstream::start(direct));
    let faregate = start(&config(&router, &direct, ""));
    call(&faregate, STREAM).expect(200);
    let page = super::support::get(faregate.admin, "/metrics").expect(200);
    assert!(!page.text().lines().any(|line| line.starts_with("faregate_paired_")), "{}", page.text());
    faregate.only_record();
    assert!(direct.requests().is_empty());
}

#[test]
fn what_has_side_effects_is_not_done_twice_unless_that_is_allowed() {
    let (router, direct) = (Upstream::start(router), Upstream::start(direct));
    let effects = [
        r#","tools":[{"type":"function","function":{"name":"f"}}]"#,
        r#","functions":[{"name":"f"}]"#,
        r#","web_search_options":{}"#,
        r#","store":true"#,
    ];
    let faregate = start(&config(&router, &direct, ALL));
    for more in effects {
        call(&faregate, more).expect(200);
    }
    // A response is stored unless the client says otherwise.
    post(faregate.api, "/v1/responses", r#"{"model":"gpt-4o","input":"x"}"#).expect(200);
    wait_result(&faregate, "side_effects", 5.0);
    assert!(direct.requests().is_empty());
    call(&faregate, "").expect(200);
    wait_result(&faregate, "paired", 1.0);
    assert_eq!(direct.requests().len(), 1);
    drop(faregate);

    let faregate = start(&config(&router, &direct, "probe: { target: direct/gpt-4o, share: 1, tools: true }"));
    for more in effects {
        call(&faregate, more).expect(200);
    }
    wait_result(&faregate, "paired", 4.0);
    assert_eq!(direct.requests().len(), 5);
}

#[test]
fn only_the_share_is_duplicated_and_the_calls_id_decides() {
    let run = || {
        let (router, direct) = (Upstream::start(router), Upstream::start(direct));
        let faregate = start(&config(&router, &direct, "probe: { target: direct/gpt-4o, share: 0.3 }"));
        let mut client = Client::connect(faregate.api);
        for n in 0..60 {
            client.post("/v1/chat/completions", &[&format!("x-request-id: call-{n}")], body(""));
            client.response().expect(200);
        }
        let records = faregate.stop();
        let mut chosen: Vec<String> =
            records.iter().filter_map(|record| record["probe_of"].as_str().map(str::to_owned)).collect();
        chosen.sort();
        (chosen, router.requests().len())
    };
    let (chosen, calls) = run();
    assert_eq!(calls, 60);
    assert!((5..35).contains(&chosen.len()), "{chosen:?}");
    let (again, _) = run();
    // A duplicate that is cut off by the stop leaves its record too.
    assert_eq!(chosen, again);
}

#[test]
fn a_client_that_leaves_or_a_route_that_fails_makes_no_pair() {
    let gate = Gate::default();
    let held = gate.clone();
    let router = Upstream::start(move |peer, request| {
        if request.text().contains("fail") {
            return peer.json(503, r#"{"error":{"message":"down"}}"#);
        }
        peer.sse_head();
        peer.chunk(content("openai/gpt-4o"));
        held.wait();
        peer.wait_closed();
    });
    let direct = Upstream::start(direct);
    let faregate = start(&config(&router, &direct, ALL));
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], body(STREAM));
    client.head();
    client.chunks_until("from openai");
    direct.wait_requests(1);
    client.reset();
    gate.open();
    wait_result(&faregate, "call_failed", 1.0);
    call(&faregate, r#","user":"fail""#).expect(503);
    wait_result(&faregate, "call_failed", 2.0);
    assert_eq!(faregate.metrics().sum("faregate_paired_calls_total", &[]), 0.0);
    // They cost money all the same.
    let spent = [("basis", "effective")];
    assert_eq!(faregate.metrics().sum("faregate_paired_probe_cost_usd_total", &spent), 0.007);
}

#[test]
fn a_call_that_fell_back_is_no_measure_of_its_route() {
    let router_ = Upstream::json(503, r#"{"error":{"message":"down"}}"#);
    let (direct, backup) = (Upstream::start(direct), Upstream::start(router));
    let config = config(&router_, &direct, ALL)
        .replace("providers:\n", &format!("providers:\n  backup: {{ base_url: \"{}\" }}\n", backup.url()))
        .replace("openai/gpt-4o }]", "openai/gpt-4o }, { provider: backup, model: openai/gpt-4o }]");
    let faregate = start(&config);
    call(&faregate, "").expect(200);
    wait_result(&faregate, "call_failed", 1.0);
    assert_eq!((direct.requests().len(), backup.requests().len()), (1, 1));
}

#[test]
fn calls_that_go_to_the_direct_target_anyway_and_counts_of_tokens_are_not_compared() {
    let (router, direct) = (Upstream::start(router), Upstream::start(direct));
    let config = config(&router, &direct, ALL).replace(
        "targets: [{ provider: router",
        "strategy: weighted\n  targets: [{ provider: direct, model: gpt-4o }, { provider: router, weight: 0",
    );
    let faregate = start(&config);
    call(&faregate, "").expect(200);
    assert_eq!(faregate.only_record()["provider"], "direct");
    assert_eq!(direct.requests().len(), 1);
}

#[test]
fn anthropic_calls_are_compared_with_a_target_that_speaks_their_dialect() {
    let message = r#"{"id":"m","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1000,"output_tokens":100}}"#;
    let (router, direct) = (Upstream::json(200, message), Upstream::json(200, message));
    let config = format!(
        "providers:
  router: {{ preset: anthropic, base_url: \"{}\", credentials: {{ insecure_inline: key-router }} }}
  direct: {{ preset: anthropic, base_url: \"{}\", credentials: {{ insecure_inline: key-direct }} }}
  speaks_other: {{ base_url: \"{}\" }}
routes:
- {{ name: all, match: {{ api: [messages] }}, targets: [{{ provider: router }}], probe: {{ target: direct, share: 1 }} }}
",
        router.url(),
        direct.url(),
        direct.url()
    );
    let faregate = Faregate::start(&config);
    post(faregate.api, "/v1/messages", r#"{"model":"claude-sonnet-4-5","max_tokens":5,"messages":[]}"#).expect(200);
    wait_result(&faregate, "paired", 1.0);
    assert_eq!(direct.request().header("x-api-key"), Some("key-direct"));
    assert_eq!(direct.request().json()["model"], "claude-sonnet-4-5", "as asked");
    let cost = [("side", "direct"), ("direct", "direct/claude-sonnet-4-5")];
    assert_eq!(faregate.metrics().sum("faregate_paired_cost_usd_total", &cost), 0.0045);
}
