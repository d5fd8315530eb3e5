//! The meter of a process: what every call shares.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::exchange::{Exchange, Opened};
use super::paired::Ledger;
use super::requested::Configured;
use super::target::{NONE, TargetMeter, dialect_index};
use crate::dialect::DialectId;
use crate::pricing::Seller;
use crate::telemetry::cells::{Gauge, Histogram};
use crate::telemetry::lines::{Limits, Lines, Reports};
use crate::telemetry::names::{NameId, Names};
use crate::telemetry::otlp::{Destination, Exporter, Signal};
use crate::telemetry::output::Output;
use crate::telemetry::{CollectorError, Every, Telemetry};

/// Usage records go out once a second, or when this much has gathered; at most 4 MiB wait (some 6,000 records).
const RECORDS: Limits = Limits { linger: Duration::from_secs(1), wake: 256 << 10, most: 4 << 20 };

/// How long [`Meter::shutdown`] waits for the output.
const SHUTDOWN: Duration = Duration::from_secs(5);

static RECORDS_REFUSED: Every = Every::minutes(1);

/// What a [`Meter`] needs to know of the configuration.
#[derive(Debug, Clone)]
pub struct MeterOptions {
    /// The `app` of calls that name none.
    pub default_app: String,
    /// Distinct `app` labels; further ones count as `other`.
    pub max_apps: usize,
    /// Distinct `model` labels of targets that take whatever is asked; further ones count as `other`.
    pub max_models: usize,
    /// Where usage records go: a file, or `-` for standard output.
    pub records: Option<PathBuf>,
    /// Log one line per call.
    pub log_calls: bool,
    /// Count times under OpenTelemetry's names too.
    pub gen_ai: bool,
    /// Where usage records go as log records.
    pub record_logs: Option<Destination>,
    /// Where traces go.
    pub traces: Option<TraceOptions>,
}

/// Traces of calls.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    /// The collector.
    pub destination: Destination,
    /// The share of new traces that are recorded, 0 to 1.
    pub sample: f64,
}

impl Default for MeterOptions {
    fn default() -> Self {
        Self {
            default_app: "unknown".into(),
            max_apps: 200,
            max_models: 500,
            records: None,
            log_calls: false,
            gen_ai: false,
            record_logs: None,
            traces: None,
        }
    }
}

/// Why a meter cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    /// The usage records' file cannot be opened.
    #[error("usage records cannot be written to {path}: {source}")]
    Records {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The collector of traces cannot be used as configured.
    #[error("traces: {0}")]
    Traces(#[from] CollectorError),
    /// The collector of usage records cannot be used as configured.
    #[error("usage_logs: {0}")]
    Logs(#[source] CollectorError),
    /// No thread to be had.
    #[error("an exporter's thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// Counts calls. One per process; see [`Meter::open`].
pub struct Meter {
    pub(super) telemetry: Telemetry,
    pub(super) apps: Names,
    pub(super) models: Names,
    pub(super) configured: Configured,
    pub(super) default_app: NameId,
    pub(super) records: Option<Lines>,
    /// The same as log records of OpenTelemetry.
    pub(super) record_logs: Option<Lines>,
    pub(super) log_calls: bool,
    pub(super) gen_ai: bool,
    /// Spans on their way to a collector, and the share of new traces that are recorded.
    pub(super) spans: Option<(Lines, f64)>,
    pub(super) in_flight: [Gauge; DialectId::ALL.len()],
    pub(super) overhead_request: Histogram,
    pub(super) overhead_response: Histogram,
    /// Calls and their duplicates.
    pub(super) paired: Ledger,
    /// Counts calls that reached neither route nor target.
    pub(super) nowhere: Arc<TargetMeter>,
}

impl Meter {
    /// A meter, with its writer threads where the options ask for them.
    ///
    /// # Errors
    /// See [`MeterError`].
    pub fn new(telemetry: Telemetry, options: MeterOptions) -> Result<Arc<Self>, MeterError> {
        let records = options.records.map(|path| start_records(&telemetry, path)).transpose()?;
        let record_logs = options.record_logs.map(|to| start_record_logs(&telemetry, &to)).transpose()?;
        let spans = options.traces.map(|traces| start_traces(&telemetry, &traces)).transpose()?;
        let m = telemetry.metrics();
        // The default app has its place whatever the cap.
        let apps = Names::new(options.max_apps.max(1));
        let default_app = apps.admit(&options.default_app);
        Ok(Arc::new(Self {
            default_app,
            apps,
            models: Names::new(options.max_models),
            configured: Configured::default(),
            records,
            record_logs,
            log_calls: options.log_calls,
            gen_ai: options.gen_ai,
            spans,
            in_flight: DialectId::ALL.map(|dialect| m.in_flight.with([dialect.as_str()])),
            overhead_request: m.overhead.with(["request"]),
            overhead_response: m.overhead.with(["response"]),
            paired: Ledger::default(),
            nowhere: Arc::new(TargetMeter::new(NONE, NONE, NONE)),
            telemetry,
        }))
    }

    /// The model names that the configuration spells out, to be told with each table: `requested_model` shows them.
    pub fn configure_models<'n>(&self, names: impl Iterator<Item = &'n str>) {
        self.configured.replace(names);
    }

    /// The handles of one target, to be made once per compiled table. An empty `model` means whatever is asked.
    pub fn target(&self, route: &str, provider: &str, model: &str) -> Arc<TargetMeter> {
        Arc::new(TargetMeter::new(route, provider, model))
    }

    /// [`Meter::target`], with its calls priced as this seller does.
    pub fn priced_target(
        &self,
        route: &str,
        provider: &str,
        model: &str,
        seller: Option<&Arc<Seller>>,
    ) -> Arc<TargetMeter> {
        Arc::new(TargetMeter::new(route, provider, model).sold_by(seller.map(Arc::clone)))
    }

    /// Begins the record of a call that was accepted.
    pub fn open(self: &Arc<Self>, call: Opened) -> Exchange {
        self.in_flight[dialect_index(call.dialect)].add(1);
        Exchange::new(Arc::clone(self), call)
    }

    /// The share of new traces that are recorded; `None` without a collector.
    pub(super) fn sample(&self) -> Option<f64> {
        self.spans.as_ref().map(|(_, sample)| *sample)
    }

    /// Opens the usage records' file anew, after it was rotated. (A file that was moved away is noticed anyway.)
    pub fn reopen(&self) {
        if let Some(records) = &self.records {
            records.reopen();
        }
    }

    /// Has the usage records and spans of finished calls written, and waits for each for so long. False when it takes
    /// longer.
    pub fn flush(&self, wait: Duration) -> bool {
        let mut all = true;
        for lines in self.records.iter().chain(&self.record_logs) {
            all &= lines.flush(wait);
        }
        self.spans.as_ref().is_none_or(|(spans, _)| spans.flush(wait)) && all
    }

    /// Writes what is left and ends the writer threads, waiting at most a few seconds for a slow output. Calls that
    /// end later are counted, but their usage records are lost (and counted as such). Harmless when called again.
    pub fn shutdown(&self) {
        if self.records.as_ref().is_some_and(|records| !records.shutdown(SHUTDOWN)) {
            tracing::error!("usage records: the output does not take them; the last ones are lost");
        }
        if self.record_logs.as_ref().is_some_and(|logs| !logs.shutdown(SHUTDOWN)) {
            tracing::error!("usage records: the collector does not take them; the last ones are lost");
        }
        if self.spans.as_ref().is_some_and(|(spans, _)| !spans.shutdown(SHUTDOWN)) {
            tracing::error!("traces: the collector does not take them; the last ones are lost");
        }
    }
}

fn start_records(telemetry: &Telemetry, path: PathBuf) -> Result<Lines, MeterError> {
    let lost = telemetry.metrics().records_dropped.with([]);
    let shown = path.display().to_string();
    let reports = Reports {
        lost: Box::new(move |_, lines| lost.add(lines)),
        refused: Box::new(move |error| {
            if let Some(skipped) = RECORDS_REFUSED.ready() {
                tracing::error!(%error, path = shown, skipped, "usage records cannot be written");
            }
        }),
    };
    let output = if path.as_os_str() == "-" { Output::stdout() } else { Output::file(&path) };
    output
        .and_then(|output| Lines::start("faregate-usage", output, RECORDS, reports))
        .map_err(|source| MeterError::Records { path, source })
}

fn start_traces(telemetry: &Telemetry, traces: &TraceOptions) -> Result<(Lines, f64), MeterError> {
    let env = |name: &str| std::env::var(name).ok();
    let exporter = Exporter::new(Signal::Traces, &traces.destination, env, telemetry)?;
    Ok((exporter.start().map_err(MeterError::Thread)?, traces.sample))
}

fn start_record_logs(telemetry: &Telemetry, to: &Destination) -> Result<Lines, MeterError> {
    let env = |name: &str| std::env::var(name).ok();
    let exporter = Exporter::new(Signal::Logs, to, env, telemetry).map_err(MeterError::Logs)?;
    exporter.start().map_err(MeterError::Thread)
}
