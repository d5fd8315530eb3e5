//! From a configuration file to the live table, at start and whenever the file changes. A bad file never replaces a
//! good table.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use super::simulate::SimulatedHost;
use crate::config::types::DialectName;
use crate::config::{self, Config, ResolvedProvider, Surroundings};
use crate::gateway::{Gateway, Live};
use crate::metering::Meter;
use crate::routing::RoutingTable;
use crate::telemetry::Telemetry;
use crate::upstream::Upstreams;

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// This file.
    File(PathBuf),
    /// What the environment's keys allow.
    Embedded,
}

impl Source {
    /// The source that `--config` names: a file, or a directory that holds `faregate.yaml`.
    pub fn new(path: Option<&Path>) -> Self {
        match path {
            Some(path) if path.is_dir() => Self::File(path.join("faregate.yaml")),
            Some(path) => Self::File(path.to_owned()),
            None => Self::Embedded,
        }
    }

    /// How people see it.
    pub fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Embedded => "built-in defaults".into(),
        }
    }

    /// Reads and checks the configuration; notes are for the log.
    ///
    /// # Errors
    /// Everything that is wrong, a line each.
    pub fn read(&self) -> Result<(Config, Vec<String>), Vec<String>> {
        match self {
            Self::Embedded => Ok(config::embedded_default(&env)),
            Self::File(path) => {
                let checked = config::check_file(path, &Surroundings::process());
                let notes = checked.problems.warnings().map(ToString::to_string).collect();
                checked
                    .into_result()
                    .map(|config| (config, notes))
                    .map_err(|problems| problems.errors().map(ToString::to_string).collect())
            }
        }
    }
}

pub(super) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// How the last reload went.
#[derive(Debug, Clone)]
pub(super) struct LastReload {
    pub(super) at: SystemTime,
    pub(super) errors: Vec<String>,
}

/// Replaces the live table.
pub(super) struct Reloader {
    pub(super) source: Source,
    pub(super) gateway: Arc<Gateway>,
    pub(super) telemetry: Telemetry,
    pub(super) simulated: Arc<SimulatedHost>,
    /// The part of the configuration that a restart would be needed to change.
    pub(super) server: config::types::Server,
    /// Held while a reload runs: one at a time.
    pub(super) last: Mutex<LastReload>,
}

impl Reloader {
    /// Reads the source again and puts its table into use. Blocks: not for a worker thread.
    ///
    /// # Errors
    /// Everything that is wrong, a line each; the table in use stays.
    pub(super) fn reload(&self, why: &str) -> Result<(), Vec<String>> {
        let mut last = self.last.lock();
        let began = Instant::now();
        let result = self.attempt();
        last.at = SystemTime::now();
        last.errors = result.as_ref().err().cloned().unwrap_or_default();
        drop(last);
        self.gateway.keys.refresh();
        match &result {
            Ok(notes) => {
                let live = self.gateway.live.load();
                let (generation, hash) = (live.table.generation, &*live.table.hash);
                self.telemetry.config_taken(generation, hash);
                let took = began.elapsed();
                tracing::info!(why, generation, hash, ?took, source = self.source.shown(), "configuration reloaded");
                notes.iter().for_each(|note| tracing::warn!("{note}"));
            }
            Err(errors) => {
                self.telemetry.config_refused();
                for error in errors {
                    tracing::error!(why, "configuration refused: {error}");
                }
                tracing::error!(why, "the routing table in use stays");
            }
        }
        result.map(drop)
    }

    fn attempt(&self) -> Result<Vec<String>, Vec<String>> {
        let (config, mut notes) = self.source.read()?;
        if config.server != self.server {
            notes.push("server: changes here need a restart; they are not in use yet".into());
        }
        let previous = self.gateway.live.load_full();
        let live = compile(&config, Some(&previous), &self.simulated, &self.gateway.meter)?;
        self.gateway.live.store(Arc::new(live));
        Ok(notes)
    }

    /// The errors of the last reload, and when it was.
    pub(super) fn last(&self) -> Option<LastReload> {
        self.last.try_lock_for(Duration::from_millis(100)).map(|last| last.clone())
    }
}

/// Makes a configuration ready to serve.
///
/// # Errors
/// Everything that is wrong, a line each.
pub(super) fn compile(
    config: &Config,
    previous: Option<&Live>,
    simulated: &SimulatedHost,
    meter: &Meter,
) -> Result<Live, Vec<String>> {
    let mut providers = config::resolve(config);
    for provider in providers.iter_mut().filter(|provider| provider.provider.simulate.is_some()) {
        let address = simulated.address().map_err(|error| vec![format!("providers.{}: {error}", provider.name)])?;
        point_at(provider, address);
    }
    let table = RoutingTable::compile_resolved(config, &providers, previous.map(|live| &live.table))
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    simulated.configure(table.providers());
    let upstreams = Upstreams::compile(&table, previous.map(|live| &live.upstreams), env)?;
    Ok(Live::new(table, upstreams, meter))
}

/// Gives a simulated provider its address in this process; the path tells several apart.
fn point_at(provider: &mut ResolvedProvider, address: SocketAddr) {
    let root = format!("http://{address}/{}", provider.name);
    provider.endpoints = [
        (DialectName::Openai, format!("{root}/v1")),
        (DialectName::Anthropic, format!("{root}/v1")),
        (DialectName::Opaque, root),
    ]
    .into();
}
