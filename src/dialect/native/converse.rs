//! Bedrock Converse, and the answers of Amazon's own models, which count alike.
//!
//! `inputTokens` leaves out what the cache read and wrote; `totalTokens` is the sum of all four. `cacheDetails` splits
//! the writes by life. Reasoning is part of the output and not told apart.

use super::super::json::{self, Members};
use super::super::tap::Seen;
use super::super::walk::{Picks, Walker};
use crate::chat::{ServiceTier, Usage, UsageReport};

pub(super) const PICKS: Picks = Picks {
    keys: &["usage", "delta", "start", "serviceTier", "performanceConfig", "trace", "stopReason", "output"],
    inside: &[],
};

pub(super) fn read(name: &[u8], object: &Walker, seen: &mut Seen) {
    if let Some(usage) = object.value("usage") {
        seen.note_usage(report(usage));
    }
    for key in ["delta", "start"] {
        seen.content |= object.value(key).map_or_else(|| object.has(key), json::made);
    }
    if let Some(tier) = object.value("serviceTier").and_then(|tier| json::field(tier, "type")).and_then(json::text) {
        seen.charge.tier = ServiceTier::parse(&tier);
    }
    // Latency-optimised inference has prices of its own.
    let latency = object.value("performanceConfig").and_then(|config| json::field(config, "latency"));
    if latency == Some(b"\"optimized\"") {
        seen.charge.tier = ServiceTier::Other;
    }
    let routed = object.value("trace").and_then(|trace| json::field(trace, "promptRouter"));
    if let Some(model) = routed.and_then(|router| json::field(router, "invokedModelId")) {
        seen.note_model(model);
    }
    seen.ended |= name == b"metadata";
}

/// Reads a usage object; `Unknown` where it states a part of the counts only.
pub(super) fn report(usage: &[u8]) -> UsageReport {
    let (mut input, mut output, mut total) = (None, None, None);
    let (mut read, mut written, mut written_1h) = (0, 0, 0);
    let Ok(mut members) = Members::open(usage, 0) else { return UsageReport::Unknown };
    while let Ok(Some(member)) = members.next() {
        let n = json::count(member.value);
        match &*member.key() {
            b"inputTokens" => input = n,
            b"outputTokens" => output = n,
            b"totalTokens" => total = n,
            // The same count under two names.
            b"cacheReadInputTokens" | b"cacheReadInputTokenCount" => read = n.unwrap_or(0).max(read),
            b"cacheWriteInputTokens" | b"cacheWriteInputTokenCount" => written = n.unwrap_or(0).max(written),
            b"cacheDetails" => written_1h = lives_an_hour(member.value),
            _ => {}
        }
    }
    let Some((input, output)) = input.zip(output) else { return UsageReport::Unknown };
    let usage = Usage {
        input,
        cache_read: read,
        cache_write_5m: written.saturating_sub(written_1h),
        cache_write_1h: written_1h,
        output,
        ..Usage::default()
    };
    let sum = [output, read, written].iter().try_fold(input, |sum, n| sum.checked_add(*n));
    let adds_up = written_1h <= written && total.is_none_or(|total| sum == Some(total));
    if adds_up { UsageReport::Reported(usage) } else { UsageReport::Inconsistent(usage) }
}

fn lives_an_hour(details: &[u8]) -> u64 {
    let items = json::items(details).map(|item| &details[item]);
    let hours = items.filter(|item| json::field(item, "ttl") == Some(b"\"1h\""));
    hours.filter_map(|item| json::count(json::field(item, "inputTokens")?)).fold(0, u64::saturating_add)
}
