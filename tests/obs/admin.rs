//! The admin port: what stands there, and that it stands nowhere else.

use super::support::{Client, Faregate, Gate, Setup, Upstream, eventually, get, post, table};

const PAGES: [(&str, &str); 8] = [
    ("/", "text/html; charset=utf-8"),
    ("/status.js", "text/javascript; charset=utf-8"),
    ("/admin/status", "application/json"),
    ("/healthz", "text/plain; charset=utf-8"),
    ("/readyz", "text/plain; charset=utf-8"),
    ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
    ("/admin/table", "application/json"),
    ("/admin/targets", "application/json"),
];

#[test]
fn each_page_answers_get_and_head_and_nothing_else() {
    let upstream = Upstream::json(200, "{}");
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    for (path, content_type) in PAGES {
        let page = get(faregate.admin, path).expect(200);
        assert_eq!(page.header("content-type"), Some(content_type), "{path}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
        assert!(!page.body.is_empty());
        let mut client = Client::connect(faregate.admin);
        client.ask("HEAD", path, &[]);
        let head = client.response_to("HEAD").expect(200);
        assert!(head.body.is_empty() && head.header("content-length").is_some(), "{path}");
        client.post(path, &[], "{}");
        let refused = client.response().expect(405);
        assert_eq!(refused.header("allow"), Some("GET, HEAD"), "{path}");
    }
    get(faregate.admin, "/admin/reload").expect(405);
    get(faregate.admin, "/index.html").expect(404);
    get(faregate.admin, "/v1/models").expect(404);
    let reloaded = post(faregate.admin, "/admin/reload", "").expect(200).json();
    assert_eq!(reloaded["result"], "success");
    let table = get(faregate.admin, "/admin/table").expect(200).json();
    assert_eq!(table["generation"], reloaded["table"]["generation"]);
    assert_eq!(table["routes"][0]["name"], "all");
    assert_eq!(table["routes"][0]["targets"][0]["provider"], "alpha");
    let targets = get(faregate.admin, "/admin/targets").expect(200).json();
    assert_eq!(targets["targets"][0]["health"]["state"], "up");
    assert!(!get(faregate.admin, "/metrics").text().contains("gen_ai_"), "not asked for");
    assert!(upstream.requests().is_empty(), "no admin page is a call");
    assert!(faregate.stop().is_empty());
}

#[test]
fn the_api_port_knows_no_admin_page_and_says_so_in_the_client_s_dialect() {
    let upstream = Upstream::json(200, "{}");
    let config = format!(
        "providers:\n{}routes:\n- {{ name: one, match: {{ model: m }}, targets: [{{ provider: alpha }}] }}\n",
        table::provider("alpha", &upstream.address)
    );
    let faregate = Faregate::start(&config);
    // The page for people has paths that a provider may have too: there they are the provider's.
    let page = get(faregate.api, "/").expect(200);
    assert_eq!(page.text(), "{}");
    for (path, _) in PAGES.into_iter().filter(|(path, _)| *path != "/" && !path.starts_with("/status.")) {
        let answer = get(faregate.api, path).expect(404);
        assert!(answer.json()["error"]["message"].is_string(), "{path}: {}", answer.text());
        let mut client = Client::connect(faregate.api);
        client.ask("GET", path, &["anthropic-version: 2023-06-01"]);
        assert_eq!(client.response().expect(404).json()["type"], "error", "{path}");
    }
    post(faregate.api, "/admin/reload", "").expect(404);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn while_it_stops_it_is_alive_and_not_ready() {
    let held = Gate::default();
    let script = held.clone();
    let upstream = Upstream::start(move |peer, _| {
        script.wait();
        peer.json(200, "{}");
    });
    let mut faregate = Faregate::start(&table::fallback(&[upstream.address]));
    get(faregate.admin, "/readyz").expect(200);
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], r#"{"model":"m","messages":[]}"#);
    upstream.wait_requests(1);
    faregate.signal("TERM");
    eventually("not ready", || get(faregate.admin, "/readyz").status == 503);
    get(faregate.admin, "/healthz").expect(200);
    held.open();
    client.response().expect(200);
    assert!(faregate.wait().success());
}

#[test]
fn no_page_shows_a_secret() {
    let upstream = Upstream::json(200, "{}");
    let canary = "canary-4711";
    let config = format!(
        "server: {{ keys: [{{ name: team, key: {{ insecure_inline: {canary}-in }} }}] }}
observe: {{ traces: {{ endpoint: \"http://127.0.0.1:9\", headers: {{ x-key: {{ insecure_inline: {canary}-otlp }} }} }} }}
providers:
  alpha: {{ endpoints: {{ openai: \"http://{0}/v1\" }}, credentials: {{ insecure_inline: {canary}-out }}, headers: {{ x-secret: {canary}-header }} }}
  beta: {{ endpoints: {{ openai: \"http://{0}/v1\" }}, credentials: {{ env: BETA_KEY }} }}
routes:
- {{ name: all, targets: [{{ provider: alpha }}, {{ provider: beta }}] }}
",
        upstream.address
    );
    let faregate = Setup::new(&config).env("BETA_KEY", "canary-4711-env").start();
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &["authorization: Bearer canary-4711-in"], r#"{"model":"m","messages":[]}"#);
    client.response().expect(200);
    // A configuration that is refused just where the secret stands.
    let broken = config.replace("credentials: { insecure_inline: canary-4711-out }", "credentials: [canary-4711-out]");
    assert_ne!(broken, config);
    faregate.rewrite(&broken);
    faregate.wait_logged("the routing table in use stays");
    for (path, _) in PAGES {
        let page = get(faregate.admin, path);
        assert!(!page.text().contains(canary), "{path}: {}", page.text());
    }
    let failed = post(faregate.admin, "/admin/reload", "").expect(422);
    assert!(!failed.text().contains(canary), "{}", failed.text());
    assert!(!faregate.stderr().contains(canary), "{}", faregate.stderr());
}
