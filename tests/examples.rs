//! Every example in `config/`, run by the real binary: its providers' addresses are replaced by upstreams of the
//! test's own, everything else is as committed. And the built-in defaults.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use faregate::config::file::{Config, DialectName};
use faregate::config::{self, Surroundings};
use serde_json::{Value, json};

use support::{Client, Response, Setup, Upstream, refusing};

const CHAT: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
const MESSAGE: &str = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;

/// A provider that answers both dialects.
fn provider() -> Upstream {
    Upstream::start(|peer, request| {
        peer.json(200, if request.target.ends_with("/messages") { MESSAGE } else { CHAT });
    })
}

fn failing() -> Upstream {
    Upstream::json(503, r#"{"error":{"message":"down","type":"server_error"}}"#)
}

/// An example as committed, but for the addresses of its providers and of itself.
fn example(name: &str, addresses: &[(&str, SocketAddr)]) -> Setup {
    let text = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)).unwrap();
    let surroundings = Surroundings { elsewhere: true, files: false, ..Surroundings::process() };
    let mut config: Config = config::check(&text, name, &surroundings).into_result().unwrap();
    let spoken: BTreeMap<String, Vec<DialectName>> = config::resolve(&config)
        .into_iter()
        .map(|p| (p.name, p.endpoints.into_keys().filter(|d| *d != DialectName::Opaque).collect()))
        .collect();
    let given: BTreeSet<&str> = addresses.iter().map(|(name, _)| *name).collect();
    assert_eq!(given, config.providers.keys().map(String::as_str).collect(), "an address for every provider");
    for (name, address) in addresses {
        let provider = config.providers.get_mut(*name).unwrap();
        provider.base_url = provider.base_url.is_some().then(|| format!("http://{address}/v1"));
        provider.endpoints = spoken[*name].iter().map(|d| (*d, format!("http://{address}/v1"))).collect();
        if provider.base_url.is_some() {
            provider.endpoints.clear();
        }
    }
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.server.admin = SocketAddr::from(([127, 0, 0, 1], 0));
    let keys = ["OPENAI", "ANTHROPIC", "OPENROUTER"];
    let setup = Setup::new(&serde_json::to_string(&config).unwrap());
    keys.iter().fold(setup, |setup, vendor| setup.env(&format!("{vendor}_API_KEY"), &format!("key-{vendor}")))
}

fn call(to: SocketAddr, path: &str, model: &str, headers: &[&str]) -> Response {
    let mut client = Client::connect(to);
    let body = json!({ "model": model, "max_tokens": 5, "messages": [{ "role": "user", "content": "hi" }] });
    let all: Vec<&str> = headers.iter().copied().chain(["content-type: application/json"]).collect();
    client.post(path, &all, body.to_string());
    client.response()
}

fn chat(to: SocketAddr, model: &str, headers: &[&str]) -> Response {
    call(to, "/v1/chat/completions", model, headers)
}

fn model(request: &support::Request) -> String {
    request.json()["model"].as_str().unwrap().to_owned()
}

#[test]
fn minimal() {
    let (openai, anthropic) = (provider(), provider());
    let gate = example("minimal.yaml", &[("openai", openai.address), ("anthropic", anthropic.address)]).start();
    chat(gate.api, "gpt-4o", &[]).expect(200);
    call(gate.api, "/v1/messages", "claude-sonnet-4-5", &[]).expect(200);
    call(gate.api, "/anthropic/v1/messages", "other", &[]).expect(200);
    chat(gate.api, "openai/o9", &[]).expect(200);
    let asked: Vec<String> = openai.requests().iter().map(model).collect();
    assert_eq!(asked, ["gpt-4o", "o9"]);
    assert_eq!(openai.requests()[0].header("authorization"), Some("Bearer key-OPENAI"));
    let asked: Vec<String> = anthropic.requests().iter().map(model).collect();
    assert_eq!(asked, ["claude-sonnet-4-5", "other"]);
    assert_eq!(anthropic.requests()[0].header("x-api-key"), Some("key-ANTHROPIC"));
    assert_eq!(anthropic.requests()[0].header("anthropic-version"), Some("2023-06-01"));
}

#[test]
fn openrouter_with_a_direct_fallback() {
    let (router, openai, anthropic) = (provider(), provider(), provider());
    let addresses =
        |router: SocketAddr| [("openrouter", router), ("openai", openai.address), ("anthropic", anthropic.address)];
    let gate = example("openrouter-fallback.yaml", &addresses(router.address)).start();
    chat(gate.api, "gpt-4o", &[]).expect(200);
    call(gate.api, "/v1/messages", "claude-sonnet-4-5", &[]).expect(200);
    chat(gate.api, "meta-llama/llama-3.3-70b", &[]).expect(200);
    let asked: Vec<String> = router.requests().iter().map(model).collect();
    assert_eq!(asked, ["openai/gpt-4o", "anthropic/claude-sonnet-4.5", "meta-llama/llama-3.3-70b"]);
    assert_eq!((openai.requests().len(), anthropic.requests().len()), (0, 0));

    // It is down: the vendors get the calls, each under its own name and with its own key.
    let broken = failing();
    let gate = example("openrouter-fallback.yaml", &addresses(broken.address)).start();
    chat(gate.api, "gpt-4o", &[]).expect(200);
    call(gate.api, "/v1/messages", "claude-sonnet-4-5", &[]).expect(200);
    assert_eq!(broken.requests().len(), 2);
    assert_eq!(model(&openai.request()), "gpt-4o");
    assert_eq!(openai.request().header("authorization"), Some("Bearer key-OPENAI"));
    assert_eq!(model(&anthropic.request()), "claude-sonnet-4-5");
}

#[test]
fn local_first_then_the_cloud() {
    let (local, cloud) = (provider(), provider());
    let gate = example("local-first.yaml", &[("vllm", local.address), ("openai", cloud.address)]).start();
    chat(gate.api, "chat", &[]).expect(200);
    assert_eq!(model(&local.request()), "llama-3.3-70b");
    assert!(cloud.requests().is_empty());

    let (dead, _socket) = refusing();
    let gate = example("local-first.yaml", &[("vllm", dead), ("openai", cloud.address)]).start();
    let answer = chat(gate.api, "chat", &[]).expect(200);
    assert_eq!(model(&cloud.request()), "gpt-4o-mini");
    assert_eq!(answer.header("x-faregate-attempts"), Some("2"));
}

#[test]
fn canary() {
    let openai = provider();
    let gate = example("canary.yaml", &[("openai", openai.address)]).start();
    chat(gate.api, "assistant", &["x-canary: 1"]).expect(200);
    assert_eq!(model(&openai.request()), "gpt-5");

    let mut place = BTreeMap::new();
    for user in 0..300 {
        chat(gate.api, "assistant", &[&format!("x-user: user-{user}")]).expect(200);
        place.insert(user, model(openai.requests().last().unwrap()));
    }
    let new = place.values().filter(|model| *model == "gpt-5").count();
    // The hash is the same on every machine; these bounds hold it against the weights (five of a hundred).
    assert!((5..=30).contains(&new), "{new} of 300 at the canary");
    let of_the_canary = place.iter().filter(|(_, model)| *model == "gpt-5").take(3);
    for (user, was) in of_the_canary.chain(place.iter().take(3)) {
        chat(gate.api, "assistant", &[&format!("x-user: user-{user}")]).expect(200);
        assert_eq!(model(openai.requests().last().unwrap()), *was, "user {user} moved");
    }
}

#[test]
fn several_teams() {
    let (openai, anthropic) = (provider(), provider());
    let gate = example("teams.yaml", &[("openai", openai.address), ("anthropic", anthropic.address)])
        .env("SEARCH_KEY", "search-0123456789abcdef")
        .env("ASSISTANT_KEY", "assistant-0123456789abcdef")
        .env("BATCH_KEY", "batch-0123456789abcdef")
        .start();
    let key = |team: &str| format!("authorization: Bearer {team}-0123456789abcdef");
    chat(gate.api, "gpt-4o", &[]).expect(401);
    chat(gate.api, "gpt-4o", &["authorization: Bearer wrong"]).expect(401);
    let routes: Vec<(&str, &str, &str, &str, &str)> = vec![
        ("batch", "/v1/chat/completions", "gpt-4o", "batch", "gpt-4o-mini"),
        ("search", "/v1/embeddings", "any", "search-embeddings", "text-embedding-3-small"),
        ("assistant", "/v1/messages", "claude-sonnet-4-5", "assistant", "claude-sonnet-4-5"),
        ("search", "/v1/chat/completions", "small", "small", "gpt-4o-mini"),
        ("search", "/v1/chat/completions", "gpt-4o", "implicit:openai", "gpt-4o"),
    ];
    for (team, path, asked, route, sent) in routes {
        let answer = call(gate.api, path, asked, &[&key(team)]).expect(200);
        assert_eq!(answer.header("x-faregate-route"), Some(route));
        let upstream = if path == "/v1/messages" { &anthropic } else { &openai };
        let last = upstream.requests().last().cloned().unwrap();
        assert_eq!(model(&last), sent);
        assert!(!format!("{:?}", last.head.headers).contains("0123456789abcdef"), "a team's key left the gateway");
    }
    support::eventually("five served calls in the usage records", || {
        let apps: Vec<Value> = gate.records_now().iter().map(|r| r["app"].clone()).collect();
        ["batch", "search", "assistant"].iter().all(|team| apps.iter().any(|app| app == team))
    });
}

#[test]
fn a_shared_gateway_with_tls_and_keys() {
    let (openai, anthropic) = (provider(), provider());
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let setup = example("shared-gateway.yaml", &[("openai", openai.address), ("anthropic", anthropic.address)]);
    for dir in ["tls", "keys"] {
        std::fs::create_dir(setup.path().join(dir)).unwrap();
    }
    let gate = setup
        .file("tls/tls.crt", own.cert.pem())
        .file("tls/tls.key", own.signing_key.serialize_pem())
        .file("keys/web", "web-0123456789abcdef\n")
        .file("keys/jobs", "jobs-0123456789abcdef\n")
        .file("keys/openai", "key-from-file\n")
        .file("keys/anthropic", "other-key-from-file\n")
        .start();
    let call = |key: &str| {
        let body = r#"{"model":"default","messages":[{"role":"user","content":"hi"}]}"#;
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: \
             application/json\r\n{key}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        over_tls(gate.api, own.cert.der(), &request)
    };
    let answer = call("");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let answer = call("x-api-key: web-0123456789abcdef\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(openai.request().header("authorization"), Some("Bearer key-from-file"));
    assert_eq!(model(&openai.request()), "gpt-4o");
}

/// One request over TLS; the answer to the connection's end.
fn over_tls(to: SocketAddr, trust: &rustls::pki_types::CertificateDer<'_>, request: &str) -> String {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trust.clone().into_owned()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(to).unwrap();
    socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let mut stream = rustls::StreamOwned::new(session, socket);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // An end without close_notify is an error; what came before it counts.
    let _ended = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The built-in defaults, at addresses that the system chooses.
fn defaults(env: &[(&str, &str)]) -> support::Faregate {
    let setup = Setup::without_config();
    env.iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start()
}

#[test]
fn without_a_file_or_a_key_the_simulated_provider_answers_and_says_so() {
    let gate = defaults(&[]);
    let answer = chat(gate.api, "gpt-4o", &[]).expect(200);
    assert_eq!(answer.header("x-faregate-simulated"), Some("true"));
    assert!(answer.json()["choices"][0]["message"]["content"].as_str().is_some_and(|text| !text.is_empty()));
    let answer = call(gate.api, "/v1/messages", "claude-sonnet-4-5", &[]).expect(200);
    assert_eq!(answer.header("x-faregate-simulated"), Some("true"));
    assert_eq!(answer.json()["type"], "message");
    support::eventually("a note in the log", || gate.stderr().contains("answers every model with made-up text"));
}

#[test]
fn without_a_file_every_key_in_the_environment_turns_its_provider_on() {
    let env = [
        ("OPENAI_API_KEY", "hush"),
        ("MISTRAL_API_KEY", "hush"),
        ("AZURE_OPENAI_API_KEY", "hush"),
        ("GROQ_API_KEY", ""),
    ];
    let gate = defaults(&env);
    let table = support::get(gate.admin, "/admin/table").expect(200).text().to_owned();
    for (provider, on) in [("openai", true), ("mistral", true), ("azure", false), ("groq", false), ("simulated", false)]
    {
        assert_eq!(table.contains(&format!("\"{provider}\"")), on, "{provider} in {table}");
    }
    support::eventually("notes in the log", || {
        let log = gate.stderr();
        log.contains("provider `openai` is on: OPENAI_API_KEY is set")
            && log.contains("provider `azure` needs a configuration file")
    });
    assert!(!gate.stderr().contains("hush"));
}

#[test]
fn the_command_line_wins_over_the_files_addresses_and_stays_so_after_a_reload() {
    let text = "server: {listen: 127.0.0.1:1, admin: 127.0.0.1:1}\nproviders: {simulated: {models: ['*']}}\n";
    let gate = Setup::new(text).arg("--listen").arg("127.0.0.1:0").arg("--admin").arg("127.0.0.1:0").start();
    chat(gate.api, "m", &[]).expect(200);
    let answer = support::post(gate.admin, "/admin/reload", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!gate.stderr().contains("need a restart"), "{}", gate.stderr());
}
