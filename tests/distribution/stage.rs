//! A control process's part in the distribution, inside the test: its server, its tables, its certificates.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use faregate::control::distribution::{Bounds, Distribution, Identity, Inputs, Refusal, Reviewer};
use faregate::control::snapshot::Snapshot;
use faregate::control::snapshots::{Programmed, Scope, Snapshots};
use faregate::telemetry::Telemetry;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::tls::Authority;
use crate::support::{PATIENCE, Setup, Upstream, eventually};

/// Knows tokens as an API server does.
#[derive(Default)]
pub struct Tokens(Mutex<HashMap<String, Result<Identity, Refusal>>>);

impl Tokens {
    pub fn know(&self, token: &str, namespace: &str, expires: Option<Duration>) {
        let identity = Identity {
            namespace: namespace.into(),
            pod: Some(format!("pod-of-{token}")),
            expires: expires.map(|left| SystemTime::now() + left),
        };
        self.0.lock().unwrap().insert(token.into(), Ok(identity));
    }
}

#[async_trait]
impl Reviewer for Tokens {
    async fn review(&self, token: &str) -> Result<Identity, Refusal> {
        let denied = || Err(Refusal::Denied("the token is not accepted: nobody knows it".into()));
        self.0.lock().unwrap().get(token).cloned().unwrap_or_else(denied)
    }
}

/// What outlives a control process.
pub struct Stage {
    pub tokens: Arc<Tokens>,
    pub snapshots: Arc<Snapshots>,
    pub telemetry: Telemetry,
    pub tls: Arc<ArcSwap<ServerConfig>>,
    pub trust: watch::Sender<Arc<str>>,
    pub authority: Authority,
    pub bounds: Bounds,
}

/// A control process; dropped, it ends in good order.
pub struct Running {
    pub address: SocketAddr,
    pub distribution: Arc<Distribution>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    runtime: Option<Runtime>,
}

/// TLS with a new certificate of this authority.
pub fn tls_of(authority: &Authority) -> ServerConfig {
    authority.issue(&["127.0.0.1"]).server(&["h2", "http/1.1"], None)
}

impl Stage {
    /// The token `token` is good, and the namespace is `shop`.
    pub fn new() -> Self {
        let authority = Authority::new();
        let telemetry = Telemetry::new().unwrap();
        let tokens = Arc::new(Tokens::default());
        tokens.know("token", "shop", None);
        Self {
            tokens,
            snapshots: Snapshots::new(telemetry.clone()),
            telemetry,
            tls: Arc::new(ArcSwap::from_pointee(tls_of(&authority))),
            trust: watch::Sender::new("".into()),
            authority,
            bounds: Bounds::default(),
        }
    }

    /// A control process, on a port that the system chooses.
    pub fn start(&self) -> Running {
        self.start_on("127.0.0.1:0".parse().unwrap())
    }

    /// One on this address.
    pub fn start_on(&self, address: SocketAddr) -> Running {
        let runtime = Runtime::new().unwrap();
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let inputs = Inputs {
            tls: self.tls.clone(),
            trust: self.trust.subscribe(),
            snapshots: self.snapshots.clone(),
            reviewer: self.tokens.clone(),
            telemetry: self.telemetry.clone(),
        };
        let distribution = Distribution::new(inputs, self.bounds.clone());
        let (stop, stopped) = watch::channel(false);
        let server = distribution.clone();
        let serving = async move { server.serve(TcpListener::from_std(listener).unwrap(), stopped).await };
        let serving = runtime.spawn(serving);
        Running { address, distribution, stop, serving, runtime: Some(runtime) }
    }

    pub fn publish(&self, text: &str) -> Snapshot {
        let snapshot = Snapshot::compile(text, "cluster").unwrap_or_else(|problems| panic!("{problems}"));
        self.snapshots.publish(Scope::Cluster, snapshot.clone());
        snapshot
    }

    /// How far the cluster's table has come.
    pub fn programmed(&self) -> Programmed {
        self.snapshots.programmed(&Scope::Cluster)
    }

    #[track_caller]
    pub fn wait_programmed(&self, n: usize) {
        eventually(&format!("{n} sidecars programmed"), || self.programmed().programmed == n);
    }

    /// How many connections began like this.
    pub fn began(&self, result: &str) -> u64 {
        self.telemetry.metrics().control_connections.with([result]).get()
    }

    /// How many ended like this.
    pub fn ended(&self, reason: &str) -> u64 {
        self.telemetry.metrics().control_connections_ended.with([reason]).get()
    }

    /// A process that follows this control.
    pub fn follow(&self, setup: Setup, control: SocketAddr) -> Setup {
        setup
            .env("FAREGATE_CONTROL", &format!("https://{control}"))
            .env("FAREGATE_CONTROL_CA", &self.authority.pem)
            .env("FAREGATE_CONTROL_TOKEN", "token")
            .env("FAREGATE_STATE", ".")
            .env("RUST_LOG", "debug")
            .file("token", "token\n")
    }
}

impl Running {
    /// Ends as a process does that is told to: sidecars are told.
    pub fn stop(self) {
        drop(self);
    }

    /// Ends as a process does that is killed.
    pub fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Its port is free when this returns.
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _all_gone = self.stop.send(true);
        if let Some(runtime) = self.runtime.take() {
            eventually("the end of control", || self.serving.is_finished());
            runtime.shutdown_background();
        }
    }
}

/// A table that leads to this upstream, by a provider of this name.
pub fn to(name: &str, upstream: &Upstream) -> String {
    format!(
        "providers:\n  {name}: {{ base_url: \"{}\", credentials: none }}\nroutes:\n- name: all\n  targets: [{{ provider: \
         {name} }}]\n",
        upstream.url()
    )
}
