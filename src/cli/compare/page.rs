//! The admin page /admin/paired, read.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The whole page.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) routes: Vec<Route>,
    pub(super) pairs: Vec<Pairs>,
}

/// A route with a probe.
#[derive(Debug, Deserialize)]
pub(super) struct Route {
    pub(super) route: String,
    pub(super) provider: String,
    pub(super) model: Option<String>,
    pub(super) share: f64,
    pub(super) budget_usd_per_day: String,
    pub(super) spent_usd_today: String,
    /// Calls that were chosen, by what became of them.
    pub(super) calls: BTreeMap<String, u64>,
}

/// The pairs of one route, model and direct target.
#[derive(Debug, Deserialize)]
pub(super) struct Pairs {
    pub(super) route: String,
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) direct: String,
    pub(super) pairs: u64,
    pub(super) ttft_ms: Option<Time>,
    pub(super) duration_ms: Option<Time>,
    pub(super) cost_usd: Option<Money>,
}

/// Milliseconds.
#[derive(Debug, Deserialize)]
pub(super) struct Time {
    pub(super) pairs: u64,
    pub(super) routed_mean: f64,
    pub(super) direct_mean: f64,
    pub(super) difference_mean: f64,
    pub(super) interval_95: Option<[f64; 2]>,
}

/// Dollars; sums to the last digit.
#[derive(Debug, Deserialize)]
pub(super) struct Money {
    pub(super) pairs: u64,
    pub(super) routed_sum: String,
    pub(super) direct_sum: String,
    pub(super) difference_sum: String,
    pub(super) markup: Option<f64>,
    pub(super) difference_mean: f64,
    pub(super) interval_95: Option<[f64; 2]>,
}
