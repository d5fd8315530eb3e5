//! Typed handles of every metric in the table, and what is set from more than one place.
//!
//! Start with [`Telemetry`]: it is cloned to whoever counts or exposes.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use prometheus::{Registry, TextEncoder};

use super::family::{Ages, Amounts, Counters, Gauges, Histograms, Readings};
use super::logs;
use super::process::Process;
use super::table;

/// The `Content-Type` of [`Telemetry::exposition`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Which commit this was built from, where the build says so (FAREGATE_COMMIT).
pub const COMMIT: &str = match option_env!("FAREGATE_COMMIT") {
    Some(commit) if !commit.is_empty() => commit,
    _ => "unknown",
};

/// Every metric of this process; clones share it.
#[derive(Clone)]
pub struct Telemetry {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    metrics: Metrics,
    process: Process,
    started: SystemTime,
    /// Keeps a scrape from seeing half of a replaced set.
    scrape: Mutex<()>,
}

/// Handles by metric; see [`table`] for what each counts and the order of its labels.
#[expect(missing_docs, reason = "each field is the metric of the same name in the table, documented there")]
pub struct Metrics {
    pub requests: Counters<8>,
    pub attempts: Counters<3>,
    pub fallbacks: Counters<4>,
    pub in_flight: Gauges<1>,
    pub duration: Histograms<4>,
    pub overhead: Histograms<1>,
    pub ttft: Histograms<3>,
    pub tpot: Histograms<2>,
    pub connect: Histograms<1>,
    pub connections: Counters<2>,
    pub router_hop: Histograms<1>,
    pub tokens: Counters<4>,
    pub usage_unknown: Counters<2>,
    pub usage_inconsistent: Counters<1>,
    pub cost: Amounts<5>,
    pub comparable_cost: Amounts<4>,
    pub unpriced_calls: Counters<3>,
    pub price_card_age: Ages<1>,
    pub paired_probes: Counters<2>,
    pub paired_calls: Counters<5>,
    pub paired_seconds: Readings<6>,
    pub paired_seconds_squared: Readings<5>,
    pub paired_cost: Readings<5>,
    pub paired_cost_squared: Readings<4>,
    pub paired_probe_cost: Amounts<4>,
    pub paired_probe_calls: Counters<3>,
    pub records_dropped: Counters<0>,
    pub log_lines_dropped: Counters<0>,
    pub spans_exported: Counters<0>,
    pub spans_dropped: Counters<1>,
    pub target_up: Gauges<2>,
    pub config_generation: Gauges<0>,
    pub config_info: Gauges<1>,
    pub reload_success: Gauges<0>,
    pub reload_timestamp: Gauges<0>,
    pub reloads: Counters<1>,
    pub control_sidecars: Gauges<2>,
    pub control_answers: Counters<1>,
    pub control_programmed_seconds: Histograms<0>,
    pub control_pushed_bytes: Counters<0>,
    pub control_connections: Counters<1>,
    pub control_connections_ended: Counters<1>,
    pub control_token_reviews: Counters<1>,
    pub control_connected: Gauges<0>,
    pub control_contact: Gauges<0>,
    pub table_source: Gauges<1>,
    pub build_info: Gauges<2>,
    pub control_admissions: Counters<2>,
    pub control_admission_seconds: Histograms<1>,
    pub control_api_errors: Counters<1>,
    pub control_leader: Gauges<0>,
    pub control_certificate_expiry: Gauges<1>,
    pub control_rotations: Counters<1>,
    pub control_tables: Gauges<4>,
    pub control_uninjected_pods: Gauges<1>,
    pub control_declined_pods: Gauges<2>,
    pub control_outdated_pods: Gauges<1>,
    pub gen_ai_duration: Histograms<4>,
    pub gen_ai_ttft: Histograms<3>,
    pub gen_ai_tpot: Histograms<3>,
}

impl Metrics {
    fn register(r: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            requests: Counters::register(r, &table::REQUESTS)?,
            attempts: Counters::register(r, &table::ATTEMPTS)?,
            fallbacks: Counters::register(r, &table::FALLBACKS)?,
            in_flight: Gauges::register(r, &table::IN_FLIGHT)?,
            duration: Histograms::register(r, &table::DURATION_SECONDS)?,
            overhead: Histograms::register(r, &table::OVERHEAD_SECONDS)?,
            ttft: Histograms::register(r, &table::TTFT_SECONDS)?,
            tpot: Histograms::register(r, &table::TPOT_SECONDS)?,
            connect: Histograms::register(r, &table::CONNECT_SECONDS)?,
            connections: Counters::register(r, &table::CONNECTIONS)?,
            router_hop: Histograms::register(r, &table::ROUTER_HOP_SECONDS)?,
            tokens: Counters::register(r, &table::TOKENS)?,
            usage_unknown: Counters::register(r, &table::USAGE_UNKNOWN)?,
            usage_inconsistent: Counters::register(r, &table::USAGE_INCONSISTENT)?,
            cost: Amounts::register(r, &table::COST_USD)?,
            comparable_cost: Amounts::register(r, &table::COMPARABLE_COST_USD)?,
            unpriced_calls: Counters::register(r, &table::UNPRICED_CALLS)?,
            price_card_age: Ages::register(r, &table::PRICE_CARD_AGE_SECONDS)?,
            paired_probes: Counters::register(r, &table::PAIRED_PROBES)?,
            paired_calls: Counters::register(r, &table::PAIRED_CALLS)?,
            paired_seconds: Readings::register(r, &table::PAIRED_SECONDS)?,
            paired_seconds_squared: Readings::register(r, &table::PAIRED_SECONDS_SQUARED)?,
            paired_cost: Readings::register(r, &table::PAIRED_COST_USD)?,
            paired_cost_squared: Readings::register(r, &table::PAIRED_COST_USD_SQUARED)?,
            paired_probe_cost: Amounts::register(r, &table::PAIRED_PROBE_COST_USD)?,
            paired_probe_calls: Counters::register(r, &table::PAIRED_PROBE_CALLS)?,
            records_dropped: Counters::register(r, &table::RECORDS_DROPPED)?,
            log_lines_dropped: Counters::register(r, &table::LOG_LINES_DROPPED)?,
            spans_exported: Counters::register(r, &table::SPANS_EXPORTED)?,
            spans_dropped: Counters::register(r, &table::SPANS_DROPPED)?,
            target_up: Gauges::register(r, &table::TARGET_UP)?,
            config_generation: Gauges::register(r, &table::CONFIG_GENERATION)?,
            config_info: Gauges::register(r, &table::CONFIG_INFO)?,
            reload_success: Gauges::register(r, &table::RELOAD_SUCCESS)?,
            reload_timestamp: Gauges::register(r, &table::RELOAD_TIMESTAMP)?,
            reloads: Counters::register(r, &table::RELOADS)?,
            control_sidecars: Gauges::register(r, &table::CONTROL_SIDECARS)?,
            control_answers: Counters::register(r, &table::CONTROL_ANSWERS)?,
            control_programmed_seconds: Histograms::register(r, &table::CONTROL_PROGRAMMED_SECONDS)?,
            control_pushed_bytes: Counters::register(r, &table::CONTROL_PUSHED_BYTES)?,
            control_connections: Counters::register(r, &table::CONTROL_CONNECTIONS)?,
            control_connections_ended: Counters::register(r, &table::CONTROL_CONNECTIONS_ENDED)?,
            control_token_reviews: Counters::register(r, &table::CONTROL_TOKEN_REVIEWS)?,
            control_connected: Gauges::register(r, &table::CONTROL_CONNECTED)?,
            control_contact: Gauges::register(r, &table::CONTROL_CONTACT)?,
            table_source: Gauges::register(r, &table::TABLE_SOURCE)?,
            build_info: Gauges::register(r, &table::BUILD_INFO)?,
            control_admissions: Counters::register(r, &table::CONTROL_ADMISSIONS)?,
            control_admission_seconds: Histograms::register(r, &table::CONTROL_ADMISSION_SECONDS)?,
            control_api_errors: Counters::register(r, &table::CONTROL_API_ERRORS)?,
            control_leader: Gauges::register(r, &table::CONTROL_LEADER)?,
            control_certificate_expiry: Gauges::register(r, &table::CONTROL_CERTIFICATE_EXPIRY)?,
            control_rotations: Counters::register(r, &table::CONTROL_ROTATIONS)?,
            control_tables: Gauges::register(r, &table::CONTROL_TABLES)?,
            control_uninjected_pods: Gauges::register(r, &table::CONTROL_UNINJECTED_PODS)?,
            control_declined_pods: Gauges::register(r, &table::CONTROL_DECLINED_PODS)?,
            control_outdated_pods: Gauges::register(r, &table::CONTROL_OUTDATED_PODS)?,
            gen_ai_duration: Histograms::register(r, &table::GEN_AI_DURATION_SECONDS)?,
            gen_ai_ttft: Histograms::register(r, &table::GEN_AI_TTFT_SECONDS)?,
            gen_ai_tpot: Histograms::register(r, &table::GEN_AI_TPOT_SECONDS)?,
        })
    }
}

/// The health of one target, for `faregate_target_up`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetUp<'a> {
    /// The provider's name in the configuration.
    pub provider: &'a str,
    /// The model sent to it; empty when the target takes whatever is asked, shown as `any`.
    pub model: &'a str,
    /// Whether it takes calls.
    pub up: bool,
}

impl Telemetry {
    /// All metrics at zero.
    ///
    /// # Errors
    /// Only when the table itself is wrong, which its tests rule out.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry)?;
        let process = Process::register(&registry)?;
        metrics.build_info.with([env!("CARGO_PKG_VERSION"), COMMIT]).set(1);
        // What happens seldom stands at zero from the start, so that its first time is an increase.
        for result in ["success", "failure"] {
            metrics.reloads.with([result]);
        }
        metrics.records_dropped.with([]);
        metrics.spans_exported.with([]);
        for reason in ["queue_full", "export_failed"] {
            metrics.spans_dropped.with([reason]);
        }
        Ok(Self {
            inner: Arc::new(Inner { registry, metrics, process, started: SystemTime::now(), scrape: Mutex::new(()) }),
        })
    }

    /// The handles.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Since when this process counts.
    pub fn started(&self) -> SystemTime {
        self.inner.started
    }

    /// A configuration was taken into use, at start or by a reload.
    pub fn config_taken(&self, generation: u64, hash: &str) {
        let _scrape = self.inner.scrape.lock();
        let m = self.metrics();
        let info = super::cells::Gauge::default();
        info.set(1);
        m.config_info.replace([([hash], info)]);
        m.config_generation.with([]).set(i64::try_from(generation).unwrap_or(i64::MAX));
        m.reload_success.with([]).set(1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        m.reload_timestamp.with([]).set(i64::try_from(now).unwrap_or(i64::MAX));
        m.reloads.with(["success"]).inc();
    }

    /// Where the table in use came from.
    pub fn table_from(&self, source: &str) {
        let here = super::cells::Gauge::default();
        here.set(1);
        self.metrics().table_source.replace([([source], here)]);
    }

    /// A configuration was refused; the table in use stays.
    pub fn config_refused(&self) {
        let m = self.metrics();
        m.reload_success.with([]).set(0);
        m.reloads.with(["failure"]).inc();
    }

    /// The targets of the table in use, all of them; those of an older table vanish. A pair of provider and model
    /// that stands in several routes is up when any of them is. Call it before [`Telemetry::exposition`].
    pub fn set_targets<'a>(&self, targets: impl IntoIterator<Item = TargetUp<'a>>) {
        let mut rows = std::collections::BTreeMap::new();
        for target in targets {
            let model = if target.model.is_empty() { "any" } else { target.model };
            *rows.entry((target.provider, model)).or_insert(false) |= target.up;
        }
        let _scrape = self.inner.scrape.lock();
        self.metrics().target_up.replace(rows.into_iter().map(|((provider, model), up)| {
            let gauge = super::cells::Gauge::default();
            gauge.set(up.into());
            ([provider, model], gauge)
        }));
    }

    /// All metrics in Prometheus's text format 0.0.4; serve it as [`CONTENT_TYPE`].
    pub fn exposition(&self) -> String {
        let _scrape = self.inner.scrape.lock();
        self.inner.process.refresh();
        let lost = self.metrics().log_lines_dropped.with([]);
        lost.add(logs::lines_dropped().saturating_sub(lost.get()));
        let mut text = String::with_capacity(16 << 10);
        if let Err(error) = TextEncoder::new().encode_utf8(&self.inner.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        text
    }
}
