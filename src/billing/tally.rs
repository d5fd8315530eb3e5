//! The sums of any set of calls. Adding is commutative and associative, so that no order of records and no split of
//! files shows in a bill.

use std::collections::BTreeMap;

use super::record::Record;
use crate::chat::{Money, Usage};
use crate::pricing::markup;

/// Where a billed cost can be known from, in the order of [`Tally::sources`].
pub const SOURCES: [&str; 3] = ["reported", "card", "list"];

/// Most reasons that are told apart; they come from a closed set, but files may hold anything.
const MOST_REASONS: usize = 50;
const OTHER: &str = "other";

/// Counts stop here, so that their sums over all classes have room.
const MOST_TOKENS: u64 = u64::MAX >> 4;

/// The sums of a set of calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// All calls: charged, unpriced or not charged.
    pub calls: u64,
    /// Calls whose effective cost is known, zero included.
    pub charged: u64,
    /// Calls that cannot have cost anything: refused, failed, or of an operation that is free.
    pub not_charged: u64,
    /// Calls whose cost nobody knows, by reason.
    pub unpriced: BTreeMap<Box<str>, u64>,
    /// Calls whose usage is known.
    pub metered: u64,
    /// Tokens and searches by class, of the calls whose usage is known.
    pub tokens: Usage,
    /// Calls whose list cost is known.
    pub listed: u64,
    /// At list prices, of the calls that have one.
    pub list: Money,
    /// What accounts are charged for the calls that are charged.
    pub billed: Money,
    /// Billed, and fees on top.
    pub effective: Money,
    /// The calls whose list and effective cost are both known: markup is made of these.
    pub comparable: Comparable,
    /// Where the billed costs are known from: see [`SOURCES`].
    pub sources: [Source; 3],
}

/// Sums over calls whose list and effective cost are both known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Comparable {
    /// So many calls.
    pub calls: u64,
    /// At list prices.
    pub list: Money,
    /// What accounts are charged.
    pub billed: Money,
    /// Billed, and fees on top.
    pub effective: Money,
}

/// Calls and money whose billed cost is known from one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Source {
    /// So many calls.
    pub calls: u64,
    /// What accounts are charged for them.
    pub billed: Money,
}

impl Tally {
    /// Adds one call.
    pub fn add(&mut self, record: &Record<'_>) {
        self.calls += 1;
        if let Some(usage) = &record.usage {
            self.metered += 1;
            self.add_tokens(usage);
        }
        let Some(cost) = &record.cost else {
            self.not_charged += 1;
            return;
        };
        if let Some(list) = cost.list {
            self.listed += 1;
            self.list += list;
        }
        let Some(effective) = cost.effective else {
            self.add_unpriced(cost.unpriced.as_ref().map_or("no reason given", |why| why.as_str()), 1);
            return;
        };
        let billed = cost.billed.unwrap_or(effective);
        self.charged += 1;
        self.billed += billed;
        self.effective += effective;
        let word = cost.source.as_ref().map_or("", |source| source.as_str());
        if let Some(source) = SOURCES.iter().position(|known| *known == word).and_then(|at| self.sources.get_mut(at)) {
            source.calls += 1;
            source.billed += billed;
        }
        if let Some(list) = cost.list {
            self.comparable.calls += 1;
            self.comparable.list += list;
            self.comparable.billed += billed;
            self.comparable.effective += effective;
        }
    }

    /// Adds the sums of another set of calls.
    pub fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.charged += other.charged;
        self.not_charged += other.not_charged;
        for (why, count) in &other.unpriced {
            self.add_unpriced(why, *count);
        }
        self.metered += other.metered;
        self.add_tokens(&other.tokens);
        self.listed += other.listed;
        self.list += other.list;
        self.billed += other.billed;
        self.effective += other.effective;
        self.comparable.calls += other.comparable.calls;
        self.comparable.list += other.comparable.list;
        self.comparable.billed += other.comparable.billed;
        self.comparable.effective += other.comparable.effective;
        for (mine, theirs) in self.sources.iter_mut().zip(&other.sources) {
            mine.calls += theirs.calls;
            mine.billed += theirs.billed;
        }
    }

    /// Adds calls whose cost nobody knows.
    pub fn add_unpriced(&mut self, why: &str, calls: u64) {
        let known = self.unpriced.contains_key(why) || self.unpriced.len() < MOST_REASONS;
        let why = if known { why } else { OTHER };
        match self.unpriced.get_mut(why) {
            Some(count) => *count += calls,
            None => drop(self.unpriced.insert(why.into(), calls)),
        }
    }

    /// Calls whose cost nobody knows.
    pub fn unpriced_calls(&self) -> u64 {
        self.unpriced.values().sum()
    }

    /// `effective / list - 1` in millionths over the calls with both known; `None` where the list price is zero.
    pub fn markup(&self) -> Option<i64> {
        markup(self.comparable.list, self.comparable.effective)
    }

    fn add_tokens(&mut self, usage: &Usage) {
        let sum = &mut self.tokens;
        for (mine, theirs) in [
            (&mut sum.input, usage.input),
            (&mut sum.cache_read, usage.cache_read),
            (&mut sum.cache_write_5m, usage.cache_write_5m),
            (&mut sum.cache_write_1h, usage.cache_write_1h),
            (&mut sum.output, usage.output),
            (&mut sum.reasoning, usage.reasoning),
            (&mut sum.audio_input, usage.audio_input),
            (&mut sum.audio_output, usage.audio_output),
            (&mut sum.image_input, usage.image_input),
            (&mut sum.web_searches, usage.web_searches),
        ] {
            *mine = mine.saturating_add(theirs).min(MOST_TOKENS);
        }
    }
}
