//! What calls cost, through the real proxy: a direct provider, a router that charges 15 % more, prices of one's own.

mod support;

use serde_json::Value;
use support::{Client, Faregate, Peer, Request, Setup, Upstream, eventually};

/// 1,000 prompt tokens and 100 output tokens of gpt-4o: $0.0035 by its list price.
fn direct(peer: &mut Peer, _: &Request) {
    peer.json(
        200,
        r#"{"id":"c","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"#,
    );
}

/// The same for 15 % more; what it is asked for decides how it answers.
fn router(peer: &mut Peer, request: &Request) {
    let model = request.json()["model"].as_str().unwrap_or_default().to_owned();
    let cost = match model.as_str() {
        "openai/gpt-4o:free" => r#","cost":0"#,
        "nobody/anything" => "",
        "nobody/byok" => r#","cost":0.0002,"is_byok":true,"cost_details":{"upstream_inference_cost":0.0035}"#,
        _ => r#","cost":0.004025,"is_byok":false,"cost_details":{"upstream_inference_cost":0.004025}"#,
    };
    let usage = format!(
        r#"{{"id":"c","object":"chat.completion.chunk","model":"{model}","provider":"OpenAI","choices":[],"usage":{{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100{cost}}}}}"#
    );
    let content = format!(
        r#"{{"id":"c","object":"chat.completion.chunk","model":"{model}","provider":"OpenAI","choices":[{{"index":0,"delta":{{"content":"hi"}}}}]}}"#
    );
    peer.sse(&[format!("data: {content}\n\n"), format!("data: {usage}\n\n"), "data: [DONE]\n\n".into()]);
}

fn call(faregate: &Faregate, path: &str, model: &str, stream: bool) {
    let mut client = Client::connect(faregate.api);
    let body = format!(r#"{{"model":"{model}","stream":{stream},"messages":[]}}"#);
    client.post(path, &[], body);
    client.response().expect(200);
}

fn config(direct: &Upstream, router: &Upstream) -> String {
    format!(
        "observe: {{ usage_records: {{ path: records.jsonl }} }}
prices:
  overlays: [own.yaml]
  accounts: {{ router: {{ pay: crypto }} }}
providers:
  direct: {{ preset: openai, base_url: \"{}\", credentials: none }}
  router: {{ preset: openrouter, base_url: \"{}\", credentials: none }}
  team: {{ preset: openai, base_url: \"{}\", credentials: none }}
",
        direct.url(),
        router.url(),
        direct.url()
    )
}

const OWN: &str = "cards:\n- provider: team\n  model: gpt-4o*\n  prices: { input: 2, output: 8 }\n";

/// The records, once there are so many.
fn records(faregate: &Faregate, n: usize) -> Vec<Value> {
    let read = || std::fs::read_to_string(faregate.path().join("records.jsonl")).unwrap_or_default();
    eventually("all records are written", || read().lines().count() >= n);
    read().lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

/// An amount as it is written in the record, digit for digit.
fn digits(record: &Value, name: &str) -> String {
    record["cost"][name].to_string()
}

#[test]
fn a_router_that_charges_more_shows_as_markup() {
    let (direct, router) = (Upstream::start(direct), Upstream::start(router));
    let faregate = Setup::new(&config(&direct, &router)).file("own.yaml", OWN).start();
    call(&faregate, "/direct/v1/chat/completions", "gpt-4o", false);
    call(&faregate, "/router/v1/chat/completions", "openai/gpt-4o", true);
    call(&faregate, "/team/v1/chat/completions", "gpt-4o", false);
    call(&faregate, "/router/v1/chat/completions", "openai/gpt-4o:free", true);
    call(&faregate, "/router/v1/chat/completions", "nobody/anything", true);
    call(&faregate, "/router/v1/chat/completions", "nobody/byok", true);
    let records = records(&faregate, 6);
    let of = |provider: &str, model: &str| {
        let fits = |r: &&Value| r["provider"] == provider && r["model_sent"] == model;
        records.iter().find(fits).unwrap_or_else(|| panic!("{provider} {model}: {records:#?}"))
    };

    let plain = of("direct", "gpt-4o");
    assert_eq!([digits(plain, "list"), digits(plain, "billed"), digits(plain, "effective")], ["0.0035"; 3]);
    assert_eq!(plain["cost"]["cost_source"], "list");

    let routed = of("router", "openai/gpt-4o");
    assert_eq!(digits(routed, "list"), "0.0035");
    assert_eq!(digits(routed, "billed"), "0.004025");
    assert_eq!(digits(routed, "effective"), "0.00422625", "credit bought by crypto costs 5 % more");
    assert_eq!((&routed["cost"]["cost_source"], &routed["served_by"]), (&"reported".into(), &"OpenAI".into()));

    let own = of("team", "gpt-4o");
    assert_eq!([digits(own, "list"), digits(own, "billed")], ["0.0035", "0.0028"]);
    assert_eq!(own["cost"]["cost_source"], "card");

    assert_eq!(digits(of("router", "openai/gpt-4o:free"), "effective"), "0");
    let unpriced = of("router", "nobody/anything");
    assert_eq!(
        (&unpriced["cost"]["effective"], &unpriced["cost"]["unpriced"]),
        (&Value::Null, &"no price for the model".into())
    );
    let byok = of("router", "nobody/byok");
    assert_eq!(
        [digits(byok, "billed"), digits(byok, "effective")],
        ["0.0037", "0.00371"],
        "the fee is on credit alone"
    );

    let page = faregate.metrics();
    let sum = |name: &str, provider: &str, basis: &str| page.sum(name, &[("provider", provider), ("basis", basis)]);
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    near(sum("faregate_cost_usd_total", "direct", "effective"), 0.0035);
    near(sum("faregate_cost_usd_total", "router", "billed"), 0.004_025 + 0.0037);
    // Of the router's calls, those with both costs known: the plain one and the free one.
    near(sum("faregate_comparable_cost_usd_total", "router", "list"), 0.0035);
    near(sum("faregate_comparable_cost_usd_total", "router", "effective"), 0.004_226_25);
    assert_eq!(page.sum("faregate_unpriced_calls_total", &[("provider", "router"), ("reason", "no_price")]) as u32, 1);
    assert!(page.value("faregate_price_card_age_seconds", &[("provider", "direct")]).is_some_and(|age| age >= 0.0));
}

#[test]
fn prices_are_read_again_when_their_file_changes() {
    let (direct, router) = (Upstream::start(direct), Upstream::start(router));
    let faregate = Setup::new(&config(&direct, &router)).file("own.yaml", OWN).start();
    call(&faregate, "/team/v1/chat/completions", "gpt-4o", false);
    // As editors and volumes do it: never half a file.
    std::fs::write(faregate.path().join("new.yaml"), OWN.replace("input: 2", "input: 4")).expect("written");
    std::fs::rename(faregate.path().join("new.yaml"), faregate.path().join("own.yaml")).expect("renamed");
    faregate.wait_metric("faregate_config_generation", &[], 2.0);
    call(&faregate, "/team/v1/chat/completions", "gpt-4o", false);
    let billed: Vec<String> = records(&faregate, 2).iter().map(|record| digits(record, "billed")).collect();
    assert_eq!(billed, ["0.0028", "0.0048"]);
}

#[test]
fn own_prices_with_faults_fail_the_check() {
    let (direct, router) = (Upstream::start(direct), Upstream::start(router));
    let faregate = Setup::new(&config(&direct, &router)).file("own.yaml", OWN).start();
    std::fs::write(
        faregate.path().join("own.yaml"),
        "cards:\n- provider: team\n  model: gpt-4o\n  prices: { input: -2 }\n",
    )
    .expect("written");
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_faregate"))
        .args(["check", "faregate.yaml"])
        .current_dir(faregate.path())
        .output()
        .expect("the program runs");
    assert_eq!(check.status.code(), Some(1));
    let shown = String::from_utf8_lossy(&check.stdout);
    assert!(shown.contains("own.yaml:4:20: cards[0].prices.input: wants a number from 0 up, found -2"), "{shown}");
}
