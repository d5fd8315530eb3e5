//! A real Faregate before a direct provider, a router that charges 15 % more, and a team with prices of its own.

use std::path::PathBuf;

use super::support::{Client, Faregate, Peer, Request, Setup, Upstream};

pub struct Stage {
    pub faregate: Faregate,
    pub calls: usize,
    _upstreams: [Upstream; 2],
}

/// 1,000 prompt tokens and 100 output tokens of gpt-4o: $0.0035 by its list price. The model gpt-4o-mini fails, a stream
/// of gpt-4o-breaks ends too early.
fn direct(peer: &mut Peer, request: &Request) {
    let model = request.json()["model"].as_str().unwrap_or_default().to_owned();
    if model == "gpt-4o-mini" {
        return peer.json(500, r#"{"error":{"message":"down"}}"#);
    }
    if model == "gpt-4o-breaks" {
        peer.sse_head();
        peer.chunk("data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n");
        return peer.close();
    }
    let usage = r#"{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}"#;
    peer.json(
        200,
        format!(r#"{{"id":"c","object":"chat.completion","model":"{model}","choices":[],"usage":{usage}}}"#),
    );
}

/// The same for 15 % more. It states its charge, but not for every model.
fn router(peer: &mut Peer, request: &Request) {
    let model = request.json()["model"].as_str().unwrap_or_default().to_owned();
    let cost = match model.as_str() {
        "openai/gpt-4o:free" => r#","cost":0"#,
        "nobody/anything" => "",
        "openai/gpt-4o-mini" => r#","cost":0.0002415"#,
        _ => r#","cost":0.004025"#,
    };
    let usage = format!(r#"{{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100{cost}}}"#);
    peer.json(
        200,
        format!(
            r#"{{"id":"c","object":"chat.completion","model":"{model}","provider":"OpenAI","choices":[],"usage":{usage}}}"#
        ),
    );
}

impl Stage {
    pub fn new() -> Self {
        let (direct, router) = (Upstream::start(direct), Upstream::start(router));
        let config = format!(
            "prices: {{ overlays: [own.yaml] }}
providers:
  direct: {{ preset: openai, base_url: \"{0}\", credentials: none }}
  router: {{ preset: openrouter, base_url: \"{1}\", credentials: none }}
  team: {{ preset: openai, base_url: \"{0}\", credentials: none }}
routes:
- name: rescue
  match: {{ model: gpt-4o-mini }}
  targets: [{{ provider: direct, model: gpt-4o-mini }}, {{ provider: router, model: openai/gpt-4o-mini }}]
",
            direct.url(),
            router.url()
        );
        let own = "cards:\n- provider: team\n  model: gpt-4o*\n  prices: { input: 2, output: 8 }\n";
        let faregate = Setup::new(&config).file("own.yaml", own).start();
        Self { faregate, calls: 0, _upstreams: [direct, router] }
    }

    pub fn call(&mut self, path: &str, model: &str, app: &str) {
        let mut client = Client::connect(self.faregate.api);
        let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
        client.post(path, &[&format!("x-faregate-app: {app}")], body);
        let _answer = client.response();
        self.calls += 1;
    }

    /// A bit of everything: list, card and stated cost, a free call, one without a price, one that reached nobody, one
    /// that the router saved.
    pub fn play(mut self) -> Self {
        for (app, times) in [("search", 3), ("support", 2)] {
            for _ in 0..times {
                self.call("/direct/v1/chat/completions", "gpt-4o", app);
                self.call("/router/v1/chat/completions", "openai/gpt-4o", app);
                self.call("/team/v1/chat/completions", "gpt-4o", app);
            }
        }
        self.call("/router/v1/chat/completions", "openai/gpt-4o:free", "search");
        self.call("/router/v1/chat/completions", "nobody/anything", "search");
        self.call("/v1/chat/completions", "gpt-4o-mini", "support");
        self.call("/v1/chat/completions", "no-such-route", "support");
        self.faregate.wait_records(self.calls);
        self
    }

    pub fn file(&self) -> PathBuf {
        self.faregate.path().join("usage.jsonl")
    }
}
