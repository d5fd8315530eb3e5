//! What the stream events of chat and legacy completions say.

use super::super::json::{self, Members};
use super::super::tap::Seen;
use super::super::{DialectId, Operation};

/// Stands for an error of which the stream says only that it happened.
const NAMELESS: &[u8] = br#"{"message":"the provider ended its answer with an error that it did not name"}"#;

/// Notes what one event says. Whether it is the chunk that reports usage and nothing else.
pub(in super::super) fn read(operation: Operation, name: &[u8], data: &[u8], seen: &mut Seen) -> bool {
    if data.trim_ascii_start().starts_with(b"[DONE]") {
        seen.ended = true;
        return false;
    }
    if name == b"error" {
        seen.note_error(DialectId::OpenAi, data);
        return false;
    }
    let Ok(mut members) = Members::open(data, 0) else { return false };
    let (mut usage, mut beside, mut choices, mut failed) = (None, None, None, false);
    while let Ok(Some(member)) = members.next() {
        match &*member.key() {
            b"usage" => usage = is_object(member.value),
            // Groq reports here, and not always in `usage` too.
            b"x_groq" => beside = json::field(member.value, "usage").and_then(is_object),
            b"choices" => choices = Some(member.value),
            b"model" => seen.note_model(member.value),
            b"error" => failed |= json::says_something(member.value),
            _ => {}
        }
    }
    if failed {
        seen.note_error(DialectId::OpenAi, data);
    }
    if let Some(usage) = usage.or(beside) {
        seen.note_openai_usage(operation, usage);
    }
    if let Some(choices) = choices {
        for choice in json::items(choices) {
            read_choice(&choices[choice], seen);
        }
    }
    let no_choice = choices.is_some_and(|list| list.starts_with(b"[") && !json::says_something(list));
    usage.is_some() && no_choice && !failed
}

fn is_object(value: &[u8]) -> Option<&[u8]> {
    value.starts_with(b"{").then_some(value)
}

/// Notes whether a choice carries anything the model made, or the error that ended it (a router's provider that broke
/// off inside a stream).
fn read_choice(choice: &[u8], seen: &mut Seen) {
    let Ok(mut members) = Members::open(choice, 0) else { return };
    let (mut broke_off, mut error) = (false, None);
    while let Ok(Some(member)) = members.next() {
        match &*member.key() {
            b"text" => seen.content |= json::says_something(member.value),
            b"delta" | b"message" if !seen.content => seen.content = delta_says_something(member.value),
            b"finish_reason" => broke_off = member.value == b"\"error\"",
            b"error" => error = is_object(member.value),
            _ => {}
        }
    }
    match error {
        Some(error) => seen.note_error(DialectId::OpenAi, error),
        None if broke_off => seen.note_error(DialectId::OpenAi, NAMELESS),
        None => {}
    }
}

/// The fields in which hosts put what the model made; `role`, `name` and their like are none of it.
fn delta_says_something(delta: &[u8]) -> bool {
    let Ok(mut members) = Members::open(delta, 0) else { return false };
    while let Ok(Some(member)) = members.next() {
        let made = matches!(
            &*member.key(),
            b"content"
                | b"reasoning_content"
                | b"reasoning"
                | b"reasoning_text"
                | b"reasoning_details"
                | b"thinking"
                | b"thinking_blocks"
                | b"tool_calls"
                | b"function_call"
                | b"refusal"
                | b"audio"
                | b"images"
                | b"executed_tools"
        );
        if made && json::says_something(member.value) {
            return true;
        }
    }
    false
}
