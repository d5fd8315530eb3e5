//! From a configuration file to the live table, at start and whenever the file changes. A bad file never replaces a
//! good table.

use std::hash::{DefaultHasher, Hasher};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::simulate::SimulatedHost;
use super::tls::Certificate;
use crate::config::file::{Credentials, DialectName};
use crate::config::{self, Config, Overrides, ResolvedProvider, Surroundings};
use crate::gateway::{Gateway, Live};
use crate::metering::Meter;
use crate::routing::{RoutingTable, prices};
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

    /// The file of the configuration.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Embedded => None,
        }
    }

    /// Hash of the file's bytes.
    pub(super) fn content(&self) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        hasher.write(&std::fs::read(self.path()?).ok()?);
        Some(hasher.finish())
    }

    /// All files that matter while `config` is in use on listeners of `server`.
    pub(super) fn files(&self, config: &Config, server: &config::file::Server) -> Vec<PathBuf> {
        self.path().map(Path::to_owned).into_iter().chain(named(config, server)).collect()
    }

    /// Reads and checks the configuration, with what the command line says over it; notes are for the log.
    ///
    /// # Errors
    /// Everything that is wrong, a line each.
    pub fn read(&self, overrides: Overrides) -> Result<(Config, Vec<String>), Vec<String>> {
        let surroundings = Surroundings { overrides, ..Surroundings::process() };
        let (checked, mut notes) = match self {
            Self::File(path) => (config::check_file(path, &surroundings), Vec::new()),
            Self::Embedded => {
                let (config, notes) = config::embedded_default(&env);
                (config::check_typed(config, &self.shown(), &surroundings), notes)
            }
        };
        notes.extend(checked.problems.warnings().map(ToString::to_string));
        checked
            .into_result()
            .map(|config| (config, notes))
            .map_err(|problems| problems.errors().map(ToString::to_string).collect())
    }
}

pub(super) use config::environment as env;

/// Files that are read again when they change, besides the configuration itself: keys, certificates and prices.
fn named(config: &Config, server: &config::file::Server) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = config.prices.overlays.clone();
    for provider in config::resolve(config).iter().map(|resolved| &resolved.provider) {
        if let Some(Credentials::Secret(secret)) = &provider.credentials {
            files.extend(secret.file.clone());
        }
        let tls = provider.tls.iter().flat_map(|tls| [&tls.ca, &tls.certificate, &tls.key]);
        files.extend(tls.flatten().cloned());
    }
    files.extend(server.keys.iter().filter_map(|key| key.key.file.clone()));
    files.extend(server.tls.iter().flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]));
    files.sort();
    files.dedup();
    files
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
    pub(super) overrides: Overrides,
    pub(super) gateway: Arc<Gateway>,
    pub(super) telemetry: Telemetry,
    pub(super) simulated: Arc<SimulatedHost>,
    /// The parts of the configuration that a restart would be needed to change.
    pub(super) server: config::file::Server,
    pub(super) observe: config::file::Observe,
    /// The API listener's certificate.
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) last: Mutex<LastReload>,
    pub(super) files: Mutex<Vec<PathBuf>>,
    /// Those of them that hold prices: the table is compiled anew when they change.
    pub(super) prices: Mutex<Vec<PathBuf>>,
    /// Told when `files` are others.
    pub(super) files_changed: Notify,
    /// One reload at a time.
    pub(super) gate: tokio::sync::Mutex<()>,
    /// Hash of the file's bytes that the table in use was made of.
    pub(super) content: Mutex<Option<u64>>,
    /// Tables that calls may still use. The last to let go of a large one has work to do: not a call.
    pub(super) retired: Mutex<Vec<Arc<Live>>>,
}

impl Reloader {
    /// Reads the source again and puts its table into use, off the thread that asks.
    ///
    /// # Errors
    /// Everything that is wrong, a line each; the table in use stays.
    pub(super) async fn reload(self: &Arc<Self>, why: &'static str) -> Result<(), Vec<String>> {
        let _alone = self.gate.lock().await;
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || this.reload_here(why)).await;
        done.unwrap_or_else(|_| Err(vec!["the reload failed; see the log".into()]))
    }

    /// [`Reloader::reload`], unless the file holds what the table in use was made of: someone else was faster. After a
    /// refusal it is read all the same: who takes a bad change back wants to see that all is well again.
    pub(super) async fn reload_if_new(self: &Arc<Self>, why: &'static str) {
        let this = self.clone();
        let now = tokio::task::spawn_blocking(move || this.source.content()).await;
        let same = now.is_ok_and(|now| now.is_some() && now == *self.content.lock());
        if same && self.last().errors.is_empty() {
            return;
        }
        let _logged = self.reload(why).await;
    }

    fn reload_here(&self, why: &str) -> Result<(), Vec<String>> {
        let began = Instant::now();
        let result = self.attempt();
        let errors = result.as_ref().err().cloned().unwrap_or_default();
        *self.last.lock() = LastReload { at: SystemTime::now(), errors };
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
        self.refresh();
        result.map(drop)
    }

    fn attempt(&self) -> Result<Vec<String>, Vec<String>> {
        // Before the file is read: if it changes meanwhile, this is the older one's and the change is not missed.
        let content = self.source.content();
        let (config, mut notes) = self.source.read(self.overrides)?;
        for (section, changed) in
            [("server", config.server != self.server), ("observe", config.observe != self.observe)]
        {
            if changed {
                notes.push(format!("{section}: changes here need a restart; they are not in use yet"));
            }
        }
        let previous = self.gateway.live.load_full();
        let live = compile(&config, Some(&previous), &self.simulated, &self.gateway.meter)?;
        self.gateway.live.store(Arc::new(live));
        *self.content.lock() = content;
        self.retired.lock().push(previous);
        self.prices.lock().clone_from(&config.prices.overlays);
        let files = self.source.files(&config, &self.server);
        if std::mem::replace(&mut *self.files.lock(), files.clone()) != files {
            self.files_changed.notify_one();
        }
        Ok(notes)
    }

    /// Reads keys and certificates again where their files have changed, and clears up. Blocks.
    pub(super) fn refresh(&self) {
        self.gateway.live.load().upstreams.tend();
        self.gateway.keys.refresh();
        match self.certificate.as_ref().map(|certificate| certificate.refresh()) {
            Some(Ok(true)) => tracing::info!("server.tls: the certificate was read again"),
            // Half a pair while it is being replaced; the next look finds the other half.
            Some(Err(error)) => tracing::warn!(error, "server.tls: the certificate in use stays"),
            Some(Ok(false)) | None => {}
        }
        self.retired.lock().retain(|live| Arc::strong_count(live) > 1);
    }

    /// How the last reload went, and when it was.
    pub(super) fn last(&self) -> LastReload {
        self.last.lock().clone()
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
    let sellers = prices::sellers(&config.prices, &providers).map_err(|problems| vec![problems.to_string()])?;
    Ok(Live::new(table, upstreams, meter, &sellers))
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
