//! Log lines on standard error, as text or JSON, by way of a bounded queue: a stuck terminal or a full pipe loses log
//! lines (counted in `faregate_log_lines_dropped_total`) and never stops a call.
//!
//! Pingora logs by the `log` crate; its lines arrive here too, from `warn` up unless the filter names `pingora`.
//! Start with [`init`].

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use super::lines::{Limits, Lines, Reports};
use super::output::Output;

/// The target of the one line per call.
pub const CALL_TARGET: &str = "faregate::call";

/// Set before the user's filter, so that the user's own words win. A directive covers targets by prefix.
const TAMED: &str = "pingora=warn,h2=warn,rustls=warn,hyper=warn";

const LIMITS: Limits = Limits { linger: Duration::from_millis(2), wake: 64 << 10, most: 1 << 20 };

static LINES: OnceLock<Lines> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Text for people or JSON for machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter (RUST_LOG, or the one configured) cannot be read.
    #[error("log filter `{filter}`: {source}")]
    Filter {
        /// The filter as written.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Standard error or a thread is not to be had.
    #[error("log output: {0}")]
    Output(#[from] io::Error),
    /// Logging was set up before.
    #[error("log: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up logging for the whole process. `filter` is a level (`info`) or a tracing filter
/// (`info,faregate::upstream=debug`), `info` when absent; the environment variable RUST_LOG wins over it.
///
/// # Errors
/// See [`LogError`].
pub fn init(format: LogFormat, filter: Option<&str>) -> Result<(), LogError> {
    let from_env = std::env::var("RUST_LOG").ok().filter(|words| !words.trim().is_empty());
    let filter = parse_filter(from_env.as_deref().or(filter).unwrap_or("info"))?;
    let reports = Reports {
        lost: Box::new(|_, lines| {
            DROPPED.fetch_add(lines, Relaxed);
        }),
        refused: Box::new(|_| {}),
    };
    if LINES.get().is_none() {
        let _ = LINES.set(Lines::start("faregate-log", Output::stderr()?, LIMITS, reports)?);
    }
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Queue);
    match format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).finish().try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).finish().try_init()?,
    }
    Ok(())
}

/// Writes what is still queued, waiting for standard error for at most so long. Call it before the process exits.
pub fn flush(wait: Duration) {
    if let Some(lines) = LINES.get() {
        lines.flush(wait);
    }
}

/// Log lines lost since the start.
pub(super) fn lines_dropped() -> u64 {
    DROPPED.load(Relaxed)
}

fn parse_filter(words: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder()
        .parse(format!("{TAMED},{words}"))
        .map_err(|source| LogError::Filter { filter: words.into(), source })
}

/// Hands each formatted event, one write call, to the queue.
struct Queue;

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Queue;

    fn make_writer(&'a self) -> Queue {
        Queue
    }
}

impl io::Write for Queue {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        if let Some(lines) = LINES.get() {
            lines.push(event);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
