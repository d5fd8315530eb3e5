//! What `faregate bill` and `faregate advise` have in common: where calls are read from, and which of them count.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;

use crate::billing::prometheus::Client;
use crate::billing::{Filter, GatherError, Input, Moment, Period, Record, Seen, gather};

/// How often a terminal sees how far it is.
const OFTEN: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(super) struct CallArgs {
    /// Files of usage records, compressed with gzip or not; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Counters of this Prometheus, instead of files. A bearer token is taken from FAREGATE_PROMETHEUS_TOKEN.
    #[arg(long, value_name = "URL", conflicts_with = "files")]
    pub(super) prometheus: Option<String>,
    /// From when on: 30d, 12h (ago), 2026-11-01, 2026-11-01T08:00:00Z. With a Prometheus 30d is the default.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Up to when, not included. By default there is no end; with a Prometheus it is now.
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Only calls of these apps.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    app: Vec<String>,
    /// Only calls to these providers.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    provider: Vec<String>,
    /// Only these models, as they were sent; `*` is any run of characters.
    #[arg(long, value_name = "MODEL", value_delimiter = ',')]
    model: Vec<String>,
}

impl CallArgs {
    /// Which calls count.
    ///
    /// # Errors
    /// What is wrong with the command line.
    pub(super) fn filter(&self) -> Result<Filter, String> {
        if self.files.is_empty() && self.prometheus.is_none() {
            return Err("name files of usage records, `-` for standard input, or --prometheus URL".into());
        }
        let now = Moment::from(SystemTime::now());
        let told = |name: &str, text: &Option<String>| {
            text.as_deref().map(|text| Moment::told(text, now).map_err(|why| format!("{name}: {why}"))).transpose()
        };
        let mut period = Period { since: told("--since", &self.since)?, until: told("--until", &self.until)? };
        if self.prometheus.is_some() {
            let until = *period.until.get_or_insert(now);
            period.since.get_or_insert(Moment(until.0.saturating_sub(30 * 86_400_000_000)));
        }
        if period.since.zip(period.until).is_some_and(|(since, until)| since >= until) {
            return Err("--since must be before --until".into());
        }
        Ok(Filter {
            period,
            apps: self.app.clone(),
            providers: self.provider.clone(),
            models: self.model.iter().map(|model| model.to_lowercase()).collect(),
        })
    }

    /// Reads the files; `each` is given the calls that count. Shows how far it is, and what could not be read.
    ///
    /// # Errors
    /// A file that cannot be read, or no record in any.
    pub(super) fn read(&self, filter: &Filter, mut each: impl FnMut(&Record<'_>)) -> Result<(Seen, u64), GatherError> {
        let inputs: Vec<Input> = self.files.iter().map(|path| Input::named(path)).collect();
        let size = |input: &Input| match input {
            Input::Stdin => None,
            Input::File(path) => path.metadata().ok().map(|file| file.len()),
        };
        let mut progress = Progress::new(inputs.iter().map(size).sum());
        let mut left_out = 0;
        let count = |record: &Record<'_>| if filter.admits(record) { each(record) } else { left_out += 1 };
        let seen = gather(&inputs, count, |seen| progress.tell(seen));
        progress.clear();
        let seen = seen?;
        if let Some((file, line, why)) = &seen.first_broken {
            let lines = if seen.broken == 1 { "1 line is".into() } else { format!("{} lines are", seen.broken) };
            eprintln!("faregate: {lines} no usage record and left out; the first, {file}:{line}: {why}");
        }
        Ok((seen, left_out))
    }
}

/// A line on a terminal that says how far it is; nothing where standard error is none.
struct Progress {
    shown: bool,
    terminal: bool,
    last: Instant,
    /// Bytes of all files, where that is known.
    all: Option<u64>,
}

impl Progress {
    fn new(all: Option<u64>) -> Self {
        Self { shown: false, terminal: std::io::stderr().is_terminal(), last: Instant::now(), all }
    }

    fn tell(&mut self, seen: &Seen) {
        if !self.terminal || self.last.elapsed() < OFTEN {
            return;
        }
        self.last = Instant::now();
        self.shown = true;
        let (records, mib) = (seen.records, seen.bytes >> 20);
        let of = self.all.map(|all| format!(" of {}", all >> 20)).unwrap_or_default();
        let _gone = write!(std::io::stderr(), "\r{records} records, {mib}{of} MiB\x1b[K");
    }

    fn clear(&self) {
        if self.shown {
            let _gone = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// The Prometheus that was named, with the token of the environment.
///
/// # Errors
/// What is wrong with either.
pub(super) fn prometheus(url: &str) -> Result<Client, String> {
    let token = std::env::var("FAREGATE_PROMETHEUS_TOKEN").ok().filter(|token| !token.trim().is_empty());
    Client::new(url, token.as_deref().map(str::trim)).map_err(|error| error.to_string())
}
