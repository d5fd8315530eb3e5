//! The few facts of a request that routing needs, found in one pass over the body.
//!
//! No tree is built, and nothing is allocated but the model's name. Where a key is repeated the last one counts, as
//! in the JSON parsers of the providers. Starts at [`scan`]; what changes a request is in `patch`.

use std::ops::Range;

use smallvec::SmallVec;

use super::json::{self, JsonError, JsonProblem, MAX_DEPTH, Members};
use super::{Operation, conversation_prefix};

/// A body that is no JSON object, or is broken where it was looked at. The client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request body is not valid JSON: {problem} at byte {offset}")]
pub struct ScanError {
    /// Where, in bytes from the start of the body.
    pub offset: usize,
    /// What is wrong there.
    pub problem: ScanProblem,
}

/// What is wrong with a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanProblem {
    /// The body is JSON of another kind, or no JSON at all.
    #[error("expected an object")]
    NotAnObject,
    /// The body ends inside a value.
    #[error("the body ends too early")]
    Truncated,
    /// A character that cannot stand there.
    #[error("unexpected character")]
    Unexpected,
    /// A bracket closes another kind of bracket.
    #[error("closing bracket of the wrong kind")]
    Mismatched,
    /// Nested deeper than 128 levels.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Something follows the object.
    #[error("unexpected character after the object")]
    Trailing,
    /// The model is a number, list or object.
    #[error("`model` is not a string")]
    ModelNotText,
    /// The model's name is not valid UTF-8 or has a broken escape.
    #[error("`model` is not valid text")]
    ModelBroken,
}

impl From<JsonError> for ScanError {
    fn from(error: JsonError) -> Self {
        let problem = match error.problem {
            JsonProblem::NotAnObject => ScanProblem::NotAnObject,
            JsonProblem::Truncated => ScanProblem::Truncated,
            JsonProblem::Unexpected => ScanProblem::Unexpected,
            JsonProblem::Mismatched => ScanProblem::Mismatched,
            JsonProblem::TooDeep => ScanProblem::TooDeep,
            JsonProblem::Trailing => ScanProblem::Trailing,
        };
        Self { offset: error.offset, problem }
    }
}

/// The few facts of a request, and where they stand in its body.
#[derive(Debug, Clone)]
pub struct RequestFacts {
    pub(super) operation: Operation,
    pub(super) model: Option<Box<str>>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    /// After the opening bracket of the body.
    pub(super) inside: usize,
    /// Whether the body has any member.
    pub(super) is_empty: bool,
    /// The values of `model`, more than one where it is repeated.
    pub(super) models: SmallVec<[Range<usize>; 1]>,
    pub(super) stream_options: Option<StreamOptions>,
}

/// Where `stream_options` and its `include_usage` stand.
#[derive(Debug, Clone)]
pub(super) struct StreamOptions {
    /// The whole value.
    pub(super) value: Range<usize>,
    /// Whether it is an object; if not, it is replaced.
    pub(super) is_object: bool,
    /// Whether the object has any member.
    pub(super) is_empty: bool,
    /// The value of `include_usage`.
    pub(super) include_usage: Option<Range<usize>>,
}

impl RequestFacts {
    /// The model asked for, escapes undone. `None` where it is absent or null.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whether the client asked for a stream.
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// Whether the client itself asked for usage in its stream (`stream_options.include_usage`).
    pub fn asks_usage(&self) -> bool {
        self.include_usage
    }

    /// Bytes of `body` up to the end of the first user message; see [`conversation_prefix`].
    pub fn conversation_prefix(&self, body: &[u8]) -> usize {
        conversation_prefix(body)
    }
}

/// Finds the facts in `body`, which must be a JSON object.
pub fn scan(operation: Operation, body: &[u8]) -> Result<RequestFacts, ScanError> {
    let mut members = Members::open(body, 0)?;
    let mut facts = RequestFacts {
        operation,
        model: None,
        stream: false,
        include_usage: false,
        inside: json::skip_space(body, 0) + 1,
        is_empty: true,
        models: SmallVec::new(),
        stream_options: None,
    };
    while let Some(member) = members.next()? {
        facts.is_empty = false;
        match &*member.key() {
            b"model" => facts.models.push(member.span),
            b"stream" => facts.stream = member.value == b"true",
            b"stream_options" => facts.stream_options = Some(stream_options(body, member.span)?),
            _ => {}
        }
    }
    json::nothing_follows(body, members.end())?;
    if let Some(span) = facts.models.last() {
        facts.model = model(body, span)?;
    }
    if let Some(options) = &facts.stream_options {
        facts.include_usage = options.include_usage.as_ref().is_some_and(|span| &body[span.clone()] == b"true");
    }
    Ok(facts)
}

fn model(body: &[u8], span: &Range<usize>) -> Result<Option<Box<str>>, ScanError> {
    let value = &body[span.clone()];
    match value.first() {
        Some(b'n') => Ok(None),
        Some(b'"') => match json::text(value) {
            Some(text) => Ok(Some(text.into())),
            None => Err(ScanError { offset: span.start, problem: ScanProblem::ModelBroken }),
        },
        _ => Err(ScanError { offset: span.start, problem: ScanProblem::ModelNotText }),
    }
}

fn stream_options(body: &[u8], value: Range<usize>) -> Result<StreamOptions, ScanError> {
    let is_object = body[value.start] == b'{';
    let mut options = StreamOptions { value, is_object, is_empty: true, include_usage: None };
    if is_object {
        let mut members = Members::open(body, options.value.start)?;
        while let Some(member) = members.next()? {
            options.is_empty = false;
            if &*member.key() == b"include_usage" {
                options.include_usage = Some(member.span);
            }
        }
    }
    Ok(options)
}
