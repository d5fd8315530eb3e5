//! What the stream events of chat and legacy completions say.

use super::super::json::{self, Members};
use super::super::tap::Seen;
use super::super::{DialectId, Operation};

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
    seen.content = seen.content || choices.is_some_and(|choices| json::items(choices).any(|i| is_content(&choices[i])));
    let no_choice = choices.is_some_and(|list| list.starts_with(b"[") && !json::says_something(list));
    usage.is_some() && no_choice && !failed
}

fn is_object(value: &[u8]) -> Option<&[u8]> {
    value.starts_with(b"{").then_some(value)
}

/// Whether a choice carries anything the model made.
fn is_content(choice: &[u8]) -> bool {
    let Ok(mut members) = Members::open(choice, 0) else { return false };
    while let Ok(Some(member)) = members.next() {
        let found = match &*member.key() {
            b"text" => json::says_something(member.value),
            b"delta" | b"message" => delta_says_something(member.value),
            _ => false,
        };
        if found {
            return true;
        }
    }
    false
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
