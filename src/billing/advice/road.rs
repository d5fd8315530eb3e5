//! Calls sorted into roads: a provider and a model.

use std::collections::{BTreeMap, HashMap};

use super::market::Market;
use super::times::Times;
use crate::billing::moment::Moment;
use crate::billing::record::{Record, Text};
use crate::chat::Money;

/// Most roads that are kept; calls of further ones are counted and left out.
pub const MOST_ROADS: usize = 20_000;

/// Most servers behind a router, and most providers that failed before, that are told apart on one road.
const MOST_NAMES: usize = 50;

const OK: &str = "ok";

/// Sorts calls.
#[derive(Debug, Default)]
pub struct Advisor {
    pub(super) market: Market,
    pub(super) roads: HashMap<Name, Road>,
    pub(super) span: Option<(Moment, Moment)>,
    pub(super) left_out: u64,
}

/// A provider and a model as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name {
    pub(super) provider: Box<str>,
    pub(super) model: Box<str>,
}

/// The calls of one road.
#[derive(Debug, Clone, Default)]
pub(super) struct Road {
    /// Calls that were answered, or that cost something.
    pub(super) calls: u64,
    /// By who served them, where answers tell.
    pub(super) servers: BTreeMap<Option<Box<str>>, Part>,
    /// By the provider whose failure came before: calls that this road rescued.
    pub(super) rescued: BTreeMap<Box<str>, Part>,
    /// Some were charged at the list price, which direct providers ask for.
    pub(super) at_list: bool,
    /// Streams: from the request sent to the first content.
    pub(super) ttft: Times,
    /// Other calls: the whole last attempt.
    pub(super) whole: Times,
}

/// Some calls and what they cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) calls: u64,
    /// Those whose list and effective cost are both known.
    pub(super) compared: u64,
    pub(super) list: Money,
    pub(super) effective: Money,
}

impl Part {
    pub(super) fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.compared += other.compared;
        self.list += other.list;
        self.effective += other.effective;
    }
}

impl Advisor {
    /// Nothing seen yet.
    pub fn new(market: Market) -> Self {
        Self { market, ..Self::default() }
    }

    /// Adds one call.
    pub fn add(&mut self, record: &Record<'_>) {
        // A duplicate is no call that a client made.
        if record.probe {
            return;
        }
        self.seen(record.at);
        let (Some(provider), Some(model)) = (&record.provider, &record.model) else { return };
        let ok = record.outcome.as_str() == OK;
        let cost = record.cost.as_ref();
        let effective = cost.and_then(|cost| cost.effective);
        if !ok && effective.is_none() {
            return;
        }
        let Some(road) = self.road(provider.as_str(), model.as_str()) else { return };
        let mut part = Part { calls: 1, ..Part::default() };
        if let Some((list, effective)) = cost.and_then(|cost| cost.list).zip(effective) {
            part = Part { calls: 1, compared: 1, list, effective };
        }
        road.calls += 1;
        road.at_list |= cost.and_then(|cost| cost.source.as_ref()).is_some_and(|source| source.as_str() == "list");
        let failed = record
            .attempts
            .iter()
            .rev()
            .skip(1)
            .find(|attempt| attempt.outcome.as_str() != OK && attempt.provider.as_str() != provider.as_str());
        let failed = failed.map(|attempt| attempt.provider.as_str()).filter(|_| ok);
        match failed.filter(|name| road.rescued.len() < MOST_NAMES || road.rescued.contains_key(*name)) {
            Some(name) => road.rescued.entry(name.into()).or_default().merge(&part),
            None => {
                let by = record.served_by.as_ref().map(Text::as_str).map(Into::into);
                let known = road.servers.len() < MOST_NAMES || road.servers.contains_key(&by);
                road.servers.entry(if known { by } else { None }).or_default().merge(&part);
            }
        }
        if ok && record.stream {
            record.ttft_ms.into_iter().for_each(|ms| road.ttft.add(ms));
        } else if ok {
            record.attempts.last().and_then(|last| last.ms).into_iter().for_each(|ms| road.whole.add(ms));
        }
    }

    /// The road of a provider and a model; `None` where there are too many.
    pub(super) fn road(&mut self, provider: &str, model: &str) -> Option<&mut Road> {
        let name = Name { provider: provider.into(), model: model.into() };
        if self.roads.len() >= MOST_ROADS && !self.roads.contains_key(&name) {
            self.left_out += 1;
            return None;
        }
        Some(self.roads.entry(name).or_default())
    }

    /// Notes a moment of the time that was seen.
    pub fn seen(&mut self, at: Moment) {
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
    }
}
