//! Hands routing tables to sidecars, thousands of them, over TLS: who connects, with which token, what is sent, and who
//! is let go.
//!
//! The protocol stands in `crate::distribution`; which namespace has which table in `snapshots`. The namespace of a sidecar
//! is what the review of its token says, never what it says itself. Must not know how tables come to be, nor certificates:
//! they are given, and may be swapped at any time. Start with [`Distribution::serve`].

mod reviews;
mod session;
mod token_review;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::snapshots::Snapshots;
use crate::telemetry::{Every, Telemetry};
use reviews::Reviews;

pub use reviews::{Identity, Refusal, Reviewer};
pub use token_review::TokenReviewer;

/// Out of file descriptors or memory: a pause lets others finish.
const PAUSE: Duration = Duration::from_millis(50);
/// For sidecars to be told that this process stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// What bounds the work.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections at a time; more are closed at once, so that they go elsewhere.
    pub connections: usize,
    /// Of them, those that have not been let in yet; more wait to be accepted.
    pub arriving: usize,
    /// From a connection's beginning to its `hello`, TLS and the review of the token included.
    pub arrival: Duration,
    /// Between pings. A sidecar that says nothing for three of them is gone.
    pub ping: Duration,
    /// For a sidecar to take a frame.
    pub write: Duration,
    /// Long frames may take longer: at this many bytes per second.
    pub slowest: u64,
    /// A connection lasts no longer, even where its token does.
    pub lifetime: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 20_000,
            arriving: 256,
            arrival: Duration::from_secs(15),
            ping: Duration::from_secs(25),
            write: Duration::from_secs(20),
            slowest: 256 << 10,
            lifetime: Duration::from_secs(3 * 3600),
        }
    }
}

/// What the server stands on.
pub struct Inputs {
    /// TLS of connections that begin from now on. Swap it at any time.
    pub tls: Arc<ArcSwap<ServerConfig>>,
    /// The authorities that sidecars should trust, PEM; empty while there is nothing to say.
    pub trust: watch::Receiver<Arc<str>>,
    /// Which namespace has which table.
    pub snapshots: Arc<Snapshots>,
    /// Who tells whose a token is.
    pub reviewer: Arc<dyn Reviewer>,
    /// Where it is counted.
    pub telemetry: Telemetry,
}

/// The server.
pub struct Distribution {
    bounds: Bounds,
    tls: Arc<ArcSwap<ServerConfig>>,
    /// The configuration that was given last, and the leaner one made of it.
    lean: Mutex<Option<(Arc<ServerConfig>, Arc<ServerConfig>)>>,
    trust: watch::Receiver<Arc<str>>,
    snapshots: Arc<Snapshots>,
    reviews: Reviews,
    telemetry: Telemetry,
    open: AtomicUsize,
    arriving: Arc<Semaphore>,
}

impl Distribution {
    /// Ready to serve.
    pub fn new(inputs: Inputs, bounds: Bounds) -> Arc<Self> {
        let Inputs { tls, trust, snapshots, reviewer, telemetry } = inputs;
        Arc::new(Self {
            tls,
            lean: Mutex::default(),
            trust,
            snapshots,
            reviews: Reviews::new(reviewer, telemetry.clone()),
            telemetry,
            open: AtomicUsize::new(0),
            arriving: Arc::new(Semaphore::new(bounds.arriving)),
            bounds,
        })
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Accepts until `stop` turns true; then tells the sidecars to connect again, elsewhere.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        static UNACCEPTED: Every = Every::minutes(1);
        loop {
            // Never closed.
            let Ok(arriving) = self.arriving.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok(_) if self.connections() >= self.bounds.connections => self.count("full"),
                Ok((socket, _)) => {
                    let counted = Counted::new(&self);
                    tokio::spawn(session::run(counted, socket, arriving, stop.clone()));
                }
                Err(error) => {
                    if UNACCEPTED.ready().is_some() {
                        tracing::warn!(%error, "connections of sidecars cannot be accepted");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        drop(listener);
        let gone = async {
            while self.connections() > 0 {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let _left = tokio::time::timeout(FAREWELL, gone).await;
    }

    fn count(&self, result: &str) {
        self.telemetry.metrics().control_connections.with([result]).inc();
    }

    /// TLS as it is now, without what costs memory at each of thousands of connections and serves none: they come back
    /// once an hour.
    fn config(&self) -> Arc<ServerConfig> {
        let given = self.tls.load_full();
        let mut lean = self.lean.lock();
        if let Some((_, ready)) = lean.as_ref().filter(|(known, _)| Arc::ptr_eq(known, &given)) {
            return ready.clone();
        }
        let mut config = ServerConfig::clone(&given);
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let ready = Arc::new(config);
        *lean = Some((given, ready.clone()));
        ready
    }

    async fn handshake(&self, socket: TcpStream) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
        socket.set_nodelay(true)?;
        let acceptor = tokio_rustls::TlsAcceptor::from(self.config());
        acceptor.accept_with(socket, |tls| tls.set_buffer_limit(Some(session::UNSENT))).await
    }
}

/// One open connection.
struct Counted(Arc<Distribution>);

impl Counted {
    fn new(of: &Arc<Distribution>) -> Self {
        of.open.fetch_add(1, Ordering::AcqRel);
        Self(of.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}
