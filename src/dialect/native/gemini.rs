//! Google's `generateContent`, `streamGenerateContent` and embeddings, at AI Studio and at Vertex.
//!
//! `promptTokenCount` includes what the cache served; `candidatesTokenCount` leaves thoughts out; what tools put into
//! the prompt stands beside it. The total is the sum. Streams repeat the report, growing: the last one counts.

use std::borrow::Cow;

use super::super::DialectId;
use super::super::json::{self, Members};
use super::super::tap::Seen;
use super::super::walk::{Picks, Walker};
use crate::chat::{ServiceTier, Usage, UsageReport};

pub(super) const PICKS: Picks = Picks { keys: &["usageMetadata", "modelVersion", "error", "candidates"], inside: &[] };

/// Tokens of one kind of prompt or answer, by what they stand for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Modalities {
    pub(super) audio: u64,
    pub(super) image: u64,
}

/// The counts as they are reported.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) prompt: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) thoughts: u64,
    pub(super) tools: u64,
    pub(super) cached: u64,
    pub(super) total: Option<u64>,
    pub(super) in_prompt: Modalities,
    pub(super) in_cache: Modalities,
    pub(super) in_tools: Modalities,
    pub(super) in_output: Modalities,
}

impl Counts {
    /// The disjoint classes. Zeros are left out of these reports, so that a count may be absent where the total shows
    /// that it is none; without prompt and total nothing was reported.
    pub(super) fn report(&self) -> UsageReport {
        let output = self.output.unwrap_or(0);
        let beside = output.saturating_add(self.thoughts).saturating_add(self.tools);
        let (prompt, adds_up) = match (self.prompt, self.total) {
            (Some(prompt), Some(total)) => (prompt, prompt.checked_add(beside) == Some(total)),
            (Some(prompt), None) => (prompt, true),
            (None, Some(total)) if self.output.is_some() => (0, beside == total),
            _ => return UsageReport::Unknown,
        };
        let apart = |of: fn(&Modalities) -> u64| {
            of(&self.in_prompt).saturating_sub(of(&self.in_cache)).saturating_add(of(&self.in_tools))
        };
        let (audio, image) = (apart(|m| m.audio), apart(|m| m.image));
        let fresh = prompt.checked_sub(self.cached);
        let plain = fresh.and_then(|fresh| fresh.checked_add(self.tools)?.checked_sub(audio)?.checked_sub(image));
        let spoken = output.checked_sub(self.in_output.audio);
        let usage = Usage {
            input: plain.unwrap_or(prompt),
            cache_read: self.cached,
            output: spoken.unwrap_or(output),
            reasoning: self.thoughts,
            audio_input: audio,
            audio_output: self.in_output.audio,
            image_input: image,
            ..Usage::default()
        };
        let fits = adds_up && plain.is_some() && spoken.is_some();
        if fits { UsageReport::Reported(usage) } else { UsageReport::Inconsistent(usage) }
    }
}

pub(super) fn read(object: &Walker, seen: &mut Seen) {
    if let Some(model) = object.value("modelVersion") {
        seen.note_model(model);
    }
    if let Some(error) = object.value("error").filter(|value| json::says_something(value)) {
        seen.note_error(DialectId::Opaque, &[b"{\"error\":", error, b"}"].concat());
    }
    match object.value("candidates") {
        Some(candidates) => read_candidates(candidates, seen),
        // Too long to be looked at.
        None => seen.content |= object.has("candidates"),
    }
    if let Some(usage) = object.value("usageMetadata") {
        seen.charge.tier = tier(usage).unwrap_or(seen.charge.tier);
        seen.note_usage(usage_metadata(usage));
    }
    seen.note_searches(seen.searches);
}

/// Reads a `usageMetadata` object.
fn usage_metadata(usage: &[u8]) -> UsageReport {
    let mut counts = Counts::default();
    let Ok(mut members) = Members::open(usage, 0) else { return UsageReport::Unknown };
    while let Ok(Some(member)) = members.next() {
        let n = json::count(member.value);
        match &*member.key() {
            b"promptTokenCount" => counts.prompt = n,
            // The second name is that of the Live API.
            b"candidatesTokenCount" | b"responseTokenCount" => counts.output = n,
            b"thoughtsTokenCount" => counts.thoughts = n.unwrap_or(0),
            b"toolUsePromptTokenCount" => counts.tools = n.unwrap_or(0),
            b"cachedContentTokenCount" => counts.cached = n.unwrap_or(0),
            b"totalTokenCount" => counts.total = n,
            // Embeddings write the first name without its s.
            b"promptTokensDetails" | b"promptTokenDetails" => counts.in_prompt = modalities(member.value, "tokenCount"),
            b"cacheTokensDetails" => counts.in_cache = modalities(member.value, "tokenCount"),
            b"toolUsePromptTokensDetails" => counts.in_tools = modalities(member.value, "tokenCount"),
            b"candidatesTokensDetails" | b"responseTokensDetails" => {
                counts.in_output = modalities(member.value, "tokenCount");
            }
            _ => {}
        }
    }
    counts.report()
}

/// Sums a list of `{"modality": .., COUNT: ..}`. Modalities are words, or numbers where the client asked for those
/// (`$alt=json;enum-encoding=int`).
pub(super) fn modalities(list: &[u8], count: &str) -> Modalities {
    let mut sums = Modalities::default();
    for item in json::items(list) {
        let item = &list[item];
        let n = json::field(item, count).and_then(json::count).unwrap_or(0);
        match json::field(item, "modality") {
            Some(b"\"AUDIO\"" | b"\"audio\"" | b"4") => sums.audio = sums.audio.saturating_add(n),
            Some(b"\"IMAGE\"" | b"\"image\"" | b"2") => sums.image = sums.image.saturating_add(n),
            _ => {}
        }
    }
    sums
}

/// `serviceTier` at AI Studio, `trafficType` at Vertex.
fn tier(usage: &[u8]) -> Option<ServiceTier> {
    if let Some(word) = json::field(usage, "serviceTier").and_then(json::text) {
        return Some(ServiceTier::parse(&word.to_ascii_lowercase()));
    }
    let traffic = json::field(usage, "trafficType")?;
    let word: Cow<'_, str> = json::text(traffic).unwrap_or_else(|| String::from_utf8_lossy(traffic));
    Some(match &*word {
        "ON_DEMAND" | "TRAFFIC_TYPE_UNSPECIFIED" | "0" | "1" => ServiceTier::Standard,
        "ON_DEMAND_PRIORITY" => ServiceTier::Priority,
        "ON_DEMAND_FLEX" => ServiceTier::Flex,
        // Throughput that was bought ahead.
        _ => ServiceTier::Other,
    })
}

/// Content, and what was searched for.
fn read_candidates(candidates: &[u8], seen: &mut Seen) {
    for candidate in json::items(candidates) {
        let candidate = &candidates[candidate];
        if !seen.content
            && let Some(parts) = json::field(candidate, "content").and_then(|content| json::field(content, "parts"))
        {
            seen.content = json::items(parts).any(|part| json::made(&parts[part]));
        }
        let queries = json::field(candidate, "groundingMetadata").and_then(|m| json::field(m, "webSearchQueries"));
        if let Some(queries) = queries {
            let asked = json::items(queries).filter(|query| json::says_something(&queries[query.clone()])).count();
            // Up to version 2.5 a grounded prompt is charged once, since 3 each query.
            let once = seen.model.as_deref().is_some_and(charges_once);
            let asked = if once { asked.min(1) } else { asked };
            seen.searches = seen.searches.max(asked as u64);
        }
    }
}

fn charges_once(model: &str) -> bool {
    let model = model.rsplit('/').next().unwrap_or(model);
    model.starts_with("gemini-1") || model.starts_with("gemini-2")
}
