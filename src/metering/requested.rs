//! `requested_model`: the model as the client named it, bounded to names that an operator wrote down.
//!
//! A name is exposed when it is the call's `model` anyway or stands in the configuration; all else is `other`. Counters
//! are kept by what was asked, so that mostly a call compares one name and looks nothing up.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use ahash::RandomState;
use arc_swap::ArcSwap;
use parking_lot::RwLock;

use super::outcome::Outcome;
use super::target::{NONE, OUTCOMES, dialect_index, flag};
use crate::dialect::DialectId;
use crate::telemetry::cells::Counter;
use crate::telemetry::names::{self, OTHER};

/// The model names that the configuration spells out. Replaced with each table.
#[derive(Default)]
pub(super) struct Configured(ArcSwap<HashSet<Arc<str>, RandomState>>);

impl Configured {
    pub(super) fn replace<'n>(&self, names: impl Iterator<Item = &'n str>) {
        self.0.store(Arc::new(names.map(|name| Arc::from(&*names::clean(name))).collect()));
    }
}

/// Counters of calls by the model that they asked for.
#[derive(Default)]
pub(super) struct ByRequested {
    /// Those that asked for what they got.
    same: Requests,
    /// What the first other one asked for, which is mostly the only one.
    first: OnceLock<First>,
    by_label: RwLock<HashMap<Arc<str>, Arc<Requests>, RandomState>>,
}

struct First {
    asked: Option<Box<str>>,
    label: Arc<str>,
    requests: Arc<Requests>,
}

type ByOutcome = [OnceLock<Counter>; OUTCOMES];

/// By dialect and stream, then by outcome.
#[derive(Default)]
struct Requests([[OnceLock<Box<ByOutcome>>; 2]; DialectId::ALL.len()]);

/// What a call is counted by, its app and target apart.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) model: Option<&'a str>,
    pub(super) dialect: DialectId,
    pub(super) stream: bool,
    pub(super) outcome: Outcome,
}

impl ByRequested {
    /// Counts a call whose `model` label is `got`. `make` finds the counter of `requested_model`, `dialect`, `stream`
    /// and `outcome`, the first time.
    pub(super) fn count(
        &self,
        asked: Asked<'_>,
        got: &str,
        configured: &Configured,
        make: impl Fn([&str; 4]) -> Counter,
    ) {
        let count = |requests: &Requests, label: &str| requests.counter(asked, label, &make).inc();
        if asked.model.unwrap_or(NONE) == got {
            return count(&self.same, got);
        }
        if let Some(first) = self.first.get().filter(|first| first.asked.as_deref() == asked.model) {
            return count(&first.requests, &first.label);
        }
        let label = asked.model.map_or(NONE, |model| if configured.0.load().contains(model) { model } else { OTHER });
        let requests = self.labelled(label);
        self.first.get_or_init(|| First {
            asked: asked.model.map(Box::from),
            label: label.into(),
            requests: Arc::clone(&requests),
        });
        count(&requests, label);
    }

    fn labelled(&self, label: &str) -> Arc<Requests> {
        if let Some(requests) = self.by_label.read().get(label) {
            return Arc::clone(requests);
        }
        Arc::clone(self.by_label.write().entry(label.into()).or_default())
    }
}

impl Requests {
    fn counter(&self, asked: Asked<'_>, name: &str, make: &impl Fn([&str; 4]) -> Counter) -> &Counter {
        let Asked { dialect, stream, outcome, .. } = asked;
        let by_outcome = self.0[dialect_index(dialect)][usize::from(stream)].get_or_init(Box::default);
        by_outcome[outcome.index()].get_or_init(|| make([name, dialect.as_str(), flag(stream), outcome.as_str()]))
    }
}
