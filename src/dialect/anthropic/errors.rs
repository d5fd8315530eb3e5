//! Errors as Anthropic's SDKs read them: `{"type": "error", "error": {type, message}, "request_id"}`.

use bytes::Bytes;
use serde::Serialize;

use crate::error::{ClientError, Kind};

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    error: Error<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct Error<'a> {
    r#type: &'static str,
    message: &'a str,
}

/// The body of an error answer.
pub(in super::super) fn body(error: &ClientError, request_id: &str) -> Bytes {
    Bytes::from(json(error, request_id))
}

/// The event that reports an error inside a stream.
pub(in super::super) fn event(error: &ClientError, request_id: &str) -> Bytes {
    Bytes::from(format!("event: error\ndata: {}\n\n", json(error, request_id)))
}

fn json(error: &ClientError, request_id: &str) -> String {
    let r#type = match error.kind {
        Kind::BadRequest | Kind::RequestTimeout | Kind::HeadTooLarge => "invalid_request_error",
        Kind::Unauthorized => "authentication_error",
        Kind::NotFound | Kind::NoRoute => "not_found_error",
        Kind::PayloadTooLarge => "request_too_large",
        Kind::RateLimited => "rate_limit_error",
        Kind::Overloaded => "overloaded_error",
        Kind::UpstreamTimeout => "timeout_error",
        Kind::UpstreamConnect | Kind::UpstreamBroken | Kind::Internal => "api_error",
    };
    let body = Body { r#type: "error", error: Error { r#type, message: &error.message }, request_id };
    // Plain structs of strings cannot fail to serialise.
    serde_json::to_string(&body).unwrap_or_default()
}
