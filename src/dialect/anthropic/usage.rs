//! Tokens of Anthropic Messages.
//!
//! `input_tokens` leaves out what the cache read and wrote; `output_tokens` includes thinking. A stream reports
//! several times: the last value of each field counts, never the sum. `cache_creation` splits the writes by life and
//! is often missing from a stream's last report. Where a conversation was compacted, the steps of `iterations` with
//! type `compaction` are charged but are in none of the other fields, so they are added.

use crate::chat::{Usage, UsageReport};

use super::super::json::{self, Members};
use super::super::openai::usage::for_each_count;

/// What the reports of one call said so far.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Counts {
    step: Step,
    searches: u64,
    compactions: Step,
    seen: bool,
}

/// Counts of one sampling step.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    input: u64,
    cache_read: u64,
    /// `None` where no report states it: then the split is all there is.
    written: Option<u64>,
    written_5m: u64,
    written_1h: u64,
    output: u64,
    thinking: u64,
}

impl Counts {
    /// Takes over the fields of one `usage` object.
    pub(in super::super) fn absorb(&mut self, usage: &[u8]) {
        let (step, searches, seen) = (&mut self.step, &mut self.searches, &mut self.seen);
        let mut split = false;
        for_each_count(usage, |group, key, n| {
            *seen |= step.note(group, key, n);
            split |= group == b"cache_creation";
            if (group, key) == (b"server_tool_use", b"web_search_requests") {
                *searches = n;
            }
        });
        if !split {
            step.forget_stale_split();
        }
        if let Some(iterations) = json::field(usage, "iterations") {
            self.compactions = compactions(iterations);
        }
    }

    /// The tokens so far; `Unknown` before any report.
    pub(in super::super) fn report(&self) -> UsageReport {
        if !self.seen {
            return UsageReport::Unknown;
        }
        let (usage, fits) = self.step.settle();
        let (compaction, compaction_fits) = self.compactions.settle();
        let sum = Usage {
            input: usage.input.saturating_add(compaction.input),
            cache_read: usage.cache_read.saturating_add(compaction.cache_read),
            cache_write_5m: usage.cache_write_5m.saturating_add(compaction.cache_write_5m),
            cache_write_1h: usage.cache_write_1h.saturating_add(compaction.cache_write_1h),
            output: usage.output.saturating_add(compaction.output),
            reasoning: usage.reasoning.saturating_add(compaction.reasoning),
            web_searches: self.searches,
            ..Usage::default()
        };
        if fits && compaction_fits { UsageReport::Reported(sum) } else { UsageReport::Inconsistent(sum) }
    }
}

impl Step {
    /// Takes over one field; whether it is a token count at all.
    fn note(&mut self, group: &[u8], key: &[u8], n: u64) -> bool {
        let slot = match (group, key) {
            (b"", b"input_tokens") => &mut self.input,
            (b"", b"cache_read_input_tokens") => &mut self.cache_read,
            (b"", b"cache_creation_input_tokens") => self.written.insert(n),
            (b"cache_creation", b"ephemeral_5m_input_tokens") => &mut self.written_5m,
            (b"cache_creation", b"ephemeral_1h_input_tokens") => &mut self.written_1h,
            (b"", b"output_tokens") => &mut self.output,
            (b"output_tokens_details", b"thinking_tokens") => &mut self.thinking,
            _ => return false,
        };
        *slot = n;
        true
    }

    fn split(&self) -> u64 {
        self.written_5m.saturating_add(self.written_1h)
    }

    /// An earlier report's split that is more than the writes of a later one belongs to other tokens.
    fn forget_stale_split(&mut self) {
        if self.written.is_some_and(|written| written < self.split()) {
            (self.written_5m, self.written_1h) = (0, 0);
        }
    }

    /// The classes, and whether the parts fit their wholes.
    fn settle(&self) -> (Usage, bool) {
        let split = self.split();
        // The last report may count more writes than the last split: what no split places has no stated life.
        let written = self.written.unwrap_or(split);
        let usage = Usage {
            input: self.input,
            cache_read: self.cache_read,
            cache_write_5m: written.max(split) - self.written_1h,
            cache_write_1h: self.written_1h,
            output: self.output.checked_sub(self.thinking).unwrap_or(self.output),
            reasoning: self.thinking,
            ..Usage::default()
        };
        (usage, split <= written && self.thinking <= self.output)
    }

    fn add(&mut self, other: &Self) {
        self.input = self.input.saturating_add(other.input);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.written = Some(self.written.unwrap_or(0).saturating_add(other.written.unwrap_or(other.split())));
        self.written_5m = self.written_5m.saturating_add(other.written_5m);
        self.written_1h = self.written_1h.saturating_add(other.written_1h);
        self.output = self.output.saturating_add(other.output);
        self.thinking = self.thinking.saturating_add(other.thinking);
    }
}

/// The sum of the compaction steps.
fn compactions(iterations: &[u8]) -> Step {
    let mut sum = Step::default();
    for item in json::items(iterations) {
        let item = &iterations[item];
        if !is_compaction(item) {
            continue;
        }
        let mut step = Step::default();
        for_each_count(item, |group, key, n| {
            step.note(group, key, n);
        });
        sum.add(&step);
    }
    sum
}

fn is_compaction(item: &[u8]) -> bool {
    let Ok(mut members) = Members::open(item, 0) else { return false };
    while let Ok(Some(member)) = members.next() {
        if &*member.key() == b"type" {
            return member.value == b"\"compaction\"";
        }
    }
    false
}
