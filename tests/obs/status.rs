//! The status page: the snapshot against the traffic that there was, and what keeps the page from doing harm. How it
//! looks and lives is tested in a real browser by `tests/e2e/test_status.py`.

use serde_json::{Value, json};

use super::support::{Client, Faregate, Setup, eventually, get, post};

const PRICES: &str =
    "cards:\n- { provider: router, model: \"*\", reference: true, prices: { input: 2.5, output: 10 } }\n";
const CONFIG: &str = r#"
prices: { overlays: [prices.yaml] }
defaults: { health: { eject: 300s, max_eject: 300s } }
providers:
  shaky: { preset: simulated, simulate: { error_rate: 1.0, error_status: 529 } }
  router: { preset: simulated, simulate: { output_tokens: 7, input_price: "2.875", output_price: "11.5" } }
  local: { preset: simulated, simulate: { output_tokens: 3 } }
routes:
- { name: chat, match: { model: chat }, targets: [{ provider: shaky, model: big }, { provider: router, model: big }] }
- { name: "<script>alert(1)</script>", match: { model: odd }, targets: [{ provider: local, model: "<img src=x>" }] }
"#;

fn call(faregate: &Faregate, model: &str, stream: bool) {
    let body = json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "Hello" }] });
    let _any = post(faregate.api, "/v1/chat/completions", body.to_string());
}

fn status(faregate: &Faregate) -> Value {
    get(faregate.admin, "/admin/status").expect(200).json()
}

fn named<'a>(list: &'a Value, key: &str, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|it| it[key] == name).unwrap_or_else(|| panic!("no {name} in {list:#}"))
}

/// A decimal of dollars in 1e-12 dollars.
fn pico(amount: &Value) -> u64 {
    let (whole, fraction) = amount.as_str().unwrap().split_once('.').unwrap();
    assert!(fraction.len() <= 12, "{amount}");
    format!("{whole}{fraction:0<12}").parse().unwrap()
}

fn measured(times: &Value) -> u64 {
    assert_eq!(times["counts"].as_array().unwrap().len(), times["bounds"].as_array().unwrap().len() + 1);
    times["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum()
}

#[test]
fn the_snapshot_is_what_happened_and_what_is_unknown_is_null() {
    let faregate = Setup::new(CONFIG).file("prices.yaml", PRICES).start();
    let before = status(&faregate);
    assert_eq!(before["total"]["billed_usd"], Value::Null, "no call, no cost: unknown, not 0");
    assert_eq!(before["latency"]["ttft"], Value::Null);
    assert_eq!(before["models"], json!([]));

    for _ in 0..6 {
        call(&faregate, "chat", true);
    }
    call(&faregate, "odd", false);
    call(&faregate, "nobody/knows", false);
    faregate.wait_metric("faregate_requests_total", &[], 8.0);
    let now = status(&faregate);

    let chat = named(&now["routes"], "name", "chat");
    assert_eq!((&chat["calls"], &chat["fallbacks"]), (&json!({ "ok": 6 }), &json!(5)));
    let shaky = named(&chat["targets"], "provider", "shaky");
    assert_eq!(shaky["health"]["state"], "ejected");
    assert_eq!(shaky["attempts"], json!({ "upstream_error": 5 }));
    assert_eq!(shaky["ttft"], Value::Null);
    let router = named(&chat["targets"], "provider", "router");
    assert_eq!((&router["health"]["state"], &router["attempts"]), (&json!("up"), &json!({ "ok": 6 })));
    assert_eq!(measured(&router["ttft"]), 6);
    let implicit = named(&now["routes"], "name", "implicit:shaky");
    assert_eq!(implicit["targets"][0]["attempts"], json!({}), "tries of a model that another target names are its own");
    let unrouted = named(&now["other_routes"], "name", "none");
    assert_eq!(unrouted["calls"]["no_route"], 1, "{unrouted}");

    let big = named(&now["models"], "model", "big");
    let tokens = |class: &str| big["tokens"][class].as_u64().unwrap();
    assert_eq!(tokens("output"), 42);
    assert_eq!(pico(&big["list_usd"]), tokens("input") * 2_500_000 + 42 * 10_000_000);
    assert_eq!(pico(&big["billed_usd"]), tokens("input") * 2_875_000 + 42 * 11_500_000);
    assert_eq!(big["billed_usd"], big["effective_usd"]);
    assert_eq!((&big["markup"], &big["unpriced"]), (&json!(0.15), &json!(0)));
    let odd = named(&now["models"], "model", "<img src=x>");
    assert_eq!((&odd["list_usd"], &odd["billed_usd"], &odd["markup"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!((&odd["unpriced"], &odd["tokens"]["output"]), (&json!(1), &json!(3)));
    assert_eq!(now["total"]["billed_usd"], big["billed_usd"]);
    assert_eq!((&now["total"]["unpriced"], &now["total"]["markup"]), (&json!(1), &json!(0.15)));

    assert_eq!(measured(&now["latency"]["ttft"]), 6);
    assert_eq!(measured(&now["latency"]["duration"]), 8);
    assert_eq!(measured(&now["latency"]["overhead_request"]), 7, "one call reached no provider");
    assert_eq!(now["in_flight"]["calls"], 0);
    assert_eq!((&now["version"], &now["stopping"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(false)));
    assert_eq!(now["started_ms"], before["started_ms"]);
    assert!(now["at_ms"].as_u64() > before["at_ms"].as_u64());
}

#[test]
fn a_refused_reload_is_told_beside_the_table_that_stays() {
    let faregate = Setup::new(CONFIG).file("prices.yaml", PRICES).start();
    let before = status(&faregate)["table"].clone();
    assert_eq!(before["last_reload"]["errors"], json!([]));
    faregate.rewrite("routes: 7");
    eventually("the refusal", || status(&faregate)["table"]["last_reload"]["errors"] != json!([]));
    let table = status(&faregate)["table"].clone();
    assert_eq!((&table["hash"], &table["generation"]), (&before["hash"], &before["generation"]));
    let errors = table["last_reload"]["errors"].as_array().unwrap();
    assert!(errors.iter().any(|error| error.as_str().unwrap().contains("routes: wants a list")), "{table}");
    // The change is taken back: the same table again, and nothing to complain of.
    faregate.rewrite(CONFIG);
    eventually("all is well", || status(&faregate)["table"]["last_reload"]["errors"] == json!([]));
    assert_eq!(status(&faregate)["table"]["hash"], before["hash"]);
    assert_eq!(faregate.metrics().value("faregate_config_last_reload_success", &[]), Some(1.0));
    faregate.rewrite(&CONFIG.replace("model: chat }", "model: talk }"));
    eventually("another table", || status(&faregate)["table"]["hash"] != before["hash"]);
    assert_eq!(status(&faregate)["table"]["last_reload"]["errors"], json!([]));
}

#[test]
fn the_page_loads_nothing_from_elsewhere_and_runs_nothing_that_data_could_bring() {
    let faregate = Setup::new(CONFIG).file("prices.yaml", PRICES).start();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/status.js", "text/javascript; charset=utf-8"),
        ("/status-numbers.js", "text/javascript; charset=utf-8"),
        ("/status-rates.js", "text/javascript; charset=utf-8"),
        ("/status.css", "text/css; charset=utf-8"),
        ("/status.svg", "image/svg+xml"),
        ("/admin/status", "application/json"),
        ("/admin/table", "application/json"),
    ] {
        let page = get(faregate.admin, path).expect(200);
        assert_eq!(page.header("content-type"), Some(kind));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{path}");
        let policy = page.header("content-security-policy").unwrap();
        for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.split("; ").any(|have| have == part), "{path}: {part} in {policy}");
        }
        assert!(!policy.contains("unsafe") && policy.contains("require-trusted-types-for 'script'"), "{policy}");
        if kind.starts_with("text/") {
            assert!(!page.text().contains("://"), "{path} names another place");
        }
    }
    let html = get(faregate.admin, "/").expect(200);
    for inline in ["<style", " style=", " onclick=", " onload=", "javascript:", "<script>"] {
        assert!(!html.text().contains(inline), "{inline}");
    }
    for script in ["/status.js", "/status-numbers.js", "/status-rates.js"] {
        let script = get(faregate.admin, script).expect(200);
        for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("] {
            assert!(!script.text().contains(sink), "{sink}");
        }
    }
    let mut client = Client::connect(faregate.admin);
    client.post("/", &[], "{}");
    assert_eq!(client.response().expect(405).header("allow"), Some("GET, HEAD"));
}
