//! Which of the vendors' own APIs a path asks for. Read from its end, as hosts mount them under many prefixes.

use http::Method;

use super::super::recognise::Segments;
use super::super::{DialectId, Operation};
use super::{Family, NativeCall, Voice};

/// What API of a vendor's own `path` (no provider prefix, no query) asks for, where its answers tell of usage;
/// `None` for all others: files, audio, whatever else is passed through unread.
pub fn native<'a>(method: &Method, path: &'a str) -> Option<NativeCall<'a>> {
    if *method != Method::POST {
        return None;
    }
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let segments = Segments::of(path)?;
    let words = segments.words();
    if let Some((model, action)) = words.last().and_then(|last| last.rsplit_once(':')) {
        return with_action(words, model, action);
    }
    bedrock(&segments).or_else(|| cloudflare(&segments)).or_else(|| plain(words))
}

impl<'a> NativeCall<'a> {
    fn new(operation: Operation, family: Family) -> Self {
        Self { operation, streams: false, model: None, voice: Voice::Own(family) }
    }

    fn of(self, model: &'a str) -> Self {
        Self { model: (!model.is_empty()).then_some(model), ..self }
    }

    fn streaming(self, streams: bool) -> Self {
        Self { streams, ..self }
    }

    fn spoken(self, voice: Voice) -> Self {
        Self { voice, ..self }
    }
}

/// `.../models/{model}:{action}`, Google's way.
fn with_action<'a>(words: &[&'a str], model: &'a str, action: &str) -> Option<NativeCall<'a>> {
    let mount = words.len().checked_sub(2).and_then(|at| words.get(at).copied());
    if action == "complete" && model == "inference" {
        return Some(NativeCall::new(Operation::Chat, Family::Assorted));
    }
    if !matches!(mount, Some("models" | "tunedModels" | "endpoints")) {
        return None;
    }
    let publisher = words.iter().position(|word| *word == "publishers").and_then(|at| words.get(at + 1).copied());
    Some(
        match action {
            "generateContent" => NativeCall::new(Operation::Chat, Family::Gemini),
            "streamGenerateContent" => NativeCall::new(Operation::Chat, Family::Gemini).streaming(true),
            "embedContent" | "batchEmbedContents" => NativeCall::new(Operation::Embeddings, Family::Gemini),
            "countTokens" => NativeCall::new(Operation::CountTokens, Family::Gemini).spoken(Voice::Unread),
            "predict" if is_embedding(model) => NativeCall::new(Operation::Embeddings, Family::Predict),
            "predict" => NativeCall::new(Operation::Other, Family::Predict).spoken(Voice::Unread),
            "rawPredict" | "streamRawPredict" => return Some(raw(publisher, model, action == "streamRawPredict")),
            _ => return None,
        }
        .of(model),
    )
}

/// Other vendors' models on Vertex answer as they do at home.
fn raw<'a>(publisher: Option<&str>, model: &'a str, streams: bool) -> NativeCall<'a> {
    let call = match publisher {
        Some("anthropic") if model.starts_with("count-tokens") => {
            return NativeCall::new(Operation::CountTokens, Family::Assorted).spoken(Voice::Unread);
        }
        Some("anthropic") => NativeCall::new(Operation::Messages, Family::Assorted)
            .spoken(Voice::Known(DialectId::Anthropic, Operation::Messages)),
        _ => NativeCall::new(Operation::Chat, Family::Assorted),
    };
    call.of(model).streaming(streams)
}

/// `/model/{model}/{action}`; a model may be an ARN with slashes in it.
fn bedrock<'a>(path: &Segments<'a>) -> Option<NativeCall<'a>> {
    let words = path.words();
    let mount = words.iter().position(|word| *word == "model")?;
    let last = words.len() - 1;
    if last < mount + 2 {
        return None;
    }
    let model = path.between(mount + 1, last);
    let operation = if is_embedding(model) {
        Operation::Embeddings
    } else if model.contains("rerank") {
        Operation::Rerank
    } else {
        Operation::Chat
    };
    Some(
        match words.get(last).copied()? {
            "converse" => NativeCall::new(Operation::Chat, Family::Converse),
            "converse-stream" => NativeCall::new(Operation::Chat, Family::Converse).streaming(true),
            "invoke" => NativeCall::new(operation, Family::Assorted),
            "invoke-with-response-stream" => NativeCall::new(operation, Family::Assorted).streaming(true),
            "count-tokens" => NativeCall::new(Operation::CountTokens, Family::Converse).spoken(Voice::Unread),
            _ => return None,
        }
        .of(model),
    )
}

/// `/ai/run/{model}`; models have slashes in their names.
fn cloudflare<'a>(path: &Segments<'a>) -> Option<NativeCall<'a>> {
    let words = path.words();
    let at = words.windows(2).position(|pair| pair == ["ai", "run"])? + 2;
    let model = path.between(at, words.len());
    let operation =
        if is_embedding(model) || model.contains("/bge-") { Operation::Embeddings } else { Operation::Chat };
    (!model.is_empty()).then(|| NativeCall::new(operation, Family::Assorted).of(model))
}

/// Paths without a model in them, and models between plain words.
fn plain<'a>(words: &[&'a str]) -> Option<NativeCall<'a>> {
    let (operation, family) = match words {
        [.., "api", "chat"] => (Operation::Chat, Family::Ollama),
        [.., "api", "generate"] => (Operation::Completions, Family::Ollama),
        [.., "api", "embed" | "embeddings"] => (Operation::Embeddings, Family::Ollama),
        [.., "v1" | "v2", "chat"] => (Operation::Chat, Family::Assorted),
        [.., "v1" | "v2", "embed"] => (Operation::Embeddings, Family::Assorted),
        [.., "v1", "generate" | "summarize" | "complete"] => (Operation::Completions, Family::Assorted),
        [.., "rerank"] => (Operation::Rerank, Family::Assorted),
        [.., version, "interactions"] if version.starts_with('v') => (Operation::Chat, Family::Interactions),
        [.., "responses", "input_tokens"] => {
            return Some(NativeCall::new(Operation::CountTokens, Family::Assorted).spoken(Voice::Unread));
        }
        [.., "serving-endpoints", model, "invocations"] => {
            return Some(NativeCall::new(Operation::Chat, Family::Assorted).of(model));
        }
        // Operations without a name of their own, whose answers tell of tokens all the same.
        [.., "images", "generations" | "edits"]
        | [.., "audio", "transcriptions" | "translations"]
        | [.., "conversations"]
        | [.., "conversations", _] => (Operation::Other, Family::Assorted),
        _ => return None,
    };
    Some(NativeCall::new(operation, family))
}

/// Vendors name their embedding models so.
fn is_embedding(model: &str) -> bool {
    model.contains("embed") || model.contains("gecko")
}
