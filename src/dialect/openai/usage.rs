//! Tokens of OpenAI and compatible hosts, made disjoint.
//!
//! The documented rule: cached, written, audio and image tokens are parts of the prompt count, reasoning and audio
//! parts of the completion count. Hosts deviate, each in its own way, and `total_tokens` tells: it is the sum of
//! prompt, completion and of every part that stands beside them instead of inside. Seen so far: reasoning beside the
//! completion (xAI chat), audio beside the prompt (Mistral), reasoning in no field at all (Gemini's compatible
//! address). What fits no reading is `Inconsistent`, with its parts as reported.

use crate::chat::{Usage, UsageReport};

use super::super::Operation;
use super::super::json::{self, Members};

/// Reads a `usage` object. `Unknown` where it states no final count (null, empty, or a running count of the prompt).
pub(in super::super) fn report(operation: Operation, usage: &[u8]) -> UsageReport {
    report_telling(operation, usage, |_, _| {})
}

/// As [`report`]; `each` is told the object's members by key and value, so that it is read once for all.
pub(in super::super) fn report_telling(
    operation: Operation,
    usage: &[u8],
    mut each: impl FnMut(&[u8], &[u8]),
) -> UsageReport {
    let mut counts = Counts::default();
    if let Ok(mut members) = Members::open(usage, 0) {
        while let Ok(Some(member)) = members.next() {
            let key = member.key();
            each(&key, member.value);
            for_each_count_of(&key, member.value, |group, key, n| counts.note(plural(group), key, n));
        }
    }
    counts.settle(operation)
}

/// The counts as they stand in the object; `None` where absent or null.
#[derive(Debug, Default)]
struct Counts {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    reasoning: Option<u64>,
    cached: Option<u64>,
    cache_missed: Option<u64>,
    written: Option<u64>,
    written_1h: Option<u64>,
    audio_in: Option<u64>,
    image_in: Option<u64>,
    audio_out: Option<u64>,
    searches: u64,
    /// Two fields for the same count disagree.
    conflict: bool,
}

impl Counts {
    /// The table of field names. The same count has several names, and some hosts send more than one of them.
    fn note(&mut self, group: &[u8], key: &[u8], n: u64) {
        match (group, key) {
            (b"", b"prompt_tokens" | b"input_tokens") => self.prompt = Some(n),
            (b"", b"completion_tokens" | b"output_tokens") => self.completion = Some(n),
            (b"", b"total_tokens") => self.total = Some(n),
            (b"completion_tokens_details" | b"output_tokens_details" | b"", b"reasoning_tokens") => {
                agree(&mut self.reasoning, n, &mut self.conflict);
            }
            (b"completion_tokens_details" | b"output_tokens_details", b"audio_tokens") => self.audio_out = Some(n),
            (b"prompt_tokens_details" | b"input_tokens_details" | b"", b"cached_tokens")
            | (b"", b"prompt_cache_hit_tokens" | b"num_cached_tokens" | b"cache_read_input_tokens") => {
                agree(&mut self.cached, n, &mut self.conflict);
            }
            (b"", b"prompt_cache_miss_tokens") => self.cache_missed = Some(n),
            (
                b"prompt_tokens_details" | b"input_tokens_details",
                b"cache_write_tokens" | b"cache_creation_tokens" | b"cache_creation_input_tokens",
            )
            | (b"", b"cache_creation_input_tokens") => agree(&mut self.written, n, &mut self.conflict),
            (b"cache_creation", b"ephemeral_1h_input_tokens") => self.written_1h = Some(n),
            (b"prompt_tokens_details" | b"input_tokens_details", b"audio_tokens") => self.audio_in = Some(n),
            (b"prompt_tokens_details" | b"input_tokens_details", b"image_tokens") => self.image_in = Some(n),
            (b"server_tool_use" | b"server_tool_use_details", b"web_search_requests") => self.searches = n,
            (b"server_side_tool_usage_details", b"web_search_calls") => self.searches = n,
            (b"", b"num_search_queries") => self.searches = n,
            _ => {}
        }
    }

    fn settle(&self, operation: Operation) -> UsageReport {
        let Some((prompt, completion)) = self.ends(operation) else { return UsageReport::Unknown };
        let reading = self.reading(operation, prompt, completion);
        let inside = |part: Option<u64>, beside: bool| if beside { 0 } else { part.unwrap_or(0) };
        let Reading { reasoning_beside, audio_beside, cache_beside, hidden } = reading.unwrap_or_default();
        let within_prompt = inside(self.audio_in, audio_beside)
            .saturating_add(inside(self.cached, cache_beside))
            .saturating_add(inside(self.written, cache_beside))
            .saturating_add(self.image_in.unwrap_or(0));
        let within_completion = inside(self.reasoning, reasoning_beside).saturating_add(self.audio_out.unwrap_or(0));
        let written = self.written.unwrap_or(0);
        let written_1h = self.written_1h.unwrap_or(0);
        let usage = Usage {
            input: prompt.checked_sub(within_prompt).unwrap_or(prompt),
            cache_read: self.cached.unwrap_or(0),
            cache_write_5m: written.saturating_sub(written_1h),
            cache_write_1h: written_1h,
            output: completion.checked_sub(within_completion).unwrap_or(completion),
            reasoning: self.reasoning.unwrap_or(0).saturating_add(hidden),
            audio_input: self.audio_in.unwrap_or(0),
            audio_output: self.audio_out.unwrap_or(0),
            image_input: self.image_in.unwrap_or(0),
            web_searches: self.searches,
        };
        let halves = self.cached.zip(self.cache_missed);
        let adds_up = reading.is_some()
            && !self.conflict
            && within_prompt <= prompt
            && within_completion <= completion
            && written_1h <= written
            && halves.is_none_or(|(hit, missed)| hit.checked_add(missed) == Some(prompt));
        if adds_up { UsageReport::Reported(usage) } else { UsageReport::Inconsistent(usage) }
    }

    /// Prompt and completion; one that is missing follows from the total. `None`: not a final count.
    fn ends(&self, operation: Operation) -> Option<(u64, u64)> {
        if operation == Operation::Embeddings {
            let completion = self.completion.unwrap_or(0);
            return Some((self.prompt.or(self.total)?, completion));
        }
        match (self.prompt, self.completion, self.total) {
            (Some(prompt), Some(completion), _) => Some((prompt, completion)),
            (Some(prompt), None, Some(total)) => Some((prompt, total.checked_sub(prompt)?)),
            (None, Some(completion), Some(total)) => Some((total.checked_sub(completion)?, completion)),
            _ => None,
        }
    }

    /// Which parts stand beside prompt and completion, as the total has it. Without a total the documented rule holds.
    fn reading(&self, operation: Operation, prompt: u64, completion: u64) -> Option<Reading> {
        let Some(total) = self.total else { return Some(Reading::default()) };
        let missing = total.checked_sub(prompt.checked_add(completion)?)?;
        if missing == 0 {
            return Some(Reading::default());
        }
        let reasoning = self.reasoning.unwrap_or(0);
        let audio = self.audio_in.unwrap_or(0);
        let cache = self.cached.unwrap_or(0).saturating_add(self.written.unwrap_or(0));
        let sum = |r: bool, a: bool, c: bool| {
            let parts = [(r, reasoning), (a, audio), (c, cache)];
            parts.iter().filter(|(beside, _)| *beside).fold(0u64, |sum, (_, n)| sum.saturating_add(*n))
        };
        // Readings seen on real hosts first; a cache count beside the prompt only where nothing else fits.
        const READINGS: [(bool, bool, bool); 7] = [
            (true, false, false),
            (false, true, false),
            (true, true, false),
            (false, false, true),
            (true, false, true),
            (false, true, true),
            (true, true, true),
        ];
        if let Some((r, a, c)) = READINGS.into_iter().find(|(r, a, c)| sum(*r, *a, *c) == missing) {
            let ambiguous = reasoning == audio && r != a;
            let reading = Reading { reasoning_beside: r, audio_beside: a, cache_beside: c, hidden: 0 };
            return (!ambiguous).then_some(reading);
        }
        let may_hide = operation == Operation::Chat && self.reasoning.is_none();
        may_hide.then_some(Reading { hidden: missing, ..Reading::default() })
    }
}

/// Some hosts write the groups of details in the singular.
fn plural(group: &[u8]) -> &[u8] {
    match group {
        b"prompt_token_details" => b"prompt_tokens_details",
        b"input_token_details" => b"input_tokens_details",
        b"completion_token_details" => b"completion_tokens_details",
        b"output_token_details" => b"output_tokens_details",
        group => group,
    }
}

/// Which parts a host counts beside prompt and completion.
#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    reasoning_beside: bool,
    audio_beside: bool,
    cache_beside: bool,
    /// Reasoning tokens that stand in no field.
    hidden: u64,
}

/// Notes a count that several fields may state. Zero is no contradiction: hosts fill fields that they do not use.
fn agree(slot: &mut Option<u64>, n: u64, conflict: &mut bool) {
    match *slot {
        Some(before) if before != 0 && n != 0 && before != n => *conflict = true,
        Some(before) if n == 0 => *slot = Some(before),
        _ => *slot = Some(n),
    }
}

/// Calls `note` with (group, key, count) for every count in `usage` and in the objects one level below it.
pub(in super::super) fn for_each_count(usage: &[u8], mut note: impl FnMut(&[u8], &[u8], u64)) {
    let Ok(mut members) = Members::open(usage, 0) else { return };
    while let Ok(Some(member)) = members.next() {
        for_each_count_of(&member.key(), member.value, &mut note);
    }
}

fn for_each_count_of(key: &[u8], value: &[u8], mut note: impl FnMut(&[u8], &[u8], u64)) {
    if let Some(n) = json::count(value) {
        note(b"", key, n);
    } else if let Ok(mut inner) = Members::open(value, 0) {
        while let Ok(Some(detail)) = inner.next() {
            if let Some(n) = json::count(detail.value) {
                note(key, &detail.key(), n);
            }
        }
    }
}
