//! Putting a process together, and running it until it is told to stop.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::listeners::tls::{Acceptor, TlsSettings};
use pingora_core::protocols::ALPN;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{ListenFds, RunArgs, Server, ShutdownWatch};
use pingora_core::services::Service;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

use super::admin::Admin;
use super::h1::{Handler, Manners, serve_connection};
use super::h2::H2App;
use super::listen::{Bound, ListenError};
use super::reload::{self, LastReload, Reloader, Source};
use super::simulate::{Simulated, SimulatedHost};
use super::stop::Stop;
use super::watch::FileWatch;
use crate::config::Config;
use crate::config::types::{LogFormat, ServerTls};
use crate::gateway::{self, BodyBudget, Downstream, Gateway, InboundKeys, Settings};
use crate::http1::RequestHead;
use crate::metering::{Meter, MeterError, MeterOptions};
use crate::telemetry::{Telemetry, logs};

/// How often keys are looked at for a change, and idle connections for their age.
const TEND: Duration = Duration::from_secs(2);

/// What `faregate run` is told.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The configuration file, or a directory that holds `faregate.yaml`.
    pub config: Option<PathBuf>,
    /// Print the addresses as a JSON line on standard output once calls can come.
    pub print_addresses: bool,
}

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration has errors, a line each.
    #[error("{}", .0.join("\n"))]
    Config(Vec<String>),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The listener's TLS files cannot be used.
    #[error("server.tls: {0}")]
    Tls(String),
    /// Usage records or logs cannot be written.
    #[error("observe: {0}")]
    Observe(String),
}

impl From<MeterError> for RunError {
    fn from(error: MeterError) -> Self {
        Self::Observe(error.to_string())
    }
}

/// The API's handler.
struct Api(Arc<Gateway>);

impl Handler for Api {
    async fn call<D: Downstream>(&self, head: &RequestHead, down: &mut D, accepted: Instant) {
        gateway::serve(&self.0, head, down, accepted).await;
    }

    fn is_stopping(&self) -> bool {
        self.0.is_stopping()
    }
}

/// Runs until the process is told to stop.
///
/// # Errors
/// Why it cannot start.
pub fn run(options: &RunOptions) -> Result<(), RunError> {
    let source = Source::new(options.config.as_deref());
    let (config, notes) = source.read().map_err(RunError::Config)?;
    start_logs(&config)?;
    notes.iter().for_each(|note| tracing::warn!("{note}"));

    let telemetry = Telemetry::new().map_err(|error| RunError::Observe(error.to_string()))?;
    let meter = Meter::new(telemetry.clone(), meter_options(&config))?;
    let simulated = Arc::new(SimulatedHost::default());
    let live = reload::compile(&config, None, &simulated, &meter).map_err(RunError::Config)?;
    let keys = InboundKeys::new(config.server.keys.clone(), reload::env).map_err(RunError::Config)?;
    let tls = config.server.tls.as_ref().map(acceptor).transpose()?;
    let api = Bound::open(config.server.listen)?;
    let admin = Bound::open(config.server.admin)?;
    let (api_address, admin_address) = (api.address, admin.address);
    telemetry.config_taken(live.table.generation, &live.table.hash);

    let bodies = BodyBudget::new(config.server.limits.bodies_in_flight.0);
    let gateway = Arc::new(Gateway::new(live, meter.clone(), keys, bodies, settings(&config)));
    let last = Mutex::new(LastReload { at: SystemTime::now(), errors: Vec::new() });
    let reloader = Arc::new(Reloader {
        source: source.clone(),
        gateway: gateway.clone(),
        telemetry,
        simulated: simulated.clone(),
        server: config.server.clone(),
        last,
    });
    let manners = Arc::new(Manners {
        max_head: config.server.limits.head.0,
        timeouts: config.server.client_timeouts.clone(),
        half_close: config.server.half_close,
    });
    let (stop, stopping) = watch::channel(false);
    let workers = match config.server.workers {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        n => n,
    };

    let conf = ServerConf {
        threads: workers,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    let max_connections = config.server.limits.connections;
    server.add_service(ApiService(Some((
        api,
        tls,
        gateway.clone(),
        manners.clone(),
        simulated,
        max_connections,
        stopping.clone(),
    ))));
    server.add_service(ControlService(Some((admin, reloader, manners, stopping))));
    tracing::info!(api = %api_address, admin = %admin_address, source = source.shown(), version = env!("CARGO_PKG_VERSION"), "listening");
    if options.print_addresses {
        print_addresses(api_address, admin_address);
    }
    let grace = config.server.grace.0;
    let stop = Stop { gateway, listeners: stop, grace, replaced: Arc::new(Notify::new()) };
    server.run(RunArgs { shutdown_signal: Box::new(stop) });
    meter.shutdown();
    logs::flush(Duration::from_secs(2));
    Ok(())
}

/// Both listeners queue connections already, so whoever reads this may call.
fn print_addresses(api: SocketAddr, admin: SocketAddr) {
    let line = serde_json::json!({ "api": api.to_string(), "admin": admin.to_string() });
    let mut out = std::io::stdout().lock();
    let _closed = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn start_logs(config: &Config) -> Result<(), RunError> {
    let format = match config.observe.log.format {
        LogFormat::Text => logs::LogFormat::Text,
        LogFormat::Json => logs::LogFormat::Json,
    };
    logs::init(format, config.observe.log.level.as_deref()).map_err(|error| RunError::Observe(error.to_string()))
}

fn meter_options(config: &Config) -> MeterOptions {
    let observe = &config.observe;
    let app = observe.app.clone().or_else(|| reload::env("FAREGATE_APP").filter(|app| !app.is_empty()));
    MeterOptions {
        default_app: app.unwrap_or_else(|| "unknown".into()),
        max_apps: observe.max_apps,
        records: observe.usage_records.as_ref().map(|records| records.path.clone()),
        log_calls: observe.log.calls,
        ..MeterOptions::default()
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        max_body: config.server.limits.body.0,
        max_calls: config.server.limits.calls,
        app_header: config.observe.app_header.to_ascii_lowercase().into(),
        response_headers: config.observe.response_headers,
    }
}

fn acceptor(tls: &ServerTls) -> Result<Arc<Acceptor>, RunError> {
    let text = |path: &std::path::Path| {
        let shown = path.display().to_string();
        std::fs::metadata(path).map_err(|error| RunError::Tls(format!("{shown}: {error}")))?;
        Ok::<_, RunError>(shown)
    };
    let (certificate, key) = (text(&tls.certificate)?, text(&tls.key)?);
    let mut settings =
        TlsSettings::intermediate(&certificate, &key).map_err(|error| RunError::Tls(error.to_string()))?;
    settings.set_alpn(ALPN::H2H1);
    Ok(Arc::new(settings.build()))
}

type ApiParts =
    (Bound, Option<Arc<Acceptor>>, Arc<Gateway>, Arc<Manners>, Arc<SimulatedHost>, usize, watch::Receiver<bool>);

/// The API's listener, and the simulated provider's, on the workers' threads.
struct ApiService(Option<ApiParts>);

#[async_trait]
impl Service for ApiService {
    async fn start_service(&mut self, _: Option<ListenFds>, _: ShutdownWatch, _: usize) {
        let Some((bound, tls, gateway, manners, simulated, max_connections, stopping)) = self.0.take() else { return };
        let handler = Arc::new(Api(gateway));
        let h2 = H2App::new(handler.clone(), manners.clone());
        let stop = stopping.clone();
        let encrypted = tls.is_some();
        let simulated_manners = manners.clone();
        let serve = move |stream: pingora_core::protocols::Stream| {
            let (handler, h2, manners, stop) = (handler.clone(), h2.clone(), manners.clone(), stop.clone());
            async move {
                if encrypted && matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
                    h2.serve(stream, stop).await;
                } else {
                    serve_connection(handler, stream, manners).await;
                }
            }
        };
        tokio::spawn(async move {
            let bound = simulated.bound().await;
            let handler = Arc::new(Simulated(simulated));
            let serve = move |stream| serve_connection(handler.clone(), stream, simulated_manners.clone());
            // Never stopped: calls in flight may still need it. It ends with the process.
            let (_never, stop) = watch::channel(false);
            bound.accept(None, 0, stop, serve).await;
        });
        bound.accept(tls, max_connections, stopping, serve).await;
    }

    fn name(&self) -> &str {
        "api"
    }
}

/// The admin listener, reload and what else is not on a call's way, on a thread of its own.
struct ControlService(Option<(Bound, Arc<Reloader>, Arc<Manners>, watch::Receiver<bool>)>);

#[async_trait]
impl Service for ControlService {
    async fn start_service(&mut self, _: Option<ListenFds>, _: ShutdownWatch, _: usize) {
        let Some((bound, reloader, manners, _)) = self.0.take() else { return };
        tokio::spawn(reload_on_change(reloader.clone()));
        tokio::spawn(reload_on_signal(reloader.clone()));
        tokio::spawn(tend(reloader.clone()));
        let handler = Arc::new(Admin { reloader });
        let serve = move |stream| serve_connection(handler.clone(), stream, manners.clone());
        // Metrics and health are served to the end.
        let (_never, stop) = watch::channel(false);
        bound.accept(None, 0, stop, serve).await;
    }

    fn name(&self) -> &str {
        "control"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

async fn reload(reloader: &Arc<Reloader>, why: &'static str) {
    let reloader = reloader.clone();
    let _logged = tokio::task::spawn_blocking(move || reloader.reload(why)).await;
}

async fn reload_on_change(reloader: Arc<Reloader>) {
    let Source::File(path) = &reloader.source else { return };
    let mut watch = FileWatch::new(path);
    loop {
        watch.changed().await;
        reload(&reloader, "file changed").await;
    }
}

async fn reload_on_signal(reloader: Arc<Reloader>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        reloader.gateway.meter.reopen();
        reload(&reloader, "SIGHUP").await;
    }
}

async fn tend(reloader: Arc<Reloader>) {
    loop {
        tokio::time::sleep(TEND).await;
        let gateway = reloader.gateway.clone();
        let _done = tokio::task::spawn_blocking(move || {
            gateway.live.load().upstreams.tend();
            gateway.keys.refresh();
        })
        .await;
    }
}
