//! The status page of the admin port: one small page without any outside asset, and the snapshot that it shows.
//!
//! The snapshot is read from the table and the metrics when somebody asks. Money is text, to the last digit; what is
//! unknown is null, never 0. Start with [`snapshot`]; the page itself is `status/page.html`, `page.css` and `page.js`,
//! which imports `numbers.js` and `rates.js`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::reload::Reloader;
use crate::gateway::Live;
use crate::metering::{Buckets, Served, Totals};
use crate::routing::{Route, Target};
use crate::telemetry::COMMIT;
use crate::telemetry::names::clean;

/// What the page may do: load what stands beside it, and ask this port. No inline script, no inline style, and no
/// markup made of data.
pub(super) const POLICY: &[(&str, &[u8])] = &[
    (
        "content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
          form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("x-content-type-options", b"nosniff"),
    ("referrer-policy", b"no-referrer"),
    ("cross-origin-resource-policy", b"same-origin"),
    ("cross-origin-opener-policy", b"same-origin"),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the page, by its path: content type and content.
pub(super) fn file(path: &str) -> Option<(&'static str, &'static str)> {
    Some(match path {
        "/" => ("text/html; charset=utf-8", include_str!("status/page.html")),
        "/status.js" => (SCRIPT, include_str!("status/page.js")),
        "/status-numbers.js" => (SCRIPT, include_str!("status/numbers.js")),
        "/status-rates.js" => (SCRIPT, include_str!("status/rates.js")),
        "/status.css" => ("text/css; charset=utf-8", include_str!("status/page.css")),
        "/status.svg" => ("image/svg+xml", include_str!("status/icon.svg")),
        _ => return None,
    })
}

/// Everything that the page shows, at one moment.
pub(super) fn snapshot(reloader: &Reloader, health: impl Fn(&Target) -> Value) -> Value {
    let live = reloader.gateway.live.load();
    let last = reloader.last();
    let metrics = reloader.telemetry.metrics();
    let totals = Totals::of(metrics);
    let seen = Seen { live: &live, totals: &totals, named: named(live.table.targets()) };
    let routes: Vec<Value> = live.table.routes().iter().map(|it| route(&seen, it, &health)).collect();
    let known: BTreeSet<_> = live.table.routes().iter().map(|route| clean(&route.name).into_owned()).collect();
    let unrouted = totals.calls.iter().filter(|(name, _)| !known.contains(*name));
    let unrouted: Vec<Value> = unrouted.map(|(name, calls)| json!({ "name": name, "calls": calls })).collect();
    let mut all = Served::default();
    totals.served.values().for_each(|one| all.add(one));
    let by_model: Vec<Value> = totals
        .served
        .iter()
        .map(|((provider, model), one)| {
            let mut row = served(one);
            row.insert("provider".into(), provider.as_str().into());
            row.insert("model".into(), model.as_str().into());
            row.into()
        })
        .collect();
    let ttft = totals.ttft.values().flat_map(|models| models.values());
    json!({
        "at_ms": millis(SystemTime::now()),
        "version": env!("CARGO_PKG_VERSION"),
        "commit": COMMIT,
        "started_ms": millis(reloader.telemetry.started()),
        "stopping": reloader.gateway.is_stopping(),
        "in_flight": { "calls": reloader.gateway.calls(), "by_dialect": totals.in_flight },
        "table": {
            "generation": live.table.generation,
            "hash": live.table.hash,
            "source": reloader.source().shown(),
            "last_reload": { "at_ms": millis(last.at), "errors": last.errors },
        },
        "latency": {
            "ttft": together(ttft),
            "duration": buckets(&totals.duration),
            "overhead_request": totals.overhead.get("request").map_or(Value::Null, buckets),
            "overhead_response": totals.overhead.get("response").map_or(Value::Null, buckets),
        },
        "routes": routes,
        "other_routes": unrouted,
        "total": served(&all),
        "models": by_model,
    })
}

struct Seen<'a> {
    live: &'a Live,
    totals: &'a Totals,
    /// The models that targets name, by provider.
    named: BTreeMap<&'a str, BTreeSet<String>>,
}

fn route(seen: &Seen<'_>, route: &Route, health: &impl Fn(&Target) -> Value) -> Value {
    let name = clean(&route.name);
    let here = named(&route.targets);
    // What a duplicate does is no call: probes stand on a page of their own.
    let targets = route.targets.iter().filter(|target| !target.probe);
    let targets: Vec<Value> = targets
        .map(|target| {
            let provider = clean(&target.provider.name);
            // Tries are counted by provider and model, times by route as well.
            let tries = seen.totals.attempts.get(&*provider).into_iter().flatten();
            let mut attempts = BTreeMap::<&str, u64>::new();
            for (_, outcomes) in tries.filter(|(model, _)| is_of(target, model, &seen.named)) {
                outcomes.iter().for_each(|(outcome, count)| *attempts.entry(outcome).or_default() += count);
            }
            let times = seen.totals.ttft.get(&(name.to_string(), provider.to_string())).into_iter().flatten();
            let times = times.filter(|(model, _)| is_of(target, model, &here)).map(|(_, times)| times);
            let link = seen.live.upstreams.link(&target.provider);
            let (idle, open) = link.map_or((0, 0), |link| link.connections());
            json!({
                "provider": &*target.provider.name,
                "model": target.model.as_deref(),
                "priority": target.priority,
                "weight": target.weight,
                "health": health(target),
                "connections": { "open": open, "idle": idle },
                "attempts": attempts,
                "ttft": together(times),
            })
        })
        .collect();
    json!({
        "name": &*route.name,
        "implicit": route.implicit,
        "strategy": route.strategy,
        "calls": seen.totals.calls.get(&*name),
        "fallbacks": seen.totals.fallbacks.get(&*name).copied().unwrap_or_default(),
        "targets": targets,
    })
}

fn named(targets: &[Arc<Target>]) -> BTreeMap<&str, BTreeSet<String>> {
    let mut named = BTreeMap::<&str, BTreeSet<String>>::new();
    for target in targets {
        let models = named.entry(&target.provider.name).or_default();
        models.extend(target.model.as_deref().map(|model| clean(model).into_owned()));
    }
    named
}

/// Whether what is counted under a model of the target's provider is the target's: a target that takes whatever is
/// asked has all that no other one names.
fn is_of(target: &Target, model: &str, named: &BTreeMap<&str, BTreeSet<String>>) -> bool {
    match target.model.as_deref() {
        Some(name) => clean(name) == model,
        None => !named.get(&*target.provider.name).is_some_and(|names| names.contains(model)),
    }
}

fn served(it: &Served) -> Map<String, Value> {
    let row = json!({
        "tokens": it.tokens,
        "usage_unknown": it.usage_unknown,
        "unpriced": it.unpriced,
        "list_usd": it.list.map(|amount| amount.to_string()),
        "billed_usd": it.billed.map(|amount| amount.to_string()),
        "effective_usd": it.effective.map(|amount| amount.to_string()),
        "markup": it.markup().map(|millionths| millionths as f64 / 1e6),
    });
    match row {
        Value::Object(row) => row,
        _ => Map::new(),
    }
}

/// Null when nothing was measured.
fn together<'a>(times: impl IntoIterator<Item = &'a Buckets>) -> Value {
    let mut all = Buckets::default();
    times.into_iter().for_each(|times| all.add(times));
    buckets(&all)
}

fn buckets(times: &Buckets) -> Value {
    match times.counts.iter().sum::<u64>() {
        0 => Value::Null,
        _ => json!({ "bounds": times.bounds, "counts": times.counts }),
    }
}

fn millis(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
