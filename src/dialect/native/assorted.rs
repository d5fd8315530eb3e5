//! Answers in a model's own format, told by their shape: Bedrock `invoke` (Claude, Nova, Titan, Llama, Mistral,
//! Command), Cohere, rerankers, and hosts that mount an OpenAI-like answer under a path of their own.
//!
//! The usage object says whose it is by its fields. Where an answer holds none, Bedrock's own measurement counts (see
//! `measured`).

use super::super::json::{self, Members};
use super::super::openai;
use super::super::tap::Seen;
use super::super::walk::{Picks, Walker};
use super::super::{DialectId, Operation, anthropic};
use super::{cohere, converse, measured};

/// Members that are picked out; first those in which models put what they made.
const KEYS: &[&str] = &[
    "generation",
    "outputText",
    "outputs",
    "completion",
    "text",
    "value",
    "response",
    "message",
    "tool_call_delta",
    "contentBlockDelta",
    "contentBlockStart",
    "content",
    // What they say of it.
    "type",
    "usage",
    "meta",
    "model",
    "error",
    "finish_reason",
    "error_type",
    "provider",
    "service_tier",
    "prompt_token_count",
    "generation_token_count",
    "inputTextTokenCount",
    "totalOutputTextTokenCount",
    "results",
    "amazon-bedrock-invocationMetrics",
];
const MADE: &[&str] = KEYS.split_at(12).0;

pub(super) const PICKS: Picks = Picks { keys: KEYS, inside: &["response", "delta", "metadata", "result"] };

/// Whether nothing is generated, so that an answer need not count it.
pub(super) fn input_only(operation: Operation) -> bool {
    matches!(operation, Operation::Embeddings | Operation::Rerank)
}

/// Notes what an event in the words of one of the two large dialects says. Whether it is one.
pub(super) fn read_known(data: &[u8], seen: &mut Seen) -> bool {
    let Ok(mut members) = Members::open(data, 0) else { return false };
    let (mut choices, mut messages, mut metrics) = (false, false, None);
    while let Ok(Some(member)) = members.next() {
        match &*member.key() {
            b"choices" => choices = true,
            b"type" => {
                let kind = json::text(member.value).unwrap_or_default();
                messages =
                    kind.starts_with("content_block_") || (kind.starts_with("message_") && kind != "message_end");
            }
            b"amazon-bedrock-invocationMetrics" => metrics = Some(member.value),
            _ => {}
        }
    }
    if choices {
        openai::chat::read(Operation::Chat, b"", data, seen);
    } else if messages {
        anthropic::events::read(b"", data, seen);
    } else {
        return false;
    }
    if let Some(metrics) = metrics {
        seen.measured = measured::by_metrics(metrics, false);
    }
    true
}

pub(super) fn read(operation: Operation, object: &Walker, seen: &mut Seen) {
    let input_only = input_only(operation);
    if let Some(model) = object.value("model") {
        seen.note_model(model);
    }
    for key in ["provider", "service_tier"] {
        if let Some(value) = object.value(key) {
            seen.charge.note_beside(key.as_bytes(), value);
        }
    }
    note_error(object, seen);
    for key in ["meta", "usage"] {
        if let Some(usage) = object.value(key) {
            note_usage(operation, usage, seen);
        }
    }
    let count = |key| object.value(key).and_then(json::count);
    seen.halves.note(count("prompt_token_count"), count("generation_token_count"));
    let generated = object.value("results").and_then(titan).or_else(|| count("totalOutputTextTokenCount"));
    seen.halves.note(count("inputTextTokenCount"), generated);
    if let Some(metrics) = object.value("amazon-bedrock-invocationMetrics") {
        seen.measured = measured::by_metrics(metrics, input_only);
    }
    seen.content = seen.content || MADE.iter().any(|key| object.value(key).map_or_else(|| object.has(key), json::made));
    seen.ended |= matches!(object.value("type"), Some(b"\"message-end\""));
}

/// Whose usage it is, by its fields.
fn note_usage(operation: Operation, usage: &[u8], seen: &mut Seen) {
    let has = |name| json::field(usage, name).is_some();
    if has("billed_units") {
        seen.note_usage(cohere::report(usage, input_only(operation)));
    } else if has("inputTokens") || has("outputTokens") {
        seen.note_usage(converse::report(usage));
    } else if has("prompt_tokens") || has("total_tokens") {
        let rule = if input_only(operation) { Operation::Embeddings } else { Operation::Chat };
        seen.note_openai_usage(rule, usage);
    } else if has("input_tokens") || has("output_tokens") {
        seen.note_anthropic_usage(usage);
    }
}

/// An error object; or, at Cohere, a reason to finish that is one.
fn note_error(object: &Walker, seen: &mut Seen) {
    let error = object.value("error").filter(|value| json::says_something(value));
    let broke_off = object.value("finish_reason").is_some_and(|reason| reason.starts_with(b"\"ERROR"));
    if error.is_none() && !broke_off {
        return;
    }
    let (error, code) = (error.unwrap_or(b"null"), object.value("error_type").unwrap_or(b"null"));
    seen.note_error(DialectId::Opaque, &[b"{\"error\":", error, b",\"code\":", code, b"}"].concat());
}

/// The tokens of Titan's results; nothing where one of them counts none.
fn titan(results: &[u8]) -> Option<u64> {
    let mut sum = None;
    for item in json::items(results) {
        let n = json::field(&results[item], "tokenCount").and_then(json::count)?;
        sum = Some(sum.unwrap_or(0_u64).saturating_add(n));
    }
    sum
}
