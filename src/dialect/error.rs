//! Errors in and out: what a provider's error means, and how a client is told of ours.
//!
//! Reading takes any body: hosts answer with their own JSON shapes, with HTML, with nothing. What stays is a kind, a
//! code and a bounded message. Writing goes to `openai::errors` and `anthropic::errors`.

use std::borrow::Cow;

use bytes::Bytes;

use super::json::{self, Members};
use super::{DialectId, Operation, anthropic, openai};
use crate::error::ClientError;

/// Longest message that is kept, in bytes.
const MAX_MESSAGE: usize = 500;
/// Longest code that is kept, in bytes.
const MAX_CODE: usize = 80;
/// How much of a body is read.
const MAX_BODY: usize = 64 * 1024;

/// What a provider said went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamError {
    /// What it means.
    pub kind: UpstreamErrorKind,
    /// The provider's code, else its type.
    pub code: Option<String>,
    /// The provider's words; at most 500 bytes, never empty.
    pub message: String,
}

/// What a provider's error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamErrorKind {
    /// Over a rate, quota or credit limit.
    RateLimited,
    /// The provider is too busy.
    Overloaded,
    /// The key is missing, wrong or not allowed to do this.
    Unauthorized,
    /// No such model or path.
    NotFound,
    /// The request is at fault.
    Invalid,
    /// The prompt does not fit the model's context.
    ContextTooLong,
    /// The provider is at fault.
    ServerError,
    /// Cannot be told.
    Other,
}

/// Reads an error body, or the data of an error event (`status` is then that of the response, 200).
pub fn decode_error(_dialect: DialectId, status: u16, body: &[u8]) -> UpstreamError {
    let body = &body[..body.len().min(MAX_BODY)];
    let said = Said::read(body);
    let message = match &said.message {
        Some(message) if !message.trim().is_empty() => bounded(message.trim(), MAX_MESSAGE),
        _ => plain_text(body).unwrap_or_else(|| format!("the provider answered {status} without a message")),
    };
    let status = if status >= 400 { status } else { said.status.unwrap_or(status) };
    let kind = kind(status, &said, &message);
    UpstreamError { kind, code: said.code.or(said.kind).map(|code| bounded(&code, MAX_CODE)), message }
}

/// The fields of an error, wherever they stand.
#[derive(Debug, Default)]
struct Said<'a> {
    message: Option<Cow<'a, str>>,
    code: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    status: Option<u16>,
}

impl<'a> Said<'a> {
    fn read(body: &'a [u8]) -> Self {
        let mut said = Self::default();
        // Some hosts wrap the object in a list.
        let body = json::items(body).next().map_or(body, |first| &body[first]);
        said.object(body, 0);
        said
    }

    /// Takes over what an object says. What it holds in `error` (or `response.error`) says it better.
    fn object(&mut self, object: &'a [u8], depth: u32) {
        let Ok(mut members) = Members::open(object, 0) else { return };
        let mut inner = None;
        while let Ok(Some(member)) = members.next() {
            let value = member.value;
            match &*member.key() {
                b"message" | b"msg" | b"error_description" => self.say(value),
                b"detail" | b"details" if self.message.is_none() => self.say(value),
                b"error" | b"response" if value.starts_with(b"{") && depth < 3 => inner = Some(value),
                b"error" | b"errors" if self.message.is_none() => self.say(value),
                b"code" | b"status_code" | b"raw_status_code" | b"status" => self.code(value),
                b"type" => self.kind = json::text(value).or(self.kind.take()),
                _ => {}
            }
        }
        if let Some(inner) = inner {
            self.object(inner, depth + 1);
        }
    }

    fn say(&mut self, value: &'a [u8]) {
        self.message = match value.first() {
            Some(b'"') => json::text(value).or(self.message.take()),
            Some(b'{' | b'[') if json::says_something(value) => Some(String::from_utf8_lossy(value)),
            _ => return,
        };
    }

    /// A code is a word, or a number that is a status.
    fn code(&mut self, value: &'a [u8]) {
        if let Some(n) = json::count(value) {
            let status = u16::try_from(n).ok().filter(|n| (400..600).contains(n));
            self.status = status.or(self.status);
        } else if let Some(text) = json::text(value).filter(|text| !text.is_empty()) {
            match text.parse::<u16>() {
                Ok(n) if (400..600).contains(&n) => self.status = Some(n),
                _ => self.code = Some(text),
            }
        }
    }
}

fn kind(status: u16, said: &Said<'_>, message: &str) -> UpstreamErrorKind {
    use UpstreamErrorKind::*;
    let code = said.code.as_deref().unwrap_or_default();
    let words = said.kind.as_deref().unwrap_or_default();
    if status < 500 && status != 429 && (is_too_long(code) || is_too_long(words) || is_too_long(message)) {
        return ContextTooLong;
    }
    match status {
        402 | 429 => return RateLimited,
        401 | 403 => return Unauthorized,
        404 => return NotFound,
        503 | 529 => return Overloaded,
        500.. => return ServerError,
        _ => {}
    }
    match by_code(code).or_else(|| by_code(words)) {
        // The general word for a fault of the request: the message may know better.
        Some(Invalid) | None => {}
        Some(kind) => return kind,
    }
    match status {
        400..=499 if is_about_key(message) => Unauthorized,
        400..=499 if is_about_model(message) => NotFound,
        408 => Other,
        400..=499 => Invalid,
        _ => by_code(code).or_else(|| by_code(words)).unwrap_or(Other),
    }
}

/// Codes and types that say more than a status, or stand in for one in an event.
fn by_code(code: &str) -> Option<UpstreamErrorKind> {
    use UpstreamErrorKind::*;
    Some(match code {
        "rate_limit_exceeded"
        | "rate_limit_error"
        | "insufficient_quota"
        | "billing_error"
        | "quota_exceeded"
        | "too_many_requests"
        | "RESOURCE_EXHAUSTED"
        | "throttlingException"
        | "ThrottlingException"
        | "serviceQuotaExceededException" => RateLimited,
        "overloaded_error"
        | "overloaded"
        | "engine_overloaded"
        | "slow_down"
        | "UNAVAILABLE"
        | "serviceUnavailableException"
        | "modelNotReadyException" => Overloaded,
        "authentication_error"
        | "permission_error"
        | "invalid_api_key"
        | "UNAUTHENTICATED"
        | "PERMISSION_DENIED"
        | "accessDeniedException" => Unauthorized,
        "not_found_error"
        | "model_not_found"
        | "invalid_model"
        | "NOT_FOUND"
        | "DeploymentNotFound"
        | "resourceNotFoundException" => NotFound,
        "server_error"
        | "api_error"
        | "internal_error"
        | "internal_server_error"
        | "timeout_error"
        | "INTERNAL"
        | "internalServerException"
        | "modelStreamErrorException"
        | "modelTimeoutException"
        | "modelErrorException" => ServerError,
        "invalid_request_error"
        | "invalid_prompt"
        | "request_too_large"
        | "INVALID_ARGUMENT"
        | "validationException" => Invalid,
        _ => return None,
    })
}

fn is_too_long(text: &str) -> bool {
    const SIGNS: [&str; 14] = [
        "context_length_exceeded",
        "exceed_context_size",
        "too_many_prompt_tokens",
        "maximum context length",
        "maximum context size",
        "context window",
        "context size",
        "prompt is too long",
        "input is too long",
        "too many input tokens",
        "input tokens exceed",
        "exceeds the maximum number of tokens",
        "number of input tokens exceeds",
        "messages is too long",
    ];
    let text = text.to_ascii_lowercase();
    SIGNS.iter().any(|sign| text.contains(sign))
}

fn is_about_key(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("api key") && ["incorrect", "invalid", "not valid", "missing"].iter().any(|w| message.contains(w))
}

/// Hosts that answer 400 where others answer 404.
fn is_about_model(message: &str) -> bool {
    const SIGNS: [&str; 6] = [
        "not a valid model",
        "model identifier is invalid",
        "invalid model",
        "supported models are",
        "supported api model names",
        "no such model",
    ];
    let message = message.to_ascii_lowercase();
    SIGNS.iter().any(|sign| message.contains(sign))
        || (message.contains("model") && ["does not exist", "not found"].iter().any(|sign| message.contains(sign)))
}

/// A body that is not JSON, on one line and without its tags.
fn plain_text(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(16 * MAX_MESSAGE)]);
    let mut out = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                out.push(' ');
            }
            _ if in_tag => {}
            c if c.is_whitespace() || c.is_control() || c == char::REPLACEMENT_CHARACTER => out.push(' '),
            c => out.push(c),
        }
    }
    let words: Vec<&str> = out.split(' ').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { None } else { Some(bounded(&words.join(" "), MAX_MESSAGE)) }
}

fn bounded(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// The body of an error answer, as the client's SDK understands it. Carries the public message alone.
pub fn encode_error(dialect: DialectId, error: &ClientError, request_id: &str) -> Bytes {
    match dialect {
        DialectId::Anthropic => anthropic::errors::body(error, request_id),
        DialectId::OpenAi | DialectId::Opaque => openai::errors::body(error),
    }
}

/// The event that tells a client of an error after its stream began. Must start at an event boundary (see
/// [`Tap::mid_event`](super::Tap::mid_event)); the stream ends after it.
pub fn encode_stream_error(dialect: DialectId, operation: Operation, error: &ClientError, request_id: &str) -> Bytes {
    match dialect {
        DialectId::Anthropic => anthropic::errors::event(error, request_id),
        DialectId::OpenAi | DialectId::Opaque => openai::errors::event(operation, error),
    }
}
