//! From a configuration to the live table, at start and whenever another comes. A bad file never replaces a
//! good table.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::simulate::SimulatedHost;
use super::source::{Source, env};
use super::tls::Certificate;
use crate::config::file::DialectName;
use crate::config::{self, Config, Overrides, ResolvedProvider};
use crate::distribution::Control;
use crate::gateway::{Gateway, Live};
use crate::metering::Meter;
use crate::routing::{RoutingTable, prices};
use crate::telemetry::Telemetry;
use crate::upstream::Upstreams;

/// How the last reload went.
#[derive(Debug, Clone)]
pub(super) struct LastReload {
    pub(super) at: SystemTime,
    pub(super) errors: Vec<String>,
}

/// Replaces the live table.
pub(super) struct Reloader {
    /// Where the table in use came from.
    pub(super) source: Mutex<Source>,
    /// The control plane that this process follows.
    pub(super) control: Option<Arc<Control>>,
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
        self.begin(None, why).await
    }

    /// Puts the table of this source into use, from now on the one that is read again.
    ///
    /// # Errors
    /// Everything that is wrong, a line each; the table in use stays, and its source.
    pub(super) async fn put(self: &Arc<Self>, source: Source, why: &'static str) -> Result<(), Vec<String>> {
        self.begin(Some(source), why).await
    }

    async fn begin(self: &Arc<Self>, source: Option<Source>, why: &'static str) -> Result<(), Vec<String>> {
        let _alone = self.gate.lock().await;
        let this = self.clone();
        let source = source.unwrap_or_else(|| self.source());
        let done = tokio::task::spawn_blocking(move || this.reload_here(source, why)).await;
        done.unwrap_or_else(|_| Err(vec!["the reload failed; see the log".into()]))
    }

    /// [`Reloader::reload`], unless the file holds what the table in use was made of: someone else was faster. After a
    /// refusal it is read all the same: who takes a bad change back wants to see that all is well again.
    pub(super) async fn reload_if_new(self: &Arc<Self>, why: &'static str) {
        let this = self.clone();
        let now = tokio::task::spawn_blocking(move || this.source().content()).await;
        let same = now.is_ok_and(|now| now.is_some() && now == *self.content.lock());
        if same && self.last().errors.is_empty() {
            return;
        }
        let _logged = self.reload(why).await;
    }

    /// Where the table in use came from.
    pub(super) fn source(&self) -> Source {
        self.source.lock().clone()
    }

    /// Control says that the table that was kept is the right one still.
    pub(super) fn confirmed(&self) {
        if let Source::Distributed(distributed) = &mut *self.source.lock() {
            distributed.kept = false;
            self.telemetry.table_from("control");
        }
    }

    fn reload_here(&self, source: Source, why: &str) -> Result<(), Vec<String>> {
        let began = Instant::now();
        let result = self.attempt(&source);
        let errors = result.as_ref().err().cloned().unwrap_or_default();
        *self.last.lock() = LastReload { at: SystemTime::now(), errors };
        match &result {
            Ok(notes) => {
                let live = self.gateway.live.load();
                let (generation, hash) = (live.table.generation, &*live.table.hash);
                self.telemetry.config_taken(generation, hash);
                self.telemetry.table_from(source.label());
                let took = began.elapsed();
                tracing::info!(why, generation, hash, ?took, source = source.shown(), "configuration reloaded");
                notes.iter().for_each(|note| tracing::warn!("{note}"));
                *self.source.lock() = source;
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

    fn attempt(&self, source: &Source) -> Result<Vec<String>, Vec<String>> {
        // Before the file is read: if it changes meanwhile, this is the older one's and the change is not missed.
        let content = source.content();
        let (config, mut notes) = source.read(self.overrides)?;
        for (section, changed) in
            [("server", config.server != self.server), ("observe", config.observe != self.observe)]
        {
            if changed {
                notes.push(format!("{section}: changes here need a restart; they are not in use yet"));
            }
        }
        let previous = self.gateway.live.load_full();
        let live = compile(&config, source, Some(&previous), &self.simulated, &self.gateway.meter)?;
        self.gateway.live.store(Arc::new(live));
        *self.content.lock() = content;
        self.retired.lock().push(previous);
        self.prices.lock().clone_from(&config.prices.overlays);
        let files = source.files(&config, &self.server);
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
    source: &Source,
    previous: Option<&Live>,
    simulated: &SimulatedHost,
    meter: &Meter,
) -> Result<Live, Vec<String>> {
    let mut providers = config::resolve(config);
    for provider in providers.iter_mut().filter(|provider| provider.provider.simulate.is_some()) {
        let address = simulated.address().map_err(|error| vec![format!("providers.{}: {error}", provider.name)])?;
        point_at(provider, address);
    }
    let mut table = RoutingTable::compile_resolved(config, &providers, previous.map(|live| &live.table))
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    if let Some(version) = source.version() {
        table.hash = version.to_string();
    }
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
