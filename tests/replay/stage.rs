//! The proxy, the upstream behind it, and one call from end to end.

use std::collections::BTreeMap;
use std::sync::Arc;

use faregate::dialect::recognise;

use crate::cases::Case;
use crate::expect;
use crate::support::{Client, Faregate, Peer, Record, Request, Upstream};

/// The model that routes of [`Mode::Patched`] ask for.
pub const PATCHED_MODEL: &str = "patched/\"model\"-1";

/// How calls go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing needs to change.
    AsSent,
    /// The route renames the model, and the provider reports usage in streams only when asked.
    Patched,
}

impl Mode {
    fn prefix(self) -> &'static str {
        match self {
            Self::AsSent => "sent",
            Self::Patched => "patched",
        }
    }
}

pub struct Stage {
    cases: Arc<Vec<Case>>,
    /// Provider by base path.
    mounts: BTreeMap<String, usize>,
    faregate: Faregate,
    upstream: Upstream,
}

impl Stage {
    pub fn start(cases: Arc<Vec<Case>>) -> Self {
        let script = cases.clone();
        let upstream = Upstream::start(move |peer, request| answer(&script, peer, request));
        let mut mounts = BTreeMap::new();
        for case in cases.iter() {
            let next = mounts.len();
            mounts.entry(mount(case)).or_insert(next);
        }
        let faregate = Faregate::start(&configuration(&mounts, &upstream));
        Self { cases, mounts, faregate, upstream }
    }

    /// Makes one call; what was wrong with what arrived.
    pub fn call(&self, case: usize, mode: Mode, split: usize) -> Vec<String> {
        let id = request_id(case, mode, split);
        let case = &self.cases[case];
        let exchange = &case.exchange;
        let provider = format!("{}-{}", mode.prefix(), self.mounts[&mount(case)]);
        let path = format!("/{provider}{}", target(case));
        let mut headers = vec![format!("x-request-id: {id}"), format!("x-replay: {provider}")];
        headers.extend(expect::forwarded_headers(case).map(|(name, value)| format!("{name}: {value}")));
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let mut client = Client::connect(self.faregate.api);
        match &exchange.request_body {
            Some(body) => client.post(&path, &headers, body),
            None => client.ask(&exchange.method, &path, &headers),
        }
        let response = client.response_to(&exchange.method);
        let mut problems = Vec::new();
        let mut check = |what: &str, got: &str, want: &str| {
            if got != want {
                problems.push(format!("{what}: {got:?}, not {want:?}"));
            }
        };
        check("status", &response.status.to_string(), &exchange.status.to_string());
        check("content-type", response.header("content-type").unwrap_or_default(), &exchange.content_type);
        for (name, value) in expect::returned_headers(case) {
            let all: Vec<_> = response.head.all(name);
            check(name, if all.contains(&value.as_str()) { value } else { "" }, value);
        }
        let want = expect::response_body(case, mode);
        if response.body != want {
            problems.push(format!("body: {}", expect::excerpt(&want, &response.body)));
        }
        if !response.complete {
            problems.push("the answer is not whole".to_owned());
        }
        match self.upstream.find(|request| request.header("x-request-id") == Some(&id)) {
            None => problems.push("the request never arrived".to_owned()),
            Some(request) => problems.extend(self.request_problems(case, mode, &request)),
        }
        problems
    }

    fn request_problems(&self, case: &Case, mode: Mode, request: &Request) -> Vec<String> {
        let mut problems = Vec::new();
        if request.method != case.exchange.method {
            problems.push(format!("method {}", request.method));
        }
        let renamed = mode == Mode::Patched && has_model_in_path(case);
        if request.target != target(case) && !renamed {
            problems.push(format!("asked for {:?}, not {:?}", request.target, target(case)));
        }
        for (name, value) in expect::forwarded_headers(case) {
            if !request.head.all(name).contains(&value.as_str()) {
                problems.push(format!("header {name}: {value} did not arrive"));
            }
        }
        problems.extend(expect::request_problem(case, mode, &request.body));
        problems
    }

    /// Ends the proxy; all usage records.
    pub fn stop(self) -> Vec<Record> {
        self.faregate.stop()
    }
}

/// Names a call: to the upstream, and in its usage record.
pub fn request_id(case: usize, mode: Mode, split: usize) -> String {
    format!("{}:{case}:{split}", mode.prefix())
}

/// The recorded path and query. Recorders put placeholders in angle brackets, which no real path holds.
fn target(case: &Case) -> String {
    case.exchange.target().replace('<', "%3C").replace('>', "%3E")
}

/// The base path that a provider must be configured with for the recorded path to come out.
fn mount(case: &Case) -> String {
    let exchange = &case.exchange;
    let method = http::Method::from_bytes(exchange.method.as_bytes()).unwrap();
    match recognise(&method, exchange.path()) {
        Some(call) if call.path_model.is_none() => {
            exchange.path().strip_suffix(call.suffix).unwrap_or_default().to_owned()
        }
        _ => "/v1".to_owned(),
    }
}

fn has_model_in_path(case: &Case) -> bool {
    recognise(&http::Method::POST, case.exchange.path()).is_some_and(|call| call.path_model.is_some())
}

fn configuration(mounts: &BTreeMap<String, usize>, upstream: &Upstream) -> String {
    let mut providers = String::from("observe: { log: { calls: false, level: warn } }\nproviders:\n");
    let mut routes = String::from("routes:\n");
    let model = serde_json::to_string(PATCHED_MODEL).unwrap();
    for (mount, n) in mounts {
        let host = format!("http://{}", upstream.address);
        for (mode, stream_usage) in [(Mode::AsSent, "always"), (Mode::Patched, "ask")] {
            let name = format!("{}-{n}", mode.prefix());
            providers.push_str(&format!(
                "  {name}:\n    endpoints: {{ openai: \"{host}{mount}\", anthropic: \"{host}{mount}\", opaque: \"{host}\" }}\n    \
                 stream_usage: {stream_usage}\n"
            ));
        }
        let name = format!("{}-{n}", Mode::Patched.prefix());
        routes.push_str(&format!(
            "- name: {name}\n  match: {{ headers: {{ x-replay: {name} }} }}\n  targets:\n  - provider: {name}\n    model: {model}\n"
        ));
    }
    providers + &routes
}

/// Answers what was recorded, cut at points that differ from call to call but not from run to run.
fn answer(cases: &[Case], peer: &mut Peer, request: &Request) {
    let id = request.header("x-request-id").unwrap_or_default();
    let mut parts = id.rsplit(':').map(|part| part.parse::<usize>().ok());
    let (Some(Some(split)), Some(Some(case))) = (parts.next(), parts.next()) else {
        return peer.json(400, r#"{"error":"not a replayed call"}"#);
    };
    let exchange = &cases[case].exchange;
    let seed = (case * 31 + split * 7 + 1) as u64;
    let pieces = cut(&exchange.body, exchange.is_events(), split, seed);
    let chunked = split % 2 == 0 || exchange.is_events();
    let mut head = format!("HTTP/1.1 {} Recorded\r\ncontent-type: {}\r\n", exchange.status, exchange.content_type);
    for (name, value) in expect::returned_headers(&cases[case]) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if chunked {
        head.push_str("transfer-encoding: chunked\r\n\r\n");
    } else {
        head.push_str(&format!("content-length: {}\r\n\r\n", exchange.body.len()));
    }
    peer.send(head);
    for piece in pieces {
        if chunked { peer.chunk(piece) } else { peer.send(piece) }
    }
    if chunked {
        peer.last_chunk();
    }
}

/// Pieces of a body, none of them empty. The first split of a stream keeps events whole, as servers mostly do.
fn cut(body: &[u8], is_events: bool, split: usize, seed: u64) -> Vec<&[u8]> {
    if is_events && split == 0 {
        let mut pieces = Vec::new();
        let mut from = 0;
        while let Some(n) = body[from..].windows(2).position(|pair| pair == b"\n\n") {
            pieces.push(&body[from..from + n + 2]);
            from += n + 2;
        }
        pieces.push(&body[from..]);
        pieces.retain(|piece| !piece.is_empty());
        return pieces;
    }
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut below = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n.max(1) as u64) as usize
    };
    let mut cuts: Vec<usize> = (0..below(24)).map(|_| below(body.len())).collect();
    cuts.sort_unstable();
    cuts.push(body.len());
    let mut from = 0;
    let mut pieces: Vec<&[u8]> = cuts.into_iter().map(|to| &body[std::mem::replace(&mut from, to)..to]).collect();
    pieces.retain(|piece| !piece.is_empty());
    pieces
}
