//! What the stream events of Anthropic Messages say.

use super::super::DialectId;
use super::super::json::{self, Members};
use super::super::router::MEMBER;
use super::super::tap::Seen;

/// Notes what one event says.
pub(in super::super) fn read(name: &[u8], data: &[u8], seen: &mut Seen) {
    let Ok(mut members) = Members::open(data, 0) else { return };
    let (mut kind, mut failed, mut says) = (None, false, false);
    while let Ok(Some(member)) = members.next() {
        match &*member.key() {
            b"type" => kind = json::text(member.value),
            b"message" => read_message(member.value, seen),
            b"usage" if member.value.starts_with(b"{") => seen.note_anthropic_usage(member.value),
            b"error" => failed |= json::says_something(member.value),
            b"delta" => says |= seen.content || delta_says_something(member.value),
            b"content_block" => says |= seen.content || block_says_something(member.value),
            key if *key == *MEMBER.as_bytes() => seen.charge.note_beside(key, member.value),
            _ => {}
        }
    }
    let kind = kind.unwrap_or_else(|| String::from_utf8_lossy(name));
    if failed || kind == "error" || name == b"error" {
        seen.note_error(DialectId::Anthropic, data);
    }
    match &*kind {
        "message_stop" => seen.ended = true,
        "content_block_delta" | "content_block_start" => seen.content |= says,
        _ => {}
    }
}

fn read_message(message: &[u8], seen: &mut Seen) {
    let Ok(mut members) = Members::open(message, 0) else { return };
    while let Ok(Some(member)) = members.next() {
        match &*member.key() {
            b"model" => seen.note_model(member.value),
            b"usage" if member.value.starts_with(b"{") => seen.note_anthropic_usage(member.value),
            // Of a router.
            b"provider" => seen.charge.note_beside(b"provider", member.value),
            _ => {}
        }
    }
}

/// Any part of a tool's input is content, even the empty one that opens it; other deltas when they are not empty.
fn delta_says_something(delta: &[u8]) -> bool {
    let Ok(mut members) = Members::open(delta, 0) else { return false };
    while let Ok(Some(member)) = members.next() {
        let says = match &*member.key() {
            b"type" => member.value == b"\"input_json_delta\"",
            _ => json::says_something(member.value),
        };
        if says {
            return true;
        }
    }
    false
}

/// A block that starts: text and thinking start empty, tool calls and results of server tools are content at once.
fn block_says_something(block: &[u8]) -> bool {
    match json::field(block, "type").and_then(json::text).as_deref() {
        Some("text") => json::field(block, "text").is_some_and(json::says_something),
        Some("thinking") => json::field(block, "thinking").is_some_and(json::says_something),
        Some("compaction") => json::field(block, "content").is_some_and(json::says_something),
        Some(_) => true,
        None => false,
    }
}
