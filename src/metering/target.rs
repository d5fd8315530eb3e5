//! Metric handles of one target, found once and kept, so that no label is looked up while a call is served.
//!
//! Everything is made on first use: a table of 10,000 targets costs little until they are called. Start with
//! [`TargetMeter`].

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use ahash::RandomState;
use parking_lot::RwLock;

use super::cost::{CostSeries, Prices, UnpricedSeries};
use super::gen_ai::GenAiSeries;
use super::outcome::Outcome;
use super::requested::{Asked, ByRequested, Configured};
use crate::chat::Usage;
use crate::dialect::DialectId;
use crate::pricing::Seller;
use crate::telemetry::Metrics;
use crate::telemetry::cells::{Counter, Histogram, Since};
use crate::telemetry::names::{NameId, Names};

pub(super) const OUTCOMES: usize = Outcome::ALL.len();
const CLASSES: usize = 9;

/// Label values for what does not apply to a call.
pub(super) const NONE: &str = "none";

/// What one target of one route is counted by. Routing tables hold one per target, made when they are compiled.
pub struct TargetMeter {
    pub(super) route: Arc<str>,
    pub(super) provider: Arc<str>,
    /// `None` when the target takes whatever model is asked.
    pub(super) model: Option<Arc<str>>,
    pub(super) prices: Prices,
    fixed: OnceLock<Arc<Series>>,
    by_model: RwLock<HashMap<NameId, Arc<Series>, RandomState>>,
    connect: OnceLock<Histogram>,
    connections: [OnceLock<Counter>; 2],
}

impl TargetMeter {
    pub(super) fn new(route: &str, provider: &str, model: &str) -> Self {
        Self {
            route: route.into(),
            provider: provider.into(),
            model: (!model.is_empty()).then(|| model.into()),
            prices: Prices::default(),
            fixed: OnceLock::new(),
            by_model: RwLock::default(),
            connect: OnceLock::new(),
            connections: Default::default(),
        }
    }

    /// Prices its calls as this seller does; without one, calls are not priced.
    pub(super) fn sold_by(mut self, seller: Option<Arc<Seller>>) -> Self {
        self.prices = Prices::of(seller);
        self
    }

    /// The name of the provider.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The model sent to the provider, unless that is whatever was asked.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The handles, for a call that is counted under `model` where the target itself names none.
    pub(super) fn series(&self, models: &Names, model: NameId) -> Arc<Series> {
        if let Some(name) = &self.model {
            return Arc::clone(self.fixed.get_or_init(|| Arc::new(Series::new(self, Arc::clone(name)))));
        }
        if let Some(series) = self.by_model.read().get(&model) {
            return Arc::clone(series);
        }
        let mut by_model = self.by_model.write();
        Arc::clone(by_model.entry(model).or_insert_with(|| Arc::new(Series::new(self, models.name(model)))))
    }

    pub(super) fn connect(&self, m: &Metrics) -> &Histogram {
        self.connect.get_or_init(|| m.connect.with([&self.provider]))
    }

    pub(super) fn connections(&self, m: &Metrics, reused: bool) -> &Counter {
        self.connections[usize::from(reused)].get_or_init(|| m.connections.with([&self.provider, flag(reused)]))
    }
}

impl std::fmt::Debug for TargetMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TargetMeter({}: {}/{})", self.route, self.provider, self.model.as_deref().unwrap_or("*"))
    }
}

pub(super) fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Handles by route, provider and model.
pub(super) struct Series {
    pub(super) route: Arc<str>,
    pub(super) provider: Arc<str>,
    pub(super) model: Arc<str>,
    pub(super) unpriced: UnpricedSeries,
    /// How old the price card is.
    pub(super) card_taken: OnceLock<Since>,
    duration: [OnceLock<Histogram>; 2],
    ttft: OnceLock<Histogram>,
    tpot: OnceLock<Histogram>,
    router_hop: OnceLock<Histogram>,
    attempts: [OnceLock<Counter>; OUTCOMES],
    usage_unknown: OnceLock<Counter>,
    pub(super) gen_ai: OnceLock<Box<GenAiSeries>>,
    /// The app that most calls come from, and all others.
    default_app: OnceLock<Arc<AppSeries>>,
    apps: RwLock<HashMap<NameId, Arc<AppSeries>, RandomState>>,
}

/// Handles by app as well.
#[derive(Default)]
pub(super) struct AppSeries {
    pub(super) app: Arc<str>,
    pub(super) money: CostSeries,
    requests: ByRequested,
    tokens: [OnceLock<Counter>; CLASSES],
}

impl Series {
    fn new(target: &TargetMeter, model: Arc<str>) -> Self {
        Self {
            route: Arc::clone(&target.route),
            provider: Arc::clone(&target.provider),
            model,
            unpriced: UnpricedSeries::default(),
            card_taken: OnceLock::new(),
            duration: Default::default(),
            ttft: OnceLock::new(),
            tpot: OnceLock::new(),
            router_hop: OnceLock::new(),
            attempts: Default::default(),
            usage_unknown: OnceLock::new(),
            gen_ai: OnceLock::new(),
            default_app: OnceLock::new(),
            apps: RwLock::default(),
        }
    }

    pub(super) fn duration(&self, m: &Metrics, stream: bool) -> &Histogram {
        self.duration[usize::from(stream)]
            .get_or_init(|| m.duration.with([&self.route, &self.provider, &self.model, flag(stream)]))
    }

    pub(super) fn ttft(&self, m: &Metrics) -> &Histogram {
        self.ttft.get_or_init(|| m.ttft.with([&self.route, &self.provider, &self.model]))
    }

    pub(super) fn tpot(&self, m: &Metrics) -> &Histogram {
        self.tpot.get_or_init(|| m.tpot.with([&self.provider, &self.model]))
    }

    pub(super) fn router_hop(&self, m: &Metrics) -> &Histogram {
        self.router_hop.get_or_init(|| m.router_hop.with([&self.provider]))
    }

    pub(super) fn attempts(&self, m: &Metrics, outcome: Outcome) -> &Counter {
        self.attempts[outcome.index()].get_or_init(|| m.attempts.with([&self.provider, &self.model, outcome.as_str()]))
    }

    pub(super) fn usage_unknown(&self, m: &Metrics) -> &Counter {
        self.usage_unknown.get_or_init(|| m.usage_unknown.with([&self.provider, &self.model]))
    }

    /// Handles of one app. `default` says that it is the one most calls come from.
    pub(super) fn app(&self, apps: &Names, app: NameId, default: bool) -> Arc<AppSeries> {
        if default {
            return Arc::clone(self.default_app.get_or_init(|| AppSeries::new(apps.name(app))));
        }
        if let Some(series) = self.apps.read().get(&app) {
            return Arc::clone(series);
        }
        Arc::clone(self.apps.write().entry(app).or_insert_with(|| AppSeries::new(apps.name(app))))
    }
}

impl AppSeries {
    fn new(app: Arc<str>) -> Arc<Self> {
        Arc::new(Self { app, ..Self::default() })
    }

    pub(super) fn count(&self, m: &Metrics, of: &Series, asked: Asked<'_>, configured: &Configured) {
        self.requests.count(asked, &of.model, configured, |[requested, dialect, stream, outcome]| {
            m.requests.with([&self.app, &of.route, &of.provider, &of.model, requested, dialect, stream, outcome])
        });
    }

    pub(super) fn add_tokens(&self, m: &Metrics, of: &Series, usage: &Usage) {
        for ((class, tokens), counter) in usage.classes().into_iter().zip(&self.tokens) {
            if tokens > 0 {
                counter.get_or_init(|| m.tokens.with([&self.app, &of.provider, &of.model, class])).add(tokens);
            }
        }
    }
}

/// The dialect's place in [`DialectId::ALL`].
pub(super) fn dialect_index(dialect: DialectId) -> usize {
    match dialect {
        DialectId::OpenAi => 0,
        DialectId::Anthropic => 1,
        DialectId::Opaque => 2,
    }
}
