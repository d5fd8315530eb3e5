//! Errors in and out: what recorded errors are read as, what ours look like beside them, and errors inside answers
//! whose status says 200.

mod traffic;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use faregate::dialect::{
    DialectId, Operation, Tap, UpstreamErrorKind, decode_error, encode_error, encode_stream_error,
};
use faregate::error::{ClientError, Kind};
use serde_json::Value;
use smallvec::SmallVec;

const KINDS: [Kind; 13] = [
    Kind::BadRequest,
    Kind::Unauthorized,
    Kind::NotFound,
    Kind::NoRoute,
    Kind::RequestTimeout,
    Kind::PayloadTooLarge,
    Kind::HeadTooLarge,
    Kind::RateLimited,
    Kind::Overloaded,
    Kind::UpstreamConnect,
    Kind::UpstreamTimeout,
    Kind::UpstreamBroken,
    Kind::Internal,
];

/// What a reader of the recorded error takes it for, by its status and words.
fn label(status: u16, body: &str) -> UpstreamErrorKind {
    let body = body.to_ascii_lowercase();
    let says = |signs: &[&str]| signs.iter().any(|sign| body.contains(sign));
    match status {
        401 | 403 => UpstreamErrorKind::Unauthorized,
        404 => UpstreamErrorKind::NotFound,
        429 => UpstreamErrorKind::RateLimited,
        503 | 529 => UpstreamErrorKind::Overloaded,
        500.. => UpstreamErrorKind::ServerError,
        _ if says(&["too long", "tokens exceeds", "maximum number of tokens"]) => UpstreamErrorKind::ContextTooLong,
        _ if says(&["api key not valid", "incorrect api key", "api_key_invalid"]) => UpstreamErrorKind::Unauthorized,
        _ if says(&["model"])
            && says(&[
                "does not exist",
                "invalid model",
                "not a valid model",
                "identifier is invalid",
                "supported models are",
                "supported api model",
            ]) =>
        {
            UpstreamErrorKind::NotFound
        }
        _ => UpstreamErrorKind::Invalid,
    }
}

/// The message of an error body, wherever its host puts it.
fn message(body: &Value) -> Option<String> {
    let body = body.get(0).unwrap_or(body);
    let places = ["/error/message", "/message", "/detail", "/error"];
    places.iter().find_map(|place| body.pointer(place)?.as_str()).map(str::to_owned)
}

#[test]
fn every_recorded_error_is_understood() {
    let Some(exchanges) = traffic::exchanges("every_recorded_error_is_understood") else { return };
    let mut table: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let errors = exchanges.iter().filter(|exchange| exchange.status >= 400);
    for exchange in errors {
        let dialect = if exchange.api == "messages" { DialectId::Anthropic } else { DialectId::OpenAi };
        let read = decode_error(dialect, exchange.status, &exchange.body);
        let text = String::from_utf8_lossy(&exchange.body);
        if read.kind != label(exchange.status, &text) {
            wrong.push(format!("{} {}: {:?} for {text:.300}", exchange.id, exchange.status, read.kind));
        }
        let said = serde_json::from_slice(&exchange.body).ok().and_then(|body: Value| message(&body));
        if let Some(said) = said.filter(|said| said.len() <= 500)
            && said.trim() != read.message
        {
            wrong.push(format!("{}: message {:?} for {said:?}", exchange.id, read.message));
        }
        *table.entry(format!("{:<15}{} {:?}", exchange.provider, exchange.status, read.kind)).or_default() += 1;
    }
    for (line, n) in &table {
        println!("{n:>5}  {line}");
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Paths and kinds of a value's members: `error.code: string`.
fn form(value: &Value, at: &str, into: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| form(value, &format!("{at}.{key}"), into));
            return;
        }
        Value::Null => "null",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Array(_) => "array",
    };
    into.insert(format!("{at}: {kind}"));
}

fn form_of(body: &[u8]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    form(&serde_json::from_slice(body).expect("JSON"), "", &mut found);
    found
}

/// Every error of ours has a form in which the vendor's own servers were recorded to answer.
#[test]
fn ours_have_a_recorded_form() {
    let Some(exchanges) = traffic::exchanges("ours_have_a_recorded_form") else { return };
    let recorded = |provider: &str, apis: &[&str]| -> BTreeSet<BTreeSet<String>> {
        let errors = exchanges.iter().filter(|e| e.status >= 400 && e.provider == provider);
        errors.filter(|e| apis.contains(&e.api.as_str())).map(|e| form_of(&e.body)).collect()
    };
    let openai = recorded("openai", &["chat_completions", "responses", "completions", "embeddings"]);
    let anthropic = recorded("anthropic", &["messages", "messages_count_tokens"]);
    for kind in KINDS {
        let error = ClientError::new(kind, "what \"happened\"\n<b>");
        let ours = form_of(&encode_error(DialectId::OpenAi, &error, "req-1"));
        assert!(openai.contains(&ours), "{kind:?}: {ours:?} is none of {openai:?}");
        let ours = form_of(&encode_error(DialectId::Anthropic, &error, "req-1"));
        assert!(anthropic.contains(&ours), "{kind:?}: {ours:?} is none of {anthropic:?}");
    }
}

#[test]
fn ours_say_what_they_mean_to_a_reader_of_the_dialect() {
    use UpstreamErrorKind::*;
    for kind in KINDS {
        let error = ClientError::new(kind, "what \"happened\"");
        for dialect in [DialectId::OpenAi, DialectId::Anthropic] {
            let read = decode_error(dialect, error.status(), &encode_error(dialect, &error, "r"));
            assert_eq!(read.message, "what \"happened\"");
            let want = match kind {
                Kind::Unauthorized => Unauthorized,
                Kind::NotFound | Kind::NoRoute => NotFound,
                Kind::RateLimited => RateLimited,
                Kind::Overloaded => Overloaded,
                Kind::UpstreamConnect | Kind::UpstreamTimeout | Kind::UpstreamBroken | Kind::Internal => ServerError,
                Kind::RequestTimeout => Other,
                Kind::BadRequest | Kind::PayloadTooLarge | Kind::HeadTooLarge => Invalid,
            };
            assert_eq!(read.kind, want, "{kind:?} in {dialect:?}");
        }
        // The types that the vendor documents; SDKs map them to classes.
        let body: Value = serde_json::from_slice(&encode_error(DialectId::Anthropic, &error, "r")).unwrap();
        let documented = [
            "invalid_request_error",
            "authentication_error",
            "billing_error",
            "permission_error",
            "not_found_error",
            "request_too_large",
            "rate_limit_error",
            "timeout_error",
            "api_error",
            "overloaded_error",
        ];
        assert!(documented.contains(&body["error"]["type"].as_str().unwrap()), "{body}");
        assert_eq!(body["type"], "error");
        assert_eq!(body["request_id"], "r");
    }
}

/// Reads an answer of status 200 through the tap, in one piece.
fn tap(dialect: DialectId, operation: Operation, events: bool, body: &str) -> Tap {
    let mut tap = Tap::new(dialect, operation, events, false);
    let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
    tap.feed(Bytes::copy_from_slice(body.as_bytes()), &mut out);
    tap.finish(&mut out);
    assert_eq!(out.concat(), body.as_bytes());
    tap
}

const CONTENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n";

#[test]
fn ours_inside_a_stream_are_read_as_errors() {
    for kind in KINDS {
        let error = ClientError::new(kind, "what happened");
        for (dialect, operation) in [
            (DialectId::OpenAi, Operation::Chat),
            (DialectId::OpenAi, Operation::Completions),
            (DialectId::OpenAi, Operation::Responses),
            (DialectId::Anthropic, Operation::Messages),
        ] {
            let event = encode_stream_error(dialect, operation, &error, "req-1");
            let event = std::str::from_utf8(&event).unwrap();
            assert!(event.ends_with("\n\n") && event.trim_end().lines().count() <= 2, "{event:?}");
            for before in ["", CONTENT] {
                let tap = tap(dialect, operation, true, &format!("{before}{event}"));
                assert_eq!(tap.error().expect(event).message, "what happened");
            }
            let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            // The shape by which the SDKs know that they must raise.
            assert!(data["error"].is_object(), "{data}");
            if operation == Operation::Responses || dialect == DialectId::Anthropic {
                assert!(event.starts_with("event: error\n"));
                assert_eq!(data["type"], "error");
            }
        }
    }
}

/// (operation, what stands in a 200 stream, kind, message)
const IN_STREAMS: [(Operation, &str, UpstreamErrorKind, &str); 12] = {
    use Operation::*;
    use UpstreamErrorKind as K;
    [
        (
            Chat,
            r#"data: {"id":"gen-1","provider":"P","error":{"code":400,"message":"Token limit reached"},"model":"m","object":"chat.completion.chunk","created":1,"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"error"}]}"#,
            K::Invalid,
            "Token limit reached",
        ),
        (
            Chat,
            "event: error\ndata: {\"error\":{\"message\":\"Tool choice is required\",\"type\":\"invalid_request_error\",\"code\":\"tool_use_failed\",\"status_code\":400}}",
            K::Invalid,
            "Tool choice is required",
        ),
        (
            Chat,
            r#"data: {"error":{"message":"Rate limit reached for requests","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
            K::RateLimited,
            "Rate limit reached for requests",
        ),
        (
            Chat,
            r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"error","error":{"code":502,"message":"Upstream went away"}}]}"#,
            K::ServerError,
            "Upstream went away",
        ),
        (
            Chat,
            r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}"#,
            K::Other,
            "the provider ended its answer with an error that it did not name",
        ),
        (Chat, r#"data: {"error":"model overloaded","error_type":"overloaded"}"#, K::Other, "model overloaded"),
        (
            Messages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
            K::Overloaded,
            "Overloaded",
        ),
        (
            Messages,
            "data: {\"type\":\"error\",\"error\":{\"details\":null,\"type\":\"api_error\",\"message\":\"Internal server error\"},\"request_id\":\"r\"}",
            K::ServerError,
            "Internal server error",
        ),
        (
            Messages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow\"}}",
            K::RateLimited,
            "slow",
        ),
        (
            Responses,
            r#"data: {"type":"response.failed","response":{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"The model failed"},"usage":null}}"#,
            K::ServerError,
            "The model failed",
        ),
        (
            Responses,
            "event: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"Too fast\",\"param\":null,\"sequence_number\":3}",
            K::RateLimited,
            "Too fast",
        ),
        (
            Responses,
            "event: error\ndata: {\"type\":\"error\",\"sequence_number\":2,\"error\":{\"type\":\"invalid_request_error\",\"code\":\"context_length_exceeded\",\"message\":\"Your input exceeds the context window of this model.\",\"param\":\"input\"}}",
            K::ContextTooLong,
            "Your input exceeds the context window of this model.",
        ),
    ]
};

#[test]
fn errors_inside_streams_are_seen_before_and_after_content() {
    for (operation, event, kind, message) in IN_STREAMS {
        let dialect = if operation == Operation::Messages { DialectId::Anthropic } else { DialectId::OpenAi };
        let content = match operation {
            Operation::Messages => {
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}\n\n"
            }
            Operation::Responses => "data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n",
            _ => CONTENT,
        };
        for (before, end) in [("", "\n\n"), (content, "\n\n"), (content, "\n"), (content, "")] {
            let tap = tap(dialect, operation, true, &format!("{before}{event}{end}"));
            let error = tap.error().unwrap_or_else(|| panic!("no error seen in {before:?}{event}"));
            assert_eq!((error.kind, error.message.as_str()), (kind, message), "{event}");
            assert_eq!(tap.content_started(), !before.is_empty(), "{event}");
        }
    }
}

#[test]
fn a_200_body_that_is_an_error() {
    let bodies = [
        (r#"{"error":{"message":"m","code":429}}"#, UpstreamErrorKind::RateLimited),
        (
            r#"{"error":{"code":502,"message":"m","metadata":{"provider_name":"P"}},"user_id":"u"}"#,
            UpstreamErrorKind::ServerError,
        ),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#, UpstreamErrorKind::Overloaded),
        (r#"{"object":"error","message":"m","type":"invalid_model","code":"1500"}"#, UpstreamErrorKind::Other),
        (r#"{"object":"error","message":"m","code":503}"#, UpstreamErrorKind::Overloaded),
        (r#"{"error":"m"}"#, UpstreamErrorKind::Other),
    ];
    for (body, kind) in bodies {
        for (dialect, operation) in [(DialectId::OpenAi, Operation::Chat), (DialectId::Anthropic, Operation::Messages)]
        {
            let tap = tap(dialect, operation, false, body);
            let error = tap.error().unwrap_or_else(|| panic!("no error seen in {body}"));
            assert_eq!((error.kind, error.message.as_str()), (kind, "m"), "{body}");
        }
    }
    let response = r#"{"id":"r","object":"response","status":"failed","error":{"code":"server_error","message":"m"},"usage":null}"#;
    let failed = tap(DialectId::OpenAi, Operation::Responses, false, response);
    assert_eq!(failed.error().unwrap().kind, UpstreamErrorKind::ServerError);
    let fine = [
        r#"{"object":"chat.completion","error":null,"choices":[{"message":{"content":"\"error\": {}"}}]}"#,
        r#"{"object":"list","data":[]}"#,
        r#"{"type":"message","content":[{"type":"error"}]}"#,
    ];
    for body in fine {
        assert!(tap(DialectId::OpenAi, Operation::Chat, false, body).error().is_none(), "{body}");
    }
}

/// Nothing in a recorded answer of status 200 is taken for an error, but for what stands in a field of that name.
#[test]
fn only_errors_are_errors() {
    let Some(exchanges) = traffic::exchanges("only_errors_are_errors") else { return };
    let mut seen = 0;
    for exchange in exchanges.iter().filter(|exchange| exchange.status == 200) {
        let (dialect, operation) = match exchange.api.as_str() {
            "chat_completions" => (DialectId::OpenAi, Operation::Chat),
            "responses" => (DialectId::OpenAi, Operation::Responses),
            "completions" => (DialectId::OpenAi, Operation::Completions),
            "messages" => (DialectId::Anthropic, Operation::Messages),
            _ => continue,
        };
        let mut tap = Tap::new(dialect, operation, exchange.is_events(), false);
        let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
        tap.feed(Bytes::copy_from_slice(&exchange.body), &mut out);
        tap.finish(&mut out);
        let documents = traffic::documents(&exchange.body, exchange.is_events());
        let want = documents.iter().any(|document| {
            ["/error", "/response/error"].iter().any(|at| document.pointer(at).is_some_and(|error| !error.is_null()))
        });
        assert_eq!(tap.error().is_some(), want, "{}: {:?}", exchange.id, tap.error());
        seen += usize::from(want);
    }
    println!("{seen} errors inside answers of status 200");
}
