//! What the stream events of the responses API say.

use super::super::json::{self, Members};
use super::super::router::MEMBER;
use super::super::tap::Seen;
use super::super::{DialectId, Operation};
use super::usage::for_each_count;

/// Notes what one event says.
pub(in super::super) fn read(name: &[u8], data: &[u8], seen: &mut Seen) {
    if data.trim_ascii_start().starts_with(b"[DONE]") {
        seen.ended = true;
        return;
    }
    let Ok(mut members) = Members::open(data, 0) else { return };
    let (mut kind, mut response, mut item, mut failed, mut says) = (None, None, None, false, false);
    while let Ok(Some(member)) = members.next() {
        match &*member.key() {
            b"type" => kind = json::text(member.value),
            b"response" => response = Some(member.value),
            b"item" if !seen.content => item = Some(member.value),
            b"error" => failed |= json::says_something(member.value),
            b"delta" | b"partial_image_b64" => says |= json::says_something(member.value),
            b"copilot_usage" => seen.charge.note_beside(b"copilot_usage", member.value),
            key if *key == *MEMBER.as_bytes() => seen.charge.note_beside(key, member.value),
            _ => {}
        }
    }
    let kind = kind.unwrap_or_else(|| String::from_utf8_lossy(name));
    if failed || kind == "error" || name == b"error" {
        seen.note_error(DialectId::OpenAi, data);
    }
    if let Some(response) = response {
        read_response(response, seen);
    }
    note_end(&kind, seen);
    seen.content = seen.content || is_content(&kind, says, item);
}

fn read_response(response: &[u8], seen: &mut Seen) {
    let Ok(mut members) = Members::open(response, 0) else { return };
    let mut tools = None;
    while let Ok(Some(member)) = members.next() {
        match &*member.key() {
            b"model" => seen.note_model(member.value),
            b"usage" if member.value.starts_with(b"{") => seen.note_openai_usage(Operation::Responses, member.value),
            b"tool_usage" => tools = Some(member.value),
            b"error" if json::says_something(member.value) => {
                seen.note_error(DialectId::OpenAi, &[b"{\"error\":", member.value, b"}"].concat());
            }
            key => seen.charge.note_beside(key, member.value),
        }
    }
    if let Some(tools) = tools {
        seen.note_searches(searches(tools));
    }
}

/// Deltas, whole items, partial images, and the start of a call: its name is the model's. What a stream only announces
/// is none.
fn is_content(kind: &str, says: bool, item: Option<&[u8]>) -> bool {
    match kind {
        "response.output_item.done" => true,
        "response.output_item.added" => item
            .and_then(|item| json::field(item, "type"))
            .and_then(json::text)
            .is_some_and(|kind| !matches!(&*kind, "message" | "reasoning")),
        _ => says && (kind.ends_with(".delta") || kind.ends_with(".partial_image")),
    }
}

/// Whether an event of this type only announces what is to come.
pub(in super::super) fn is_announcement(kind: &str) -> bool {
    matches!(kind, "response.created" | "response.in_progress" | "response.queued") || kind.ends_with(".added")
}

/// Notes the end, where `kind` marks it.
pub(in super::super) fn note_end(kind: &str, seen: &mut Seen) {
    seen.ended |= matches!(
        kind,
        "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" | "response.done"
    );
}

/// The web searches in `tool_usage`, which stands beside `usage`.
pub(in super::super) fn searches(tool_usage: &[u8]) -> u64 {
    let mut searches = 0;
    for_each_count(tool_usage, |group, key, n| {
        if (group, key) == (b"web_search", b"num_requests") {
            searches = n;
        }
    });
    searches
}
