//! The control plane as one process: what is started, in which order, and how it stops.
//!
//! Composition alone. Every replica answers the webhooks, hands out tables and follows the certificate; one of them, the
//! leader, renews certificates, writes statuses and counts pods. Start with [`run`].

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use kube::Client;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::admin::Admin;
use super::certificates::own::{Memory, Own};
use super::certificates::rotation::Policy;
use super::certificates::{Certificates, files};
use super::controller::Controller;
use super::distribution::{Bounds, Distribution, Inputs, TokenReviewer};
use super::http::{Listener, serve};
use super::inject::{Injector, Settings};
use super::lease::{self, Terms};
use super::namespaces::{self, Namespaces};
use super::replicas::Replicas;
use super::snapshots::Snapshots;
use super::tables::Known;
use super::watchdog::Watchdog;
use super::webhook::Webhook;
use crate::telemetry::{Telemetry, logs};

/// Connections to the webhook at a time, and to the admin port.
const CONNECTIONS: (usize, usize) = (1000, 64);
/// For requests in flight when the process stops.
const GRACE: Duration = Duration::from_secs(10);

/// What the operator decides.
#[derive(Debug, Clone)]
pub struct Options {
    /// How pods are injected.
    pub settings: Settings,
    /// Where the API server asks.
    pub webhook: SocketAddr,
    /// Where sidecars get their routing tables.
    pub distribution: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// This replica's name among the others.
    pub identity: String,
    /// Host and port of the replicas' admin ports; a host may have many addresses.
    pub peers: Vec<String>,
    /// The Lease that makes one replica the leader, and for how long it holds.
    pub lease: (String, Duration),
    /// Where certificates come from.
    pub source: Source,
    /// At most so often, the status of a table is written.
    pub status_pause: Duration,
    /// Whether pods are counted.
    pub watchdog: bool,
    /// Print the addresses as a JSON line on standard output once questions can come.
    pub print_addresses: bool,
}

/// Where certificates come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// An authority of our own.
    Own {
        /// The Secret that it is kept in.
        secret: String,
        /// The name of the webhook configurations that get the trust.
        webhooks: String,
        /// How long things hold, and for which names.
        policy: Policy,
    },
    /// A directory with `tls.crt`, `tls.key` and `ca.crt`, which somebody else renews.
    Files(PathBuf),
}

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Settings of injection make no sense.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// Lives of certificates make no sense.
    #[error("certificates: {0}")]
    Certificates(String),
    /// There is no way to the API server.
    #[error("the cluster: {0}; in a pod the service account tells of it, elsewhere a kubeconfig does (KUBECONFIG)")]
    Cluster(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {0}")]
    Listen(#[from] io::Error),
    /// TLS, logs or metrics cannot be set up.
    #[error("{0}")]
    Setup(String),
}

/// The names of a Service in the cluster.
pub fn names_of_service(service: &str, namespace: &str) -> BTreeSet<String> {
    ["", ".svc", ".svc.cluster.local"].map(|end| format!("{service}.{namespace}{end}")).into()
}

/// Runs until the process is told to stop.
///
/// # Errors
/// It cannot start.
pub fn run(options: Options) -> Result<(), RunError> {
    let setup = |error: &dyn std::fmt::Display| RunError::Setup(error.to_string());
    logs::init(logs::LogFormat::Text, None).map_err(|error| setup(&error))?;
    let telemetry = Telemetry::new().map_err(|error| setup(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(start(options, telemetry));
    runtime.shutdown_timeout(Duration::from_secs(1));
    logs::flush(Duration::from_secs(2));
    done
}

async fn start(options: Options, telemetry: Telemetry) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let injector = Injector::new(options.settings.clone()).map_err(RunError::Settings)?;
    let namespace = injector.own_namespace().to_owned();
    let client = client().await?;
    let (stop, stops) = watch::channel(false);
    let (leads, leading) = watch::channel(false);
    let mut tasks = JoinSet::new();

    let certificates = Certificates::new(telemetry.clone());
    match options.source.clone() {
        Source::Own { secret, webhooks, policy } => {
            if let Some(problem) = policy.problem() {
                return Err(RunError::Certificates(problem));
            }
            let (client, telemetry) = (client.clone(), telemetry.clone());
            let namespace = namespace.clone();
            let memory = Memory::default();
            let own = Arc::new(Own { client, namespace, secret, webhooks, policy, telemetry, memory });
            tasks.spawn(Arc::clone(&own).follow(certificates.clone()));
            tasks.spawn(own.lead(leading.clone()));
        }
        Source::Files(directory) => drop(tasks.spawn(files::follow(directory, certificates.clone()))),
    }
    let injector = Arc::new(ArcSwap::from_pointee(injector));
    tasks.spawn(trust(Arc::clone(&injector), certificates.trust()));

    let namespaces = Arc::new(Namespaces::default());
    let (seen, namespaces_seen) = watch::channel(false);
    tasks.spawn(namespaces::watch(client.clone(), Arc::clone(&namespaces), seen, telemetry.clone()));

    let known = Arc::new(Known::default());
    let snapshots = Snapshots::new(telemetry.clone());
    let replicas =
        Replicas::new(options.identity.clone(), options.peers.clone(), Arc::clone(&snapshots), telemetry.clone());
    tasks.spawn(Arc::clone(&replicas).gather(leading.clone()));
    let controller = Controller::new(
        client.clone(),
        namespace.clone(),
        Arc::clone(&snapshots),
        Arc::clone(&replicas),
        Arc::clone(&known),
        telemetry.clone(),
    );
    let tables_seen = controller.synced();
    tasks.spawn(Arc::clone(&controller).run());
    tasks.spawn(controller.write(leading.clone(), options.status_pause));

    if options.watchdog {
        let (client, injector, namespaces) = (client.clone(), Arc::clone(&injector), Arc::clone(&namespaces));
        tasks.spawn(Watchdog { client, injector, namespaces, telemetry: telemetry.clone() }.run(leading.clone()));
    }

    let tls = certificates.server_config(&["h2", "http/1.1"]).map_err(|error| RunError::Setup(error.to_string()))?;
    let webhook = Listener::bind(options.webhook, Some(Arc::clone(&tls)), CONNECTIONS.0).await?;
    let admin = Listener::bind(options.admin, None, CONNECTIONS.1).await?;
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", options.distribution));
    let sidecars = TcpListener::bind(options.distribution).await.map_err(named)?;
    let addresses = serde_json::json!({
        "webhook": webhook.address()?, "distribution": sidecars.local_addr()?, "admin": admin.address()?,
    });
    tracing::info!(%addresses, identity = options.identity, version = env!("CARGO_PKG_VERSION"), "listening");
    let distribution = Distribution::new(
        Inputs {
            tls: Arc::new(ArcSwap::new(tls)),
            trust: certificates.trust(),
            snapshots,
            reviewer: Arc::new(TokenReviewer::new(client.clone())),
            telemetry: telemetry.clone(),
        },
        Bounds::default(),
    );
    let pages = Arc::new(Admin {
        certificates,
        synced: vec![("namespaces", namespaces_seen), ("routing tables", tables_seen)],
        replicas,
        stopping: AtomicBool::new(false),
        telemetry: telemetry.clone(),
    });
    let handler = Arc::new(Webhook::new(injector, namespaces, known, telemetry.clone()));
    let serving = tokio::spawn(serve(webhook, handler, stops.clone()));
    let distributing = tokio::spawn(distribution.serve(sidecars, stops.clone()));
    // Until the very end: whoever asks meanwhile hears that this replica stops.
    let (_ends_with_the_process, never) = watch::channel(false);
    tasks.spawn(serve(admin, Arc::clone(&pages), never));
    let (name, duration) = options.lease;
    let terms = Terms { namespace, name, identity: options.identity, duration };
    let campaign = tokio::spawn(lease::campaign(client, terms, telemetry, leads, stops));
    if options.print_addresses {
        let mut out = io::stdout().lock();
        let _closed = writeln!(out, "{addresses}").and_then(|()| out.flush());
    }

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        // None of them ever ends by itself. What cannot go on begins anew.
        ended = tasks.join_next() => return Err(RunError::Setup(format!("a part of the process ended: {ended:?}"))),
    }
    tracing::info!("stopping");
    pages.stopping.store(true, Ordering::Release);
    let _all_gone = stop.send(true);
    let _in_time = tokio::time::timeout(GRACE, async { tokio::join!(serving, distributing, campaign) }).await;
    tracing::info!("stopped");
    Ok(())
}

/// The way to the API server: the pod's service account, or a kubeconfig.
async fn client() -> Result<Client, RunError> {
    let config = kube::Config::infer().await.map_err(|error| RunError::Cluster(error.to_string()))?;
    Client::try_from(config).map_err(|error| RunError::Cluster(error.to_string()))
}

/// Keeps the trust that pods get up to date, for ever.
async fn trust(injector: Arc<ArcSwap<Injector>>, mut trust: watch::Receiver<Arc<str>>) {
    loop {
        let now = Arc::clone(&trust.borrow_and_update());
        let next = injector.load().as_ref().clone().with_trust(now);
        injector.store(Arc::new(next));
        if trust.changed().await.is_err() {
            return;
        }
    }
}
