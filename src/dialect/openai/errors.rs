//! Errors as OpenAI's SDKs read them: `{"error": {message, type, param, code}}`.

use bytes::Bytes;
use serde::Serialize;

use super::super::Operation;
use crate::error::{ClientError, Kind};

#[derive(Serialize)]
struct Body<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

/// An error event of the responses API. The documented fields, and beside them the nested `error` that the servers
/// also send and that makes the SDKs raise instead of yielding one more event.
#[derive(Serialize)]
struct ResponsesEvent<'a> {
    r#type: &'static str,
    code: Option<&'static str>,
    message: &'a str,
    param: Option<&'static str>,
    sequence_number: u64,
    error: Error<'a>,
}

/// The body of an error answer.
pub(in super::super) fn body(error: &ClientError) -> Bytes {
    Bytes::from(json(&Body { error: describe(error) }))
}

/// The event that reports an error inside a stream.
pub(in super::super) fn event(operation: Operation, error: &ClientError) -> Bytes {
    let event = if operation == Operation::Responses {
        let nested = describe(error);
        let data = ResponsesEvent {
            r#type: "error",
            code: nested.code,
            message: nested.message,
            param: None,
            sequence_number: 0,
            error: nested,
        };
        format!("event: error\ndata: {}\n\n", json(&data))
    } else {
        format!("data: {}\n\n", json(&Body { error: describe(error) }))
    };
    Bytes::from(event)
}

fn json(value: &impl Serialize) -> String {
    // Plain structs of strings cannot fail to serialise.
    serde_json::to_string(value).unwrap_or_default()
}

fn describe(error: &ClientError) -> Error<'_> {
    let (r#type, code) = match error.kind {
        Kind::BadRequest => ("invalid_request_error", None),
        Kind::Unauthorized => ("invalid_request_error", Some("invalid_api_key")),
        Kind::NotFound => ("invalid_request_error", Some("unknown_url")),
        Kind::NoRoute => ("invalid_request_error", Some("model_not_found")),
        Kind::RequestTimeout => ("invalid_request_error", Some("request_timeout")),
        Kind::PayloadTooLarge => ("invalid_request_error", Some("request_too_large")),
        Kind::HeadTooLarge => ("invalid_request_error", Some("headers_too_large")),
        Kind::RateLimited => ("rate_limit_error", Some("rate_limit_exceeded")),
        Kind::Overloaded => ("server_error", Some("overloaded")),
        Kind::UpstreamConnect => ("server_error", Some("upstream_connect_error")),
        Kind::UpstreamTimeout => ("server_error", Some("upstream_timeout")),
        Kind::UpstreamBroken => ("server_error", Some("upstream_broken")),
        Kind::Internal => ("server_error", Some("internal_error")),
    };
    Error { message: &error.message, r#type, param: None, code }
}
