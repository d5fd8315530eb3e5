//! The admin page on routes that are compared with direct targets: what `faregate compare` shows.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::metering::{Compared, Difference, MoneyCompared, TimeCompared};
use crate::routing::{ProbePolicy, Route};

/// Routes with a probe, and all pairs of this process. Sums of money are texts, to the last digit; what is computed of
/// them are numbers.
pub(super) fn page(gateway: &Gateway) -> Value {
    let live = gateway.live.load();
    let probed = live.table.routes().iter().filter_map(|route| Some((route, route.probe.as_ref()?)));
    let routes: Vec<Value> = probed.map(|(route, probe)| self::route(gateway, route, probe)).collect();
    let pairs: Vec<Value> = gateway.meter.compared().iter().map(compared).collect();
    json!({ "routes": routes, "pairs": pairs })
}

fn route(gateway: &Gateway, route: &Route, probe: &ProbePolicy) -> Value {
    let calls: serde_json::Map<String, Value> =
        gateway.meter.probes_of(&route.name).into_iter().map(|(result, count)| (result, count.into())).collect();
    json!({
        "route": &*route.name,
        "provider": &*probe.target.provider.name,
        "model": probe.target.model.as_deref(),
        "share": probe.share,
        "tools": probe.tools,
        "budget_usd_per_day": probe.spending.limit().to_string(),
        "spent_usd_today": probe.spent(SystemTime::now()).to_string(),
        "calls": calls,
    })
}

fn compared(it: &Compared) -> Value {
    json!({
        "route": &*it.route,
        "provider": &*it.provider,
        "model": &*it.model,
        "direct": &*it.direct,
        "pairs": it.pairs,
        "ttft_ms": it.ttft.as_ref().map(time),
        "duration_ms": it.duration.as_ref().map(time),
        "cost_usd": it.cost.as_ref().map(money),
    })
}

fn time(it: &TimeCompared) -> Value {
    let (pairs, difference, interval) = difference(&it.difference, 1e3);
    let mean = |seconds: f64| round(seconds * 1e3);
    json!({
        "pairs": pairs,
        "routed_mean": mean(it.routed),
        "direct_mean": mean(it.direct),
        "difference_mean": difference,
        "interval_95": interval,
    })
}

fn money(it: &MoneyCompared) -> Value {
    let (pairs, difference, interval) = difference(&it.difference, 1.0);
    json!({
        "pairs": pairs,
        "routed_sum": it.routed.to_string(),
        "direct_sum": it.direct.to_string(),
        "difference_sum": (it.routed - it.direct).to_string(),
        "markup": it.markup.map(|millionths| millionths as f64 / 1e6),
        "difference_mean": difference,
        "interval_95": interval,
    })
}

fn difference(it: &Difference, factor: f64) -> (u64, f64, Option<[f64; 2]>) {
    let scaled = |value: f64| round(value * factor);
    (it.pairs, scaled(it.mean), it.interval.map(|(low, high)| [scaled(low), scaled(high)]))
}

/// Twelve decimals: beyond them stand traces of binary floats.
fn round(value: f64) -> f64 {
    (value * 1e12).round() / 1e12
}
