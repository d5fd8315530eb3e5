//! What is replayed: recorded exchanges, and recorded responses with a request made up for them.

use serde_json::Value;

use crate::native::Native;
use crate::oracle::{Api, Expected, expected};
use crate::support::Record;
use crate::traffic::{self, Exchange, ResponseOnly};

/// One exchange, and what must come of it.
#[derive(Debug)]
pub struct Case {
    pub exchange: Exchange,
    pub api: Api,
    pub expected: Expected,
}

impl Case {
    pub fn of_exchange(exchange: Exchange) -> Self {
        // A list of what was used shares the name of the API that it counts.
        let native = exchange.method != "POST" || is_native_embedding(exchange.path());
        let api = if native { Api::Other } else { Api::of(&exchange.api) };
        let answers = if exchange.status == 200 { traffic::answers(&exchange) } else { Vec::new() };
        let expected = match Native::of(&exchange) {
            Some(native) if api == Api::Other => native.expected(&answers, &exchange.response_headers),
            _ => expected(&exchange.provider, api, &answers),
        };
        Self { exchange, api, expected }
    }

    /// `None` for responses of APIs that are not read.
    pub fn of_response(response: &ResponseOnly) -> Option<Self> {
        let documents: Vec<Value> = response.payloads.iter().filter_map(|p| serde_json::from_slice(p).ok()).collect();
        let first = documents.first()?;
        let kind = first["type"].as_str().unwrap_or_default();
        let (api, name, path) = match first["object"].as_str() {
            Some("chat.completion" | "chat.completion.chunk") => {
                (Api::Chat, "chat_completions", "/v1/chat/completions")
            }
            Some("text_completion") => (Api::Completions, "completions", "/v1/completions"),
            Some("response") => (Api::Responses, "responses", "/v1/responses"),
            _ if kind.starts_with("response.") => (Api::Responses, "responses", "/v1/responses"),
            _ if matches!(kind, "message" | "message_start") => (Api::Messages, "messages", "/v1/messages"),
            _ => return None,
        };
        let named = matches!(api, Api::Responses | Api::Messages);
        let body =
            if response.stream { events(&response.payloads, &documents, named) } else { response.payloads[0].clone() };
        let input = if api == Api::Responses { "input" } else { "messages" };
        let request = format!(
            r#"{{"model":"m-1","{input}":[{{"role":"user","content":"say \"model\": {{}}"}}],"stream":{}}}"#,
            response.stream
        );
        let exchange = Exchange {
            id: response.id.clone(),
            provider: response.provider.clone(),
            api: name.to_owned(),
            stream: response.stream,
            model: None,
            method: "POST".to_owned(),
            url: format!("https://example.test{path}"),
            request_headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            request_body: Some(request.into_bytes()),
            status: 200,
            response_headers: Vec::new(),
            content_type: if response.stream { "text/event-stream" } else { "application/json" }.to_owned(),
            body,
            tags: Vec::new(),
        };
        Some(Self { api, expected: expected(&exchange.provider, api, &documents), exchange })
    }

    /// Whether the answer is a stream of chat or completion chunks, in which usage may have to be asked for.
    pub fn may_be_asked_for_usage(&self) -> bool {
        matches!(self.api, Api::Chat | Api::Completions) && self.request()["stream"] == true
    }

    /// What is wrong with the facts of a call of a vendor's own API in its usage record.
    pub fn record_problems(&self, record: &Record) -> impl Iterator<Item = String> {
        let mut problems = Vec::new();
        if let Some(native) = Native::of(&self.exchange).filter(|_| self.api == Api::Other) {
            let mut check = |what: &str, got: &Value, want: Value| {
                if *got != want {
                    problems.push(format!("{what} {got}, not {want}"));
                }
            };
            check("operation", &record["operation"], native.operation(&self.exchange).into());
            check("stream", &record["stream"], self.exchange.stream.into());
            let model = self.exchange.model.as_deref();
            check("model_asked", &record["model_asked"], model.into());
            let last = record["attempts"].as_array().and_then(|attempts| attempts.last());
            check("model sent", &last.map_or(Value::Null, |last| last["model"].clone()), model.into());
            let content = self.exchange.stream && self.exchange.status == 200;
            let content = content && traffic::answers(&self.exchange).iter().any(holds_content);
            check("a first token", &record["ttft_ms"].is_number().into(), content.into());
        }
        problems.into_iter()
    }

    /// The request's JSON.
    pub fn request(&self) -> Value {
        let body = self.exchange.request_body.as_deref().unwrap_or(b"null");
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// Whether the client itself asked for usage.
    pub fn asked_for_usage(&self) -> bool {
        self.request()["stream_options"]["include_usage"] == true
    }
}

/// Whether a model made anything of what an event says: text, thoughts, the name or the arguments of a call.
fn holds_content(event: &Value) -> bool {
    const MADE: [&str; 16] = [
        "text",
        "thinking",
        "completion",
        "generation",
        "outputText",
        "content",
        "response",
        "arguments",
        "partial_json",
        "input",
        "args",
        "name",
        "data",
        "tool_plan",
        "value",
        "executableCode",
    ];
    match event {
        Value::Object(members) => members.iter().any(|(key, value)| {
            let made = MADE.contains(&key.as_str()) && value.as_str().is_some_and(|text| !text.is_empty());
            made || holds_content(value)
        }),
        Value::Array(items) => items.iter().any(holds_content),
        _ => false,
    }
}

/// A stream of these payloads, as servers write it.
fn events(payloads: &[Vec<u8>], documents: &[Value], named: bool) -> Vec<u8> {
    let mut stream = Vec::new();
    for (payload, document) in payloads.iter().zip(documents) {
        if let Some(name) = document["type"].as_str().filter(|_| named) {
            stream.extend_from_slice(format!("event: {name}\n").as_bytes());
        }
        stream.extend_from_slice(b"data: ");
        stream.extend_from_slice(payload);
        stream.extend_from_slice(b"\n\n");
    }
    if !named {
        stream.extend_from_slice(b"data: [DONE]\n\n");
    }
    stream
}

/// APIs of vendors' own that the recordings call embeddings too.
fn is_native_embedding(path: &str) -> bool {
    ["/api/embeddings", "/embed", ":batchEmbedContents", ":embedContent", ":predict"]
        .iter()
        .any(|end| path.ends_with(end))
}
