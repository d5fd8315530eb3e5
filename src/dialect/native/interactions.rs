//! Google's Interactions API: the same counts as `generateContent`, under other names.
//!
//! A report stands in the body, in the interaction that an event carries, or in an event's `metadata`; the last counts.

use super::super::DialectId;
use super::super::json::{self, Members};
use super::super::tap::Seen;
use super::super::walk::{Picks, Walker};
use super::gemini::{Counts, modalities};
use crate::chat::UsageReport;

pub(super) const PICKS: Picks = Picks {
    keys: &["event_type", "usage", "model", "service_tier", "error", "delta", "step"],
    inside: &["interaction", "metadata"],
};

pub(super) fn read(object: &Walker, seen: &mut Seen) {
    if let Some(model) = object.value("model") {
        seen.note_model(model);
    }
    if let Some(tier) = object.value("service_tier") {
        seen.charge.note_beside(b"service_tier", tier);
    }
    let kind = object.value("event_type").and_then(json::text).unwrap_or_default();
    if let Some(error) = object.value("error").filter(|value| json::says_something(value)) {
        seen.note_error(DialectId::Opaque, &[b"{\"error\":", error, b"}"].concat());
    }
    if let Some(usage) = object.value("usage") {
        seen.note_usage(report(usage));
    }
    seen.content |= ["delta", "step"].iter().any(|key| object.value(key).map_or_else(|| object.has(key), json::made));
    seen.ended |= matches!(&*kind, "interaction.completed" | "interaction.complete");
}

fn report(usage: &[u8]) -> UsageReport {
    let mut counts = Counts::default();
    let Ok(mut members) = Members::open(usage, 0) else { return UsageReport::Unknown };
    while let Ok(Some(member)) = members.next() {
        let n = json::count(member.value);
        match &*member.key() {
            b"total_input_tokens" => counts.prompt = n,
            b"total_output_tokens" => counts.output = n,
            b"total_thought_tokens" | b"total_reasoning_tokens" => counts.thoughts = n.unwrap_or(0),
            b"total_tool_use_tokens" => counts.tools = n.unwrap_or(0),
            b"total_cached_tokens" => counts.cached = n.unwrap_or(0),
            b"total_tokens" => counts.total = n,
            b"input_tokens_by_modality" => counts.in_prompt = modalities(member.value, "tokens"),
            b"cached_tokens_by_modality" => counts.in_cache = modalities(member.value, "tokens"),
            b"tool_use_tokens_by_modality" => counts.in_tools = modalities(member.value, "tokens"),
            b"output_tokens_by_modality" => counts.in_output = modalities(member.value, "tokens"),
            _ => {}
        }
    }
    counts.report()
}
