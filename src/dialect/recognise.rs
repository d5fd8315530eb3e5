//! Which API a request path asks for.
//!
//! Hosts mount the same APIs under many prefixes (`/v1`, `/openai/v1`, `/api/v1`, `/v1beta/openai`,
//! `/accounts/{id}/ai/v1`, `/openai/deployments/{name}`), so a path is read from its end.

use http::Method;
use smallvec::SmallVec;

use super::{ApiCall, DialectId, Operation};

/// Segments of a path that are kept apart; longer paths are no API call.
const MAX_SEGMENTS: usize = 24;

/// What API `path` (vendor prefix already taken off, no query) asks for; `None` when it belongs to no API known here,
/// a vendor's native one for example, whose paths must reach the vendor as they are.
pub fn recognise<'a>(method: &Method, path: &'a str) -> Option<ApiCall<'a>> {
    let end = path.bytes().position(|b| matches!(b, b'?' | b'#')).unwrap_or(path.len());
    let path = path.get(..end).unwrap_or_default();
    let segments = Segments::of(path)?;
    if *method == Method::POST
        && let Some(call) = generation(&segments)
    {
        return Some(call);
    }
    let first = segments.mount_end();
    let (suffix, tail) = (segments.from(first), &segments.words[first..]);
    if segments.version_at(first).is_some_and(is_native_version) {
        return None;
    }
    let (dialect, operation) = resource(method, tail)?;
    Some(ApiCall { dialect, operation, suffix, path_model: segments.path_model() })
}

/// The dialect of a client of whom the path tells nothing, by the header that an SDK never leaves out. `has` tells
/// whether the request has a header.
pub fn spoken_by(has: impl Fn(&str) -> bool) -> DialectId {
    if has("anthropic-version") { DialectId::Anthropic } else { DialectId::OpenAi }
}

/// The operations whose bodies are read.
fn generation<'a>(path: &Segments<'a>) -> Option<ApiCall<'a>> {
    let (operation, length) = match path.words.as_slice() {
        [.., "chat", "completions"] => (Operation::Chat, 2),
        [.., "messages", "count_tokens"] if path.mounts_messages(2) => (Operation::CountTokens, 2),
        [.., "messages"] if path.mounts_messages(1) => (Operation::Messages, 1),
        [.., "responses"] => (Operation::Responses, 1),
        [.., "responses", "compact"] => (Operation::Responses, 2),
        [.., "prompts", _, "completions"] => (Operation::Completions, 3),
        [.., "completions"] => (Operation::Completions, 1),
        [.., "embeddings"] if !path.words.ends_with(&["api", "embeddings"]) => (Operation::Embeddings, 1),
        _ => return None,
    };
    Some(ApiCall {
        dialect: operation.dialect(),
        operation,
        suffix: path.from(path.words.len() - length),
        path_model: path.path_model(),
    })
}

/// What the first segment after the mount says of everything else.
fn resource(method: &Method, tail: &[&str]) -> Option<(DialectId, Operation)> {
    match tail {
        ["models", ..] if matches!(*method, Method::GET | Method::HEAD) => Some((DialectId::OpenAi, Operation::Models)),
        // Models are listed and deleted; who posts to one speaks another API.
        ["models", ..] if *method == Method::POST => None,
        ["messages", ..] => Some((DialectId::Anthropic, Operation::Other)),
        ["chat", "completions", ..]
        | [
            "completions" | "responses" | "embeddings" | "models" | "files" | "uploads" | "batches" | "images"
            | "audio" | "moderations" | "fine_tuning" | "vector_stores" | "assistants" | "threads" | "conversations"
            | "containers" | "evals" | "realtime" | "videos" | "organization" | "engines" | "skills" | "rerank",
            ..,
        ] => Some((DialectId::OpenAi, Operation::Other)),
        _ => None,
    }
}

/// A path cut at its slashes, empty segments left out.
pub(super) struct Segments<'a> {
    path: &'a str,
    words: SmallVec<[&'a str; 8]>,
    /// Where each word starts in the path.
    starts: SmallVec<[usize; 8]>,
}

impl<'a> Segments<'a> {
    pub(super) fn of(path: &'a str) -> Option<Self> {
        let mut segments = Self { path, words: SmallVec::new(), starts: SmallVec::new() };
        let mut start = 0;
        // Paths are short: byte by byte beats a searcher for each segment.
        for end in path.bytes().enumerate().filter(|(_, b)| *b == b'/').map(|(at, _)| at).chain([path.len()]) {
            if let Some(word) = path.get(start..end).filter(|word| !word.is_empty()) {
                segments.words.push(word);
                segments.starts.push(start);
            }
            start = end + 1;
        }
        (!segments.words.is_empty() && segments.words.len() <= MAX_SEGMENTS).then_some(segments)
    }

    /// The segments.
    pub(super) fn words(&self) -> &[&'a str] {
        &self.words
    }

    /// The path from the segment `from` to the one before `to`, slashes between them included.
    pub(super) fn between(&self, from: usize, to: usize) -> &'a str {
        let start = self.starts.get(from).copied();
        let last = to.checked_sub(1).and_then(|last| Some(self.starts.get(last)? + self.words.get(last)?.len()));
        start.zip(last).and_then(|(start, end)| self.path.get(start..end)).unwrap_or_default()
    }

    /// The path from the slash before the segment `index` on, without a slash at its end.
    fn from(&self, index: usize) -> &'a str {
        match self.starts.get(index) {
            Some(&start) => self.path[start.saturating_sub(1)..].trim_end_matches('/'),
            None => "",
        }
    }

    /// The segment after the version or another known mount: where an API's own names begin.
    fn mount_end(&self) -> usize {
        let after = |word: &str| self.words.iter().position(|w| *w == word).map(|at| at + 2);
        if let Some(end) = after("deployments").or_else(|| after("engines")) {
            return end.min(self.words.len());
        }
        let version = self.words.iter().position(|word| is_version(word)).map(|at| at + 1);
        match version.or_else(|| (self.words.first() == Some(&"openai")).then_some(1)) {
            Some(end) if self.words.get(end) == Some(&"openai") => end + 1,
            Some(end) => end,
            None => 0,
        }
    }

    /// The version that stands right before the segment `index`.
    fn version_at(&self, index: usize) -> Option<&'a str> {
        self.words.get(index.checked_sub(1)?).copied().filter(|word| is_version(word))
    }

    /// Whether the `length` last segments are mounted where messages are: a thread's messages are something else.
    fn mounts_messages(&self, length: usize) -> bool {
        let mount = &self.words[..self.words.len() - length];
        mount.last().is_none_or(|word| is_version(word) || *word == "anthropic")
    }

    /// The model of `/deployments/{model}/..` and `/engines/{model}/..`.
    fn path_model(&self) -> Option<&'a str> {
        let at = self.words.iter().position(|word| matches!(*word, "deployments" | "engines"))?;
        if at + 2 < self.words.len() { self.words.get(at + 1).copied() } else { None }
    }
}

/// `v1`, `v4`, `v1beta`, `v1beta1`.
fn is_version(word: &str) -> bool {
    let mut bytes = word.bytes();
    bytes.next() == Some(b'v') && bytes.next().is_some_and(|b| b.is_ascii_digit()) && word.len() <= 10
}

/// Whether a version is one under which vendors serve an API of their own: `v2`, `v1beta`. Hosts that are compatible
/// write `v1`, or a later number (`v4`) where their platform counts on.
fn is_native_version(version: &str) -> bool {
    version == "v2" || version.bytes().skip(2).any(|b| b.is_ascii_alphabetic())
}
