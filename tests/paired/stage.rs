//! A router that charges 15 % more than the direct provider, and a route through it that is compared.

use super::support::{Client, Faregate, Peer, Request, Response, Setup, Upstream};

/// One content event of a stream.
pub(crate) fn content(model: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"{model}\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"from {model}\"}}}}]}}\n\n"
    )
}

/// The last events: 1,000 prompt tokens and 100 output tokens, with `more` beside them.
pub(crate) fn usage(model: &str, more: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"{model}\",\"choices\":[],\"usage\":{{\"prompt_tokens\":1000,\"completion_tokens\":100,\"total_tokens\":1100{more}}}}}\n\ndata: [DONE]\n\n"
    )
}

/// An answer as a JSON body or as a stream, as it was asked for.
pub(crate) fn answer(peer: &mut Peer, request: &Request, more: &str) {
    let asked = request.json();
    let model = asked["model"].as_str().unwrap_or_default();
    if asked["stream"] == true {
        peer.sse(&[content(model), usage(model, more)]);
    } else {
        peer.json(200, format!(
            r#"{{"id":"c","object":"chat.completion","model":"{model}","choices":[{{"index":0,"message":{{"role":"assistant","content":"from {model}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100{more}}}}}"#
        ));
    }
}

/// gpt-4o: $0.0035 by its list price.
pub(crate) fn direct(peer: &mut Peer, request: &Request) {
    answer(peer, request, "");
}

/// 15 % more, as the answer states.
pub(crate) fn router(peer: &mut Peer, request: &Request) {
    answer(peer, request, r#","cost":0.004025"#);
}

/// Cards of the router, which is no preset and takes no fee on credit: its list price is the author's.
pub(crate) const CARDS: &str =
    "cards:\n- { provider: router, model: openai/gpt-4o, reference: true, prices: { input: 2.5, output: 10 } }\n";

/// The route `all`, with `probe` added to its target.
pub(crate) fn config(router: &Upstream, direct: &Upstream, probe: &str) -> String {
    format!(
        "prices: {{ overlays: [own.yaml] }}
defaults: {{ timeouts: {{ connect: 30s }}, health: {{ consecutive_failures: 2, eject: 1h, max_eject: 1h }} }}
providers:
  router: {{ base_url: \"{}\", credentials: {{ insecure_inline: key-router }} }}
  direct: {{ preset: openai, base_url: \"{}\", credentials: {{ insecure_inline: key-direct }} }}
routes:
- name: all
  targets: [{{ provider: router, model: openai/gpt-4o }}]
  {probe}
",
        router.url(),
        direct.url()
    )
}

/// Every call is duplicated.
pub(crate) const ALL: &str = "probe: { target: direct/gpt-4o, share: 1 }";

pub(crate) fn start(config: &str) -> Faregate {
    Setup::new(config).file("own.yaml", CARDS).start()
}

/// One call with these further members in its body.
pub(crate) fn call(faregate: &Faregate, more: &str) -> Response {
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &["connection: close"], body(more));
    client.response()
}

pub(crate) fn body(more: &str) -> String {
    format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"Hello"}}]{more}}}"#)
}

pub(crate) const STREAM: &str = r#","stream":true"#;

/// Waits until so many chosen calls came to this end.
#[track_caller]
pub(crate) fn wait_result(faregate: &Faregate, result: &str, count: f64) {
    faregate.wait_metric("faregate_paired_probes_total", &[("route", "all"), ("result", result)], count);
}
