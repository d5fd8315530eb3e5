//! A route and its targets, ready for use.

use std::sync::Arc;

use super::budget::RetryBudget;
use super::condition::Conditions;
use super::health::Health;
use super::limit::Limit;
use super::policy::{RetryPolicy, Timeouts};
use super::probe::ProbePolicy;
use super::provider::Provider;
use crate::config::file::{OnDisconnect, Sticky, Strategy};

/// Which calls go where, and under which rules.
#[derive(Debug)]
pub struct Route {
    /// Its place in [`super::RoutingTable::routes`].
    pub index: usize,
    /// Its name in metrics, logs and headers. Implicit routes are called `implicit:` and the provider's name.
    pub name: Arc<str>,
    /// Not in the configuration: serves what no route matches, with one provider.
    pub implicit: bool,
    /// How targets are chosen.
    pub strategy: Strategy,
    /// What keeps a conversation at one target.
    pub sticky: Option<Sticky>,
    /// Retries: the route's over the defaults.
    pub retry: RetryPolicy,
    /// Timeouts of the route over the defaults (an implicit route's: the provider's over the defaults). For an attempt,
    /// [`Target::timeouts`] counts; for the call as a whole, `total` here.
    pub timeouts: Timeouts,
    /// Largest request body in bytes, where the route has its own limit.
    pub max_body: Option<usize>,
    /// What becomes of a stream whose client goes away.
    pub on_disconnect: OnDisconnect,
    /// Limit on calls at one time.
    pub calls: Option<Limit>,
    /// The retry budget: the table's own, unless the route sets another share.
    pub retry_budget: Arc<RetryBudget>,
    /// Calls that are duplicated to a direct target.
    pub probe: Option<ProbePolicy>,
    /// By priority, then in order of the file.
    pub targets: Box<[Arc<Target>]>,
    pub(super) conditions: Conditions,
}

/// Where a route's calls may go.
#[derive(Debug)]
pub struct Target {
    /// Its place in [`super::RoutingTable::targets`].
    pub index: usize,
    /// Name of the route that it belongs to.
    pub route: Arc<str>,
    /// Where calls go.
    pub provider: Arc<Provider>,
    /// The model's name at that provider; none: as asked, after aliases.
    pub model: Option<Arc<str>>,
    /// Share under strategy `weighted`.
    pub weight: u32,
    /// Lower comes first.
    pub priority: u32,
    /// Timeouts: the route's over the provider's over the defaults.
    pub timeouts: Timeouts,
    /// Shared by all targets of the same provider and model.
    pub health: Arc<Health>,
    /// Gets duplicates of calls only, see [`ProbePolicy`].
    pub probe: bool,
    /// Stable hash of provider and model (and, where a route names both twice, of which one): who it is in the draw.
    pub(super) identity: u64,
}
