//! Putting a process together, and running it until it is told to stop.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{ListenFds, RunArgs, Server, ShutdownWatch};
use pingora_core::services::Service;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

use super::begin::Begun;
use super::control::{ControlParts, ControlService};
use super::h1::{Handler, Manners, serve_connection};
use super::h2::H2App;
use super::handover::{self, Old, Taken};
use super::inbound::{Inbound, is_h2};
use super::listen::{Accepting, Bound, ListenError};
use super::observe::{ready, settings, start_logs};
use super::passed::Passed;
use super::reload::{LastReload, Reloader};
use super::simulate::{Simulated, SimulatedHost};
use super::source::env;
use super::stop::Stop;
use super::tls::Certificate;
use super::upgrade::Upgrade;
use super::workers::Workers;
use crate::config::{self, Overrides};
use crate::distribution::{Address, Authorities, Control, Keeper};
use crate::gateway::{self, BodyBudget, Downstream, Gateway, InboundKeys};
use crate::http1::RequestHead;
use crate::metering::MeterError;
use crate::telemetry::{Telemetry, logs};

/// What `faregate run` is told.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The configuration file, or a directory that holds `faregate.yaml`.
    pub config: Option<PathBuf>,
    /// Addresses of the command line, over the configuration's.
    pub overrides: Overrides,
    /// Print the addresses as a JSON line on standard output once calls can come.
    pub print_addresses: bool,
    /// Take the listeners over from the process that runs.
    pub upgrade: bool,
    /// The control plane to follow.
    pub control: Option<ControlOptions>,
}

/// How a process follows a control plane.
#[derive(Debug, Clone)]
pub struct ControlOptions {
    /// Its `https` URL.
    pub url: String,
    /// The authorities that vouch for it: PEM, or a file with such. The system's where there are none.
    pub ca: Option<String>,
    /// The file with this process's token.
    pub token: PathBuf,
    /// The directory for what outlives this process.
    pub state: Option<PathBuf>,
    /// A table that was refused is tried again after this time.
    pub again: Duration,
}

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration has errors, a line each.
    #[error("{}", .0.join("\n"))]
    Config(Vec<String>),
    /// The control plane's URL is none.
    #[error("--control: {0}")]
    Control(String),
    /// An address cannot be listened on.
    #[error("server.{key}: {error}")]
    Listen {
        /// Key of the address.
        key: &'static str,
        /// Why not.
        error: ListenError,
    },
    /// The listeners that the service manager passed are not those of the configuration.
    #[error("LISTEN_FDS: {0}")]
    Passed(String),
    /// The listeners of a running process cannot be taken over.
    #[error("server.upgrade_socket: {0}")]
    Upgrade(String),
    /// The listener's TLS files cannot be used.
    #[error("server.tls: {0}")]
    Tls(String),
    /// The workers' threads cannot be started.
    #[error("server.workers: {0}")]
    Threads(#[source] io::Error),
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
    hold_signals();
    let passed = Passed::from_environment().map_err(RunError::Passed)?;
    let telemetry = Telemetry::new().map_err(|error| RunError::Observe(error.to_string()))?;
    let control = options.control.as_ref().map(|to| control(to, &telemetry)).transpose()?;
    let begun = Begun::choose(options, control.as_deref())?;
    start_logs(&begun.config)?;
    let simulated = Arc::new(SimulatedHost::default());
    let (begun, (meter, live)) = match ready(&begun, &telemetry, &simulated) {
        Ok(made) => (begun, made),
        Err(error) => {
            let other = begun.instead(error)?;
            let made = ready(&other, &telemetry, &simulated)?;
            (other, made)
        }
    };
    let Begun { source, config, content, notes, .. } = begun;
    notes.iter().for_each(|note| tracing::warn!("{note}"));
    let keys = InboundKeys::new(config.server.keys.clone(), env).map_err(RunError::Config)?;
    let certificate = config.server.tls.clone().map(|files| Certificate::new(files).map(Arc::new)).transpose();
    let certificate = certificate.map_err(RunError::Tls)?;
    let acceptor = certificate.as_ref().map(|certificate| certificate.acceptor()).transpose().map_err(RunError::Tls)?;
    let Listeners { api, admin, old } = Listeners::open(&config.server, options.upgrade, passed)?;
    let (api_address, admin_address) = (api.address, admin.address);
    telemetry.config_taken(live.table.generation, &live.table.hash);
    telemetry.table_from(source.label());

    let bodies = BodyBudget::new(config.server.limits.bodies_in_flight.0);
    let gateway = Arc::new(Gateway::new(live, meter.clone(), keys, bodies, settings(&config)));
    let reloader = Arc::new(Reloader {
        source: Mutex::new(source.clone()),
        control,
        overrides: options.overrides,
        gateway: gateway.clone(),
        telemetry,
        simulated: simulated.clone(),
        server: config.server.clone(),
        observe: config.observe.clone(),
        certificate,
        last: Mutex::new(LastReload { at: SystemTime::now(), errors: Vec::new() }),
        files: Mutex::new(source.files(&config, &config.server)),
        prices: Mutex::new(config.prices.overlays.clone()),
        files_changed: Notify::new(),
        gate: tokio::sync::Mutex::default(),
        content: Mutex::new(content),
        retired: Mutex::default(),
    });
    let manners = Arc::new(Manners {
        max_head: config.server.limits.head.0,
        timeouts: config.server.client_timeouts.clone(),
        half_close: config.server.half_close,
    });
    let (stop_api, api_stops) = watch::channel(false);
    let (stop_admin, admin_stops) = watch::channel(false);
    let connections = Arc::new(AtomicUsize::new(0));
    let (replaced, serving) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let upgrade = Upgrade::new(&config.server, [&api, &admin], old, replaced.clone(), api_stops.clone());

    let workers = Workers::start(config.server.workers).map_err(RunError::Threads)?;
    let workers = Arc::new(workers);
    let mut server = Server::new_with_opt_and_conf(None, server_conf());
    let handshake = config.server.client_timeouts.head.0;
    server.add_service(ApiService(Some(ApiParts {
        bound: api,
        accepting: Accepting {
            tls: acceptor.map(|acceptor| (Arc::new(acceptor), handshake)),
            max: config.server.limits.connections,
            stop: api_stops,
            open: connections.clone(),
            workers: Some(workers.clone()),
        },
        gateway: gateway.clone(),
        manners: manners.clone(),
        simulated,
        serving: serving.clone(),
    })));
    server.add_service(ControlService(Some(ControlParts {
        bound: admin,
        stops: admin_stops,
        reloader,
        manners,
        serving,
        upgrade,
    })));
    tracing::info!(api = %api_address, admin = %admin_address, source = source.shown(), version = env!("CARGO_PKG_VERSION"), "listening");
    if options.print_addresses {
        print_addresses(api_address, admin_address);
    }
    let grace = config.server.grace.0;
    let stop = Stop { gateway, api: stop_api, admin: stop_admin, connections, grace, replaced };
    server.run(RunArgs { shutdown_signal: Box::new(stop) });
    // Calls that are cut off leave their records here.
    workers.stop();
    meter.shutdown();
    logs::flush(Duration::from_secs(2));
    Ok(())
}

fn control(to: &ControlOptions, telemetry: &Telemetry) -> Result<Arc<Control>, RunError> {
    let address = Address::parse(&to.url).map_err(|error| RunError::Control(error.to_string()))?;
    let (authorities, keeper) = (Authorities::new(to.ca.as_deref()), Keeper::new(to.state.clone()));
    let mut control = Control::new(address, authorities, to.token.clone(), keeper, telemetry.clone());
    control.again = to.again;
    Ok(Arc::new(control))
}

fn server_conf() -> ServerConf {
    ServerConf {
        threads: 1,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}

/// The open listeners, and the process that they were taken over from.
struct Listeners {
    api: Bound,
    admin: Bound,
    old: Option<Old>,
}

impl Listeners {
    /// Those of the process that runs, where one is to be relieved; else those that were passed; else new ones.
    fn open(server: &config::file::Server, upgrade: bool, mut passed: Passed) -> Result<Self, RunError> {
        let taken = if upgrade { take(server.upgrade_socket.as_deref())? } else { None };
        let (api, admin, old) = match taken {
            Some(Taken { api, admin, old }) => (Bound::inherited(api).ok(), Bound::inherited(admin).ok(), Some(old)),
            None => (passed.take(server.listen), passed.take(server.admin), None),
        };
        if let Some(address) = passed.left_over().filter(|_| old.is_none()) {
            return Err(RunError::Passed(format!(
                "{address} is neither server.listen ({}) nor server.admin ({}); make `ListenStream=` and the \
                 configuration agree",
                server.listen, server.admin
            )));
        }
        Ok(Self { api: listener("listen", server.listen, api)?, admin: listener("admin", server.admin, admin)?, old })
    }
}

fn take(socket: Option<&Path>) -> Result<Option<Taken>, RunError> {
    let socket = socket.ok_or_else(|| {
        RunError::Upgrade("set it to the path of a Unix socket, in the running process's configuration too".into())
    })?;
    let taken = handover::take(socket).map_err(|error| {
        RunError::Upgrade(format!("{}: the running process does not hand over: {error}", socket.display()))
    })?;
    if taken.is_none() {
        tracing::info!(socket = %socket.display(), "no process to take over from");
    }
    Ok(taken)
}

/// The listener that was taken over where it is what the configuration wants, else a new one.
fn listener(key: &'static str, address: SocketAddr, taken: Option<Bound>) -> Result<Bound, RunError> {
    match taken.filter(|bound| bound.fits(address)) {
        Some(bound) => Ok(bound),
        None => Bound::open(address).map_err(|error| RunError::Listen { key, error }),
    }
}

/// From here on no SIGHUP or SIGUSR2 ends the process, as they do where nobody handles them. One that comes before
/// there is anything to do for it does nothing: what it asks for is being done.
fn hold_signals() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
    let _entered = runtime.enter();
    for kind in [SignalKind::hangup(), SignalKind::user_defined2()] {
        // What is registered once stays so for the life of the process. Who serves registers again, and tells of failure.
        let _held = signal(kind);
    }
}

/// Both listeners queue connections already, so whoever reads this may call.
fn print_addresses(api: SocketAddr, admin: SocketAddr) {
    let line = serde_json::json!({ "api": api.to_string(), "admin": admin.to_string() });
    let mut out = std::io::stdout().lock();
    let _closed = writeln!(out, "{line}").and_then(|()| out.flush());
}

struct ApiParts {
    bound: Bound,
    accepting: Accepting,
    gateway: Arc<Gateway>,
    manners: Arc<Manners>,
    simulated: Arc<SimulatedHost>,
    serving: Arc<Notify>,
}

/// The API's listener, and the simulated provider's: connections are accepted here and served by the workers.
struct ApiService(Option<ApiParts>);

#[async_trait]
impl Service for ApiService {
    async fn start_service(&mut self, _: Option<ListenFds>, _: ShutdownWatch, _: usize) {
        let Some(ApiParts { bound, accepting, gateway, manners, simulated, serving }) = self.0.take() else { return };
        let handler = Arc::new(Api(gateway));
        let h2 = H2App::new(handler.clone(), manners.clone());
        let stop = accepting.stop.clone();
        let workers = accepting.workers.clone();
        let simulated_manners = manners.clone();
        let serve = move |stream: Inbound| {
            let (handler, h2, manners, stop) = (handler.clone(), h2.clone(), manners.clone(), stop.clone());
            async move {
                match stream {
                    Inbound::Tls(stream) if is_h2(&stream) => Box::pin(h2.serve(stream, stop)).await,
                    stream => serve_connection(handler, stream, manners).await,
                }
            }
        };
        tokio::spawn(async move {
            let bound = simulated.bound().await;
            let handler = Arc::new(Simulated(simulated));
            let serve = move |stream| serve_connection(handler.clone(), stream, simulated_manners.clone());
            // Never stopped: calls in flight may still need it. It ends with the process.
            let (_never, stop) = watch::channel(false);
            bound.accept(Accepting { tls: None, max: 0, stop, open: Arc::default(), workers }, serve).await;
        });
        serving.notify_one();
        bound.accept(accepting, serve).await;
    }

    fn name(&self) -> &str {
        "api"
    }
}
