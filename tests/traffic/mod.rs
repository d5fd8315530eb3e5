//! Recorded exchanges with real providers, read from `../shared/traffic` (or the directory that FAREGATE_TRAFFIC
//! names), which is no part of this repository. See its README for the format.
//!
//! Where it is missing, tests say loudly that they were skipped; with FAREGATE_REQUIRE_TRAFFIC=1 they fail.
#![allow(dead_code, reason = "each test that includes this uses a part of it")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

/// One exchange as it went over the wire, as far as the recording tells.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub id: String,
    pub provider: String,
    pub api: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The model that was asked for, by body or path.
    pub model: Option<String>,
    pub method: String,
    pub url: String,
    pub request_headers: Vec<(String, String)>,
    pub request_body: Option<Vec<u8>>,
    pub status: u16,
    pub response_headers: Vec<(String, String)>,
    pub content_type: String,
    pub body: Vec<u8>,
    pub tags: Vec<String>,
}

impl Exchange {
    /// The path of the URL, with its query.
    pub fn target(&self) -> &str {
        let after_scheme = self.url.find("://").map_or(0, |at| at + 3);
        self.url[after_scheme..].find('/').map_or("/", |at| &self.url[after_scheme + at..])
    }

    /// The path of the URL, without its query.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or("/")
    }

    /// Whether the response is an event stream.
    pub fn is_events(&self) -> bool {
        self.content_type.starts_with("text/event-stream")
    }

    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|t| t == tag)
    }
}

/// A response of which the request was not recorded.
#[derive(Debug, Clone)]
pub struct ResponseOnly {
    pub id: String,
    pub provider: String,
    /// The API within the provider.
    pub area: String,
    pub stream: bool,
    /// A JSON body, or the data of the events of a stream, one by one.
    pub payloads: Vec<Vec<u8>>,
}

#[derive(Deserialize)]
struct Recorded<'a> {
    id: String,
    provider: String,
    api: String,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow)]
    request: Request<'a>,
    #[serde(borrow)]
    response: Response<'a>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Request<'a> {
    method: String,
    url: String,
    #[serde(default)]
    headers: serde_json::Map<String, serde_json::Value>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
    #[serde(default)]
    body_base64: Option<String>,
}

#[derive(Deserialize)]
struct Response<'a> {
    status: u16,
    #[serde(default)]
    headers: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    body_kind: Option<String>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
    #[serde(default)]
    body_text: Option<String>,
    #[serde(default)]
    body_base64: Option<String>,
}

#[derive(Deserialize)]
struct RecordedResponse<'a> {
    id: String,
    provider: String,
    #[serde(default)]
    area: String,
    #[serde(default)]
    stream: bool,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
    #[serde(default)]
    chunks: Vec<String>,
}

impl From<Recorded<'_>> for Exchange {
    fn from(recorded: Recorded<'_>) -> Self {
        let Recorded { id, provider, api, stream, model, request, response, tags } = recorded;
        let body = match (response.body_text, response.body_base64, response.body) {
            (Some(text), ..) => text.into_bytes(),
            (_, Some(coded), _) => STANDARD.decode(coded).expect("base64"),
            (_, _, Some(json)) => json.get().as_bytes().to_vec(),
            _ => Vec::new(),
        };
        let request_body = match (request.body_base64, request.body) {
            (Some(coded), _) => Some(STANDARD.decode(coded).expect("base64")),
            (_, body) => body.map(|json| json.get().as_bytes().to_vec()),
        };
        let stated = response.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let usual = match response.body_kind.as_deref() {
            Some("sse") => "text/event-stream",
            Some("ndjson") => "application/x-ndjson",
            Some("aws_eventstream") => "application/vnd.amazon.eventstream",
            Some("text") => "text/plain",
            _ => "application/json",
        };
        let content_type = match stated.and_then(|(_, value)| value.as_str()) {
            // A recorder that kept the text of a stream but not its type: the type was that of a stream.
            Some(stated) if response.body_kind.as_deref() != Some("sse") || stated.starts_with("text/event") => stated,
            _ => usual,
        };
        Self {
            content_type: content_type.to_owned(),
            response_headers: pairs(&response.headers),
            request_headers: pairs(&request.headers),
            method: request.method,
            url: request.url,
            status: response.status,
            id,
            provider,
            api,
            stream,
            model,
            request_body,
            body,
            tags,
        }
    }
}

fn pairs(headers: &serde_json::Map<String, serde_json::Value>) -> Vec<(String, String)> {
    headers.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// Every recorded exchange, in a fixed order; `None` where the recordings are missing.
pub fn exchanges(test: &str) -> Option<Vec<Exchange>> {
    let root = root(test)?;
    let mut all: Vec<Exchange> = json_files(&root, false)
        .iter()
        .map(|file| {
            let text = std::fs::read_to_string(file).expect("readable");
            let recorded: Recorded<'_> =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            recorded.into()
        })
        .collect();
    let reserve = root.join("reserve.jsonl.gz");
    if let Ok(packed) = std::fs::File::open(&reserve) {
        let mut lines = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut lines).expect("gzip");
        all.extend(lines.lines().filter(|line| !line.is_empty()).map(|line| {
            let recorded: Recorded<'_> = serde_json::from_str(line).expect("one exchange a line");
            Exchange::from(recorded)
        }));
    }
    assert!(all.len() > 100, "{} holds {} exchanges only", root.display(), all.len());
    Some(all)
}

/// Every response without a request, in a fixed order.
pub fn responses_only(test: &str) -> Option<Vec<ResponseOnly>> {
    let root = root(test)?.join("_response_only");
    let read = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).expect("readable");
        let recorded: RecordedResponse<'_> =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let payloads = match recorded.body {
            Some(json) => vec![json.get().as_bytes().to_vec()],
            None => recorded.chunks.into_iter().map(String::into_bytes).collect(),
        };
        let RecordedResponse { id, provider, area, stream, .. } = recorded;
        ResponseOnly { id, provider, area, stream, payloads }
    };
    Some(json_files(&root, true).iter().map(read).collect())
}

/// The events of a stream, as (name, data): the plainest reading of the specification, to compare with.
pub fn events(stream: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(stream).replace("\r\n", "\n").replace('\r', "\n");
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    let mut events = Vec::new();
    for block in text.split("\n\n") {
        let (mut name, mut data) = (String::new(), Vec::new());
        for line in block.split('\n').filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => name = value.to_owned(),
                "data" => data.push(value),
                _ => {}
            }
        }
        if !data.is_empty() {
            events.push((name, data.join("\n")));
        }
    }
    events
}

/// The JSON of every message of an AWS event stream, unwrapped where a model's own event is wrapped in it.
pub fn messages(mut stream: &[u8]) -> Vec<serde_json::Value> {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes")) as usize;
    let mut documents = Vec::new();
    while !stream.is_empty() {
        let (length, headers) = (number(&stream[..4]), number(&stream[4..8]));
        let payload = &stream[12 + headers..length - 4];
        let outer: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
        documents.push(match outer["bytes"].as_str() {
            Some(wrapped) => serde_json::from_slice(&STANDARD.decode(wrapped).expect("base64")).expect("JSON"),
            None => outer,
        });
        stream = &stream[length..];
    }
    documents
}

/// The JSON objects of a recorded answer, in order, whatever their framing.
pub fn answers(exchange: &Exchange) -> Vec<serde_json::Value> {
    let body = &exchange.body;
    if exchange.content_type.contains("eventstream") {
        return messages(body);
    }
    if exchange.is_events() && body.first() != Some(&b'{') {
        return documents(body, true);
    }
    let objects = serde_json::Deserializer::from_slice(body).into_iter::<serde_json::Value>().filter_map(Result::ok);
    objects.flat_map(|value| if let serde_json::Value::Array(list) = value { list } else { vec![value] }).collect()
}

/// The JSON of every event, or of a body.
pub fn documents(body: &[u8], is_events: bool) -> Vec<serde_json::Value> {
    if is_events {
        events(body).iter().filter_map(|(_, data)| serde_json::from_str(data).ok()).collect()
    } else {
        serde_json::from_slice(body).ok().into_iter().collect()
    }
}

/// Says something that shows even where the output of tests that pass is hidden.
pub fn say(text: &str) {
    let _shown = writeln!(std::io::stderr(), "{text}");
}

fn root(test: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("FAREGATE_TRAFFIC") {
        Some(named) => PathBuf::from(named),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/traffic"),
    };
    if root.join("MANIFEST.json").is_file() {
        return Some(root);
    }
    let required = std::env::var_os("FAREGATE_REQUIRE_TRAFFIC").is_some_and(|value| value == "1");
    assert!(!required, "{test}: FAREGATE_REQUIRE_TRAFFIC is set and there are no recordings in {}", root.display());
    say(&format!("\n==== SKIPPED {test}: no recorded traffic in {} ====\n", root.display()));
    None
}

/// JSON files two (or, inside one collection, one) levels below `root`, sorted.
fn json_files(root: &Path, collection: bool) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && (collection || !name.starts_with('_')) {
                folders.push(path);
            } else if name.ends_with(".json") && name != "MANIFEST.json" {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
