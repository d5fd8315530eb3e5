//! Money, memory and time have bounds, and nothing that happens to a duplicate is felt by clients.

use super::stage::{ALL, STREAM, answer, call, config, direct, router, start, wait_result};
use super::support::{Faregate, Gate, Upstream};

/// One call at a time, each with its duplicate told of.
fn call_and_wait(faregate: &Faregate, result: &str, count: f64) {
    call(faregate, "").expect(200);
    wait_result(faregate, result, count);
}

const HALF_A_CENT: &str = "probe: { target: direct/gpt-4o, share: 1, budget_usd_per_day: 0.005 }";

#[test]
fn the_budget_of_a_day_stops_duplicates_and_a_reload_does_not_renew_it() {
    let (router, direct) = (Upstream::start(router), Upstream::start(direct));
    let before = config(&router, &direct, HALF_A_CENT);
    let faregate = start(&before);
    call_and_wait(&faregate, "paired", 1.0);
    call_and_wait(&faregate, "paired", 2.0);
    call_and_wait(&faregate, "over_budget", 1.0);
    assert_eq!(direct.requests().len(), 2, "the second may begin while any of the budget is left");
    faregate.rewrite(&before.replace("0.005", "0.007"));
    faregate.wait_metric("faregate_config_generation", &[], 2.0);
    call_and_wait(&faregate, "over_budget", 2.0);
    faregate.rewrite(&before.replace("0.005", "0.008"));
    faregate.wait_metric("faregate_config_generation", &[], 3.0);
    call_and_wait(&faregate, "paired", 3.0);
    call_and_wait(&faregate, "over_budget", 3.0);
    assert_eq!(direct.requests().len(), 3);
}

#[test]
fn a_duplicate_that_tells_no_usage_counts_as_the_call_itself() {
    let silent = r#"{"id":"c","object":"chat.completion","model":"gpt-4o","choices":[]}"#;
    let (router, direct) = (Upstream::start(router), Upstream::json(200, silent));
    let faregate = start(&config(&router, &direct, HALF_A_CENT));
    call_and_wait(&faregate, "paired", 1.0);
    call_and_wait(&faregate, "paired", 2.0);
    call_and_wait(&faregate, "over_budget", 1.0);
    let page = faregate.metrics();
    assert_eq!(page.sum("faregate_paired_calls_total", &[("measure", "duration")]), 2.0);
    assert_eq!(page.sum("faregate_paired_calls_total", &[("measure", "cost")]), 0.0, "an estimate is no measurement");
}

#[test]
fn where_nobody_knows_a_cost_there_are_no_more_until_the_configuration_is_read_again() {
    let silent = r#"{"id":"c","object":"chat.completion","model":"gpt-4o","choices":[]}"#;
    let (router, direct) = (Upstream::json(200, silent), Upstream::json(200, silent));
    let before = config(&router, &direct, ALL);
    let faregate = start(&before);
    call_and_wait(&faregate, "paired", 1.0);
    call_and_wait(&faregate, "unpriced", 1.0);
    faregate.rewrite(&before.replace("share: 1", "share: 1.0, budget_usd_per_day: 2"));
    faregate.wait_metric("faregate_config_generation", &[], 2.0);
    call_and_wait(&faregate, "paired", 2.0);
    assert_eq!(direct.requests().len(), 2);
}

#[test]
fn a_direct_target_that_never_answers_holds_up_nobody_and_only_so_many_wait_for_it() {
    let gate = Gate::default();
    let held = gate.clone();
    let router = Upstream::start(router);
    let direct = Upstream::start(move |peer, request| {
        held.wait();
        answer(peer, request, "");
    });
    let faregate = start(&config(&router, &direct, ALL));
    for _ in 0..10 {
        call(&faregate, STREAM).expect(200);
    }
    wait_result(&faregate, "busy", 2.0);
    direct.wait_requests(8);
    gate.open();
    wait_result(&faregate, "paired", 8.0);
    call(&faregate, STREAM).expect(200);
    wait_result(&faregate, "paired", 9.0);
    assert_eq!(direct.requests().len(), 9);
}

#[test]
fn a_direct_target_that_fails_is_told_of_and_stays_in_service_for_others() {
    let router = Upstream::start(router);
    let direct = Upstream::start(|peer, request| match request.header("x-how") {
        Some("500") => peer.json(500, r#"{"error":{"message":"down"}}"#),
        Some("400") => peer.json(400, r#"{"error":{"message":"no"}}"#),
        Some("cut") => {
            peer.sse_head();
            peer.chunk(super::stage::content("gpt-4o"));
            peer.reset();
        }
        Some("error") => {
            peer.sse(&["data: {\"error\":{\"message\":\"down\",\"type\":\"server_error\"}}\n\n"]);
        }
        _ => peer.reset(),
    });
    // The direct target serves a route of its own too.
    let own = "\n- { name: own, match: { model: never }, targets: [{ provider: direct, model: gpt-4o }] }\n";
    let text = config(&router, &direct, ALL);
    let faregate = start(&text.replace("routes:\n", &format!("routes:{own}")));
    let mut count = 0.0;
    for _ in 0..3 {
        for how in ["500", "400", "cut", "error", "reset"] {
            let mut client = super::support::Client::connect(faregate.api);
            client.post("/v1/chat/completions", &[&format!("x-how: {how}")], super::stage::body(STREAM));
            let text = client.response().expect(200);
            assert!(text.text().contains("[DONE]") && !text.text().contains("error"), "{how}");
            count += 1.0;
            wait_result(&faregate, "probe_failed", count);
        }
    }
    let page = faregate.metrics();
    assert_eq!(page.value("faregate_target_up", &[("provider", "direct"), ("model", "gpt-4o")]), Some(1.0));
    assert_eq!(page.sum("faregate_requests_total", &[("outcome", "ok")]), 15.0);
    assert_eq!(page.sum("faregate_requests_total", &[]), 15.0);
    assert_eq!(page.sum("faregate_paired_calls_total", &[]), 0.0);
}

#[test]
fn a_target_out_of_service_gets_no_duplicates() {
    let router = Upstream::start(router);
    let direct = Upstream::json(500, r#"{"error":{"message":"down"}}"#);
    let own = "\n- { name: own, match: { model: own }, targets: [{ provider: direct, model: gpt-4o }] }\n";
    let text = config(&router, &direct, ALL).replace("routes:\n", &format!("routes:{own}"));
    let faregate = start(&text);
    for _ in 0..2 {
        super::support::post(faregate.api, "/v1/chat/completions", r#"{"model":"own","messages":[]}"#).expect(500);
    }
    faregate.wait_metric("faregate_target_up", &[("provider", "direct"), ("model", "gpt-4o")], 0.0);
    let before = direct.requests().len();
    call_and_wait(&faregate, "direct_down", 1.0);
    assert_eq!(direct.requests().len(), before);
}

#[test]
fn memory_for_a_duplicates_body_is_part_of_the_budget_for_bodies() {
    let gate = Gate::default();
    let held = gate.clone();
    let direct = Upstream::start(direct);
    let router = Upstream::start(move |peer, request| {
        held.wait();
        router(peer, request);
    });
    // Room for the call's body and half of another one.
    let text = config(&router, &direct, ALL);
    let size = super::stage::body("").len();
    let faregate =
        start(&format!("{text}server: {{ limits: {{ body: {size}, bodies_in_flight: {} }} }}\n", size + size / 2));
    let waiting = std::thread::scope(|scope| {
        let call = scope.spawn(|| call(&faregate, "").status);
        wait_result(&faregate, "busy", 1.0);
        gate.open();
        call.join().unwrap()
    });
    assert_eq!(waiting, 200);
    assert!(direct.requests().is_empty());
}
