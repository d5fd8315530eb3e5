//! Vendors' own APIs: which call a path is, what its answer says of tokens, money, content and errors; and that none of
//! it depends on how the bytes were split.

#[path = "dialect_native/framing.rs"]
mod framing;
#[path = "dialect_native/rules.rs"]
mod rules;
#[path = "dialect_native/splits.rs"]
mod splits;
mod traffic;

use bytes::Bytes;
use faregate::chat::{ServiceTier, Usage, UsageReport};
use faregate::dialect::{NativeCall, Operation, Tap, UpstreamErrorKind, native};
use http::Method;
use smallvec::SmallVec;

/// All that a tap tells of one answer.
#[derive(Debug, PartialEq)]
struct Told {
    usage: UsageReport,
    error: Option<(UpstreamErrorKind, Option<String>, String)>,
    model: Option<String>,
    tier: ServiceTier,
    content: bool,
    stream: bool,
}

fn call(path: &str) -> NativeCall<'_> {
    native(&Method::POST, path).unwrap_or_else(|| panic!("{path} is a vendor's own API"))
}

/// Runs an answer through a tap, cut at `cuts`; every byte must come out at once and as it was.
fn run(path: &str, headers: &[(&str, &str)], body: &[u8], cuts: &[usize]) -> Option<Told> {
    let header = |name: &str| {
        headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_bytes())
    };
    let mut tap = Tap::of_native(&call(path), header)?;
    let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([body.len()]) {
        tap.feed(Bytes::copy_from_slice(&body[from..to]), &mut out);
        assert_eq!(out.iter().map(Bytes::len).sum::<usize>(), to, "nothing is held back");
        from = to;
    }
    tap.finish(&mut out);
    assert!(out.concat() == body, "bytes changed");
    Some(Told {
        usage: tap.usage(),
        error: tap.error().map(|error| (error.kind, error.code.clone(), error.message.clone())),
        model: tap.served_model().map(str::to_owned),
        tier: tap.service_tier(),
        content: tap.content_started(),
        stream: tap.is_stream(),
    })
}

/// What a JSON body says.
fn json(path: &str, body: &str) -> Told {
    run(path, &[("content-type", "application/json")], body.as_bytes(), &[]).expect("JSON is read")
}

/// What a stream of such events says.
fn events(path: &str, data: &[&str]) -> Told {
    let stream: String = data.iter().map(|data| format!("data: {data}\n\n")).collect();
    run(path, &[("content-type", "text/event-stream")], stream.as_bytes(), &[]).expect("events are read")
}

fn reported(usage: Usage) -> UsageReport {
    UsageReport::Reported(usage)
}

/// A message of an AWS event stream.
fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).unwrap());
        head.extend_from_slice(name.as_bytes());
        head.push(7);
        head.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    let total = u32::try_from(16 + head.len() + payload.len()).unwrap();
    let lengths = [total.to_be_bytes(), u32::try_from(head.len()).unwrap().to_be_bytes()].concat();
    let checked = |bytes: Vec<u8>| [&*bytes, &crc32fast::hash(&bytes).to_be_bytes()].concat();
    checked([&*checked(lengths), &head, payload].concat())
}

/// A message of that kind of event.
fn event(kind: &str, payload: &str) -> Vec<u8> {
    let headers = [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")];
    frame(&headers, payload.as_bytes())
}

/// A model's own event, wrapped as `invoke-with-response-stream` does.
fn chunk(payload: &str) -> Vec<u8> {
    use base64::Engine;
    let coded = base64::engine::general_purpose::STANDARD.encode(payload);
    event("chunk", &format!(r#"{{"bytes":"{coded}","p":"abc"}}"#))
}

/// What an AWS event stream says.
fn frames(path: &str, messages: &[Vec<u8>]) -> Told {
    let headers = [("content-type", "application/vnd.amazon.eventstream")];
    run(path, &headers, &messages.concat(), &[]).expect("event streams are read")
}

#[test]
fn paths_say_operation_model_and_streaming() {
    use Operation::{Chat, Completions, CountTokens, Embeddings, Messages, Other, Rerank};
    let vertex = "/v1/projects/p/locations/global/publishers";
    for (path, operation, model, streams) in [
        ("/v1beta/models/gemini-2.5-flash:generateContent", Chat, Some("gemini-2.5-flash"), false),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", Chat, Some("gemini-2.5-flash"), true),
        ("/v1beta/models/gemini-embedding-2:batchEmbedContents", Embeddings, Some("gemini-embedding-2"), false),
        ("/v1beta/models/gemini-embedding-2:embedContent", Embeddings, Some("gemini-embedding-2"), false),
        ("/v1beta/models/gemini-2.5-flash:countTokens", CountTokens, Some("gemini-2.5-flash"), false),
        ("/v1beta/tunedModels/mine:generateContent", Chat, Some("mine"), false),
        ("/v1beta/interactions?alt=sse", Chat, None, false),
        (&format!("{vertex}/google/models/gemini-2.5-pro:generateContent"), Chat, Some("gemini-2.5-pro"), false),
        (&format!("{vertex}/google/models/text-embedding-004:predict"), Embeddings, Some("text-embedding-004"), false),
        (&format!("{vertex}/google/models/imagen-4:predict"), Other, Some("imagen-4"), false),
        (
            &format!("{vertex}/anthropic/models/claude-opus-4@1:streamRawPredict"),
            Messages,
            Some("claude-opus-4@1"),
            true,
        ),
        (&format!("{vertex}/anthropic/models/count-tokens:rawPredict"), CountTokens, None, false),
        (&format!("{vertex}/mistralai/models/mistral-large:rawPredict"), Chat, Some("mistral-large"), false),
        ("/model/us.amazon.nova-lite-v1%3A0/converse", Chat, Some("us.amazon.nova-lite-v1:0"), false),
        ("/model/us.amazon.nova-lite-v1:0/converse-stream", Chat, Some("us.amazon.nova-lite-v1:0"), true),
        ("/model/amazon.titan-embed-text-v2:0/invoke", Embeddings, Some("amazon.titan-embed-text-v2:0"), false),
        ("/model/cohere.rerank-v3-5:0/invoke", Rerank, Some("cohere.rerank-v3-5:0"), false),
        ("/model/meta.llama3-8b/invoke-with-response-stream", Chat, Some("meta.llama3-8b"), true),
        ("/model/anthropic.claude/count-tokens", CountTokens, Some("anthropic.claude"), false),
        (
            "/model/arn:aws:bedrock:us-east-1::foundation-model/amazon.titan/invoke",
            Chat,
            Some("arn:aws:bedrock:us-east-1::foundation-model/amazon.titan"),
            false,
        ),
        (
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Famazon.titan/invoke",
            Chat,
            Some("arn:aws:bedrock:us-east-1::foundation-model/amazon.titan"),
            false,
        ),
        ("/v2/chat", Chat, None, false),
        ("/v1/chat", Chat, None, false),
        ("/v1/generate", Completions, None, false),
        ("/v2/embed", Embeddings, None, false),
        ("/v2/rerank", Rerank, None, false),
        ("/api/v1/rerank", Rerank, None, false),
        ("/api/chat", Chat, None, false),
        ("/api/generate", Completions, None, false),
        ("/api/embed", Embeddings, None, false),
        ("/v1/complete", Completions, None, false),
        ("/v1/responses/input_tokens", CountTokens, None, false),
        ("/serving-endpoints/dbrx/invocations", Chat, Some("dbrx"), false),
        ("/client/v4/accounts/a/ai/run/@cf/meta/llama-3", Chat, Some("@cf/meta/llama-3"), false),
    ] {
        let call = call(path);
        let got = (call.operation, call.model(), call.streams);
        if operation == CountTokens && model.is_none() {
            assert_eq!(got.0, operation, "{path}");
        } else {
            assert_eq!(got, (operation, model.map(Into::into), streams), "{path}");
        }
    }
    for path in [
        "/v1/files",
        "/v1/audio/speech",
        "/v1/models/gpt-4o",
        "/v1beta/models/veo-3:predictLongRunning",
        "/v1beta/cachedContents",
        "/guardrail/g/version/1/apply",
        "/model/x/async-invoke",
        "/model/converse",
        "/api/tags",
        "/v1/batches",
        "/upload/v1beta/files",
        "/a:generateContent",
        "/",
        "",
        ":",
        "/:",
    ] {
        assert_eq!(native(&Method::POST, path), None, "{path}");
    }
    assert_eq!(native(&Method::GET, "/v1beta/models/m:generateContent"), None);
}

#[test]
fn what_tells_of_no_usage_is_not_read() {
    let path = "/v1beta/models/gemini-2.5-flash:generateContent";
    for headers in [
        &[("content-type", "application/json"), ("content-encoding", "gzip")][..],
        &[("content-type", "text/html")],
        &[("content-type", "audio/mpeg")],
        &[("content-type", "application/octet-stream")],
    ] {
        assert_eq!(run(path, headers, b"{}", &[]), None, "{headers:?}");
    }
    let plain = [("content-type", "application/json"), ("content-encoding", "identity")];
    assert!(run(path, &plain, b"{}", &[]).is_some());
    assert!(run("/v1beta/models/m:countTokens", &[], br#"{"totalTokens":9}"#, &[]).is_none());
}
