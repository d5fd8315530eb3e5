//! Responses through the tap, requests through scanner and patch, errors of any shape.

use bytes::Bytes;
use faregate::dialect::{self, DialectId, Operation, Tap, conversation_prefix, decode_error, scan};
use http::Method;
use serde_json::Value;
use smallvec::SmallVec;

use super::Choices;

const OPERATIONS: [Operation; 5] =
    [Operation::Chat, Operation::Completions, Operation::Responses, Operation::Messages, Operation::Embeddings];

/// What the tap hands on and says does not depend on splits; without stripping, no byte changes.
pub fn tap(data: &[u8]) {
    let (choices, body) = Choices::take(data, 5);
    let operation = OPERATIONS[choices.byte(4) % OPERATIONS.len()];
    let events = choices.byte(4) & 8 == 0;
    for (strip, of_router) in [(false, false), (true, false), (true, true)] {
        let run = |pieces: &[&[u8]]| {
            let mut tap = Tap::new(operation.dialect(), operation, events, strip);
            if of_router {
                tap = tap.expecting_router(true);
            }
            let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
            for piece in pieces {
                tap.feed(Bytes::copy_from_slice(piece), &mut out);
            }
            tap.finish(&mut out);
            let said =
                (tap.usage(), tap.error().cloned(), tap.served_model().map(str::to_owned), tap.router().cloned());
            (out.concat(), said, tap.content_started(), tap.ended(), tap.is_event_stream())
        };
        let whole = run(&[body]);
        assert_eq!(run(&choices.pieces(body)), whole, "{operation:?}, strip {strip}");
        if !strip {
            assert_eq!(whole.0, body);
        }
    }
}

/// Vendors' own APIs, one of each kind of answer.
const NATIVE: [&str; 10] = [
    "/v1beta/models/m:generateContent",
    "/v1beta/models/m:streamGenerateContent",
    "/v1beta/interactions",
    "/v1/publishers/google/models/embed:predict",
    "/v1/publishers/anthropic/models/m:streamRawPredict",
    "/model/m/converse-stream",
    "/model/m/invoke-with-response-stream",
    "/model/embed/invoke",
    "/v2/chat",
    "/api/chat",
];
const MEDIA: [&[u8]; 4] =
    [b"application/json", b"text/event-stream", b"application/x-ndjson", b"application/vnd.amazon.eventstream"];

/// What the tap says of a vendor's own answer does not depend on splits; no byte is changed or held back.
pub fn native(data: &[u8]) {
    let (choices, body) = Choices::take(data, 5);
    let path = NATIVE[choices.byte(4) % NATIVE.len()];
    let media = MEDIA[choices.byte(4) / NATIVE.len() % MEDIA.len()];
    let Some(call) = dialect::native(&Method::POST, path) else { unreachable!("{path}") };
    let run = |pieces: &[&[u8]]| {
        let mut tap = Tap::of_native(&call, |name| (name == "content-type").then_some(media))?;
        let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
        let mut fed = 0;
        for piece in pieces {
            tap.feed(Bytes::copy_from_slice(piece), &mut out);
            fed += piece.len();
            assert_eq!(out.iter().map(Bytes::len).sum::<usize>(), fed);
        }
        tap.finish(&mut out);
        assert_eq!(out.concat(), body);
        let said = (tap.usage(), tap.error().cloned(), tap.served_model().map(str::to_owned));
        Some((said, tap.content_started(), tap.ended(), tap.service_tier()))
    };
    assert_eq!(run(&choices.pieces(body)), run(&[body]), "{path}");
}

/// A body that is scanned and patched is the same JSON but for model and stream options.
pub fn model(data: &[u8]) {
    let (choices, body) = Choices::take(data, 2);
    let operation = OPERATIONS[choices.byte(0) % OPERATIONS.len()];
    assert!(conversation_prefix(body) <= body.len());
    let Ok(facts) = scan(operation, body) else { return };
    let body = Bytes::copy_from_slice(body);
    let ask = choices.byte(1) & 1 == 1;
    let name = ["m", "a \"quoted\" \\ name", "é✓"][choices.byte(1) / 2 % 3];
    assert_eq!(facts.patch(&body, None, false), body);
    let patched = facts.patch(&body, Some(name), ask);
    let again = scan(operation, &patched).expect("what was patched can be scanned");
    assert_eq!(again.model(), Some(name));
    assert_eq!(again.stream(), facts.stream());
    assert_eq!(again.patch(&patched, Some(name), ask), patched, "patching twice changes nothing more");
    let Ok(Value::Object(before)) = serde_json::from_slice(&body) else { return };
    let Value::Object(mut after) = serde_json::from_slice(&patched).expect("still JSON") else {
        unreachable!("still an object")
    };
    assert_eq!(after["model"], name);
    assert_eq!(facts.model(), before.get("model").and_then(Value::as_str));
    if ask && facts.stream() && matches!(operation, Operation::Chat | Operation::Completions) {
        assert_eq!(after["stream_options"]["include_usage"], true);
        assert!(again.asks_usage());
    }
    let mut before = before;
    for key in ["model", "stream_options"] {
        before.remove(key);
        after.remove(key);
    }
    assert_eq!(before, after);
}

/// Any body can be read as an error, and what is kept of it is bounded.
pub fn error(data: &[u8]) {
    let (choices, body) = Choices::take(data, 1);
    let status = [200, 400, 401, 404, 429, 500, 503, 529][choices.byte(0) % 8];
    let read = decode_error(DialectId::OpenAi, status, body);
    assert!(!read.message.is_empty() && read.message.len() <= 500);
    assert!(read.code.is_none_or(|code| code.len() <= 80));
}
