//! What a call works with: the live table with its links and meters, and what stays for the process's life.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use super::auth::InboundKeys;
use super::budget::BodyBudget;
use super::probe::Running;
use crate::metering::{Meter, TargetMeter};
use crate::routing::prices::Sellers;
use crate::routing::{RoutingTable, Target};
use crate::upstream::Upstreams;

/// One routing table, ready to serve. Immutable; a call keeps the one that it began with.
pub struct Live {
    /// Routes, targets, health.
    pub table: RoutingTable,
    /// Connections to the table's providers.
    pub upstreams: Upstreams,
    /// Metric handles by the target's index.
    meters: Vec<Arc<TargetMeter>>,
}

impl Live {
    /// Joins a table with its links, its prices and its metric handles.
    pub fn new(table: RoutingTable, upstreams: Upstreams, meter: &Meter, sellers: &Sellers) -> Self {
        meter.configure_models(table.model_names());
        let meters = table
            .targets()
            .iter()
            .map(|t| {
                let (name, model) = (&*t.provider.name, t.model.as_deref().unwrap_or_default());
                meter.priced_target(&t.route, name, model, sellers.get(name))
            })
            .collect();
        Self { table, upstreams, meters }
    }

    /// The metric handles of a target of this table.
    pub(super) fn meter(&self, target: &Target) -> Option<&Arc<TargetMeter>> {
        self.meters.get(target.index)
    }
}

/// What a restart would be needed to change.
#[derive(Debug)]
pub struct Settings {
    /// Largest request body that is read whole, in bytes.
    pub max_body: usize,
    /// Calls at one time; 0 means no limit.
    pub max_calls: usize,
    /// Names the calling app; removed before the call goes upstream.
    pub app_header: Box<str>,
    /// Whether clients see `x-faregate-*` headers.
    pub response_headers: bool,
    /// Whether event streams end with a comment on their cost.
    pub stream_comments: bool,
}

/// Everything that calls share.
pub struct Gateway {
    /// The table of new calls.
    pub live: ArcSwap<Live>,
    /// Records calls.
    pub meter: Arc<Meter>,
    /// Who may call.
    pub keys: InboundKeys,
    /// Memory for request bodies.
    pub bodies: BodyBudget,
    /// Process-wide settings.
    pub settings: Settings,
    pub(super) probes: Running,
    calls: AtomicUsize,
    stopping: AtomicBool,
}

/// Counts one call in flight for as long as it lives.
pub(super) struct InFlight<'a>(&'a Gateway);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Gateway {
    /// A gateway that serves `live`.
    pub fn new(live: Live, meter: Arc<Meter>, keys: InboundKeys, bodies: BodyBudget, settings: Settings) -> Self {
        let live = ArcSwap::from_pointee(live);
        let (probes, calls, stopping) = (Running::default(), AtomicUsize::new(0), AtomicBool::new(false));
        Self { live, meter, keys, bodies, settings, probes, calls, stopping }
    }

    /// Calls in flight.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Acquire)
    }

    /// From now on connections are closed after their call.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether [`Gateway::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Counts a call in; `None` when there are as many as may be.
    pub(super) fn enter(&self) -> Option<InFlight<'_>> {
        let entered = InFlight(self);
        let before = self.calls.fetch_add(1, Ordering::AcqRel);
        let max = self.settings.max_calls;
        (max == 0 || before < max).then_some(entered)
    }
}
