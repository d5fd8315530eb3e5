//! Listeners of our own, inside Pingora's life cycle.
//!
//! Pingora's own listening service closes its sockets only after the stop signal has been handed over, and then gives
//! calls in flight no time; these close first, so that calls can be waited for. They also tell their address when the
//! port was chosen by the system, and are open before the process says that it is ready.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pingora_core::listeners::tls::Acceptor;
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use super::inbound::Inbound;
use super::workers::{Seat, Workers};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// Out of file descriptors or memory: a pause lets others finish.
const PAUSE: Duration = Duration::from_millis(50);
/// And is said no more often than this.
const SAY: Duration = Duration::from_secs(5);

/// A listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", advice(.source))]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    pub source: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another process listens there: stop it, or choose another port",
        io::ErrorKind::AddrNotAvailable => "; no network interface here has this address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one",
        _ => "",
    }
}

/// How a listener accepts.
pub(super) struct Accepting {
    /// TLS, and how long its handshake may take.
    pub(super) tls: Option<(Arc<Acceptor>, Duration)>,
    /// Connections at a time; 0: no limit.
    pub(super) max: usize,
    /// Turns true when it shall accept no more.
    pub(super) stop: watch::Receiver<bool>,
    /// Connections open now.
    pub(super) open: Arc<AtomicUsize>,
    /// Who serves connections; without workers, the thread that accepts.
    pub(super) workers: Option<Arc<Workers>>,
}

/// An open listener.
#[derive(Debug)]
pub struct Bound {
    listener: StdListener,
    /// Its address, with the real port.
    pub address: SocketAddr,
}

impl Bound {
    /// Opens a listener. It queues connections from now on.
    ///
    /// # Errors
    /// The address is taken, not ours, or not allowed.
    pub fn open(address: SocketAddr) -> Result<Self, ListenError> {
        let open = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            let listener = StdListener::from(socket);
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        open().map_err(|source| ListenError { address, source })
    }

    /// Wraps a listener that another process has opened.
    ///
    /// # Errors
    /// It is no TCP listener.
    pub fn inherited(listener: StdListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Whether it is what a configured address asks for; port 0 asks for any.
    pub(super) fn fits(&self, address: SocketAddr) -> bool {
        self.address.ip() == address.ip() && (address.port() == 0 || self.address.port() == address.port())
    }

    /// The listener itself.
    pub fn listener(&self) -> &StdListener {
        &self.listener
    }

    /// Accepts until it is told to stop, then closes the listener. Each connection is served by a task of its own;
    /// when there are as many as may be, new ones wait in the backlog.
    pub(super) async fn accept<F, Fut>(self, accepting: Accepting, serve: F)
    where
        F: Fn(Inbound) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let Accepting { tls, max, mut stop, open, workers } = accepting;
        let listener = match TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "the listener cannot be used");
                return;
            }
        };
        let freed = Arc::new(Notify::new());
        let count = || Counted::new(open.clone(), (max > 0).then(|| freed.clone()));
        let begin = |socket, counted| {
            let (tls, serve) = (tls.clone(), serve.clone());
            match &workers {
                Some(workers) => workers.spawn(|seat| serve_socket(socket, tls, (counted, Some(seat)), serve)),
                None => drop(tokio::spawn(serve_socket(socket, tls, (counted, None), serve))),
            }
        };
        let mut said: Option<Instant> = None;
        loop {
            if max > 0 {
                while open.load(Ordering::Acquire) >= max {
                    tokio::select! {
                        () = freed.notified() => {}
                        _ = stop.wait_for(|stop| *stop) => return,
                    }
                }
            }
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                // The poller that has it now need not be that of the thread that serves it.
                Ok((socket, _)) => match socket.into_std() {
                    Ok(socket) => begin(socket, count()),
                    Err(error) => tracing::debug!(%error, "a connection that was accepted"),
                },
                Err(error) => {
                    if said.is_none_or(|at| at.elapsed() > SAY) {
                        said = Some(Instant::now());
                        tracing::warn!(%error, "connections cannot be accepted");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        // Those that the system has accepted already would be reset.
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((socket, _)) = listener.accept() {
            if socket.set_nonblocking(true).is_ok() {
                begin(socket, count());
            }
        }
    }
}

/// Serves one connection, on the thread that this is run on.
async fn serve_socket<F, Fut>(
    socket: StdStream,
    tls: Option<(Arc<Acceptor>, Duration)>,
    counted: (Counted, Option<Seat>),
    serve: F,
) where
    F: Fn(Inbound) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let _counted = counted;
    let _best_effort = socket.set_nodelay(true);
    let socket = match TcpStream::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::warn!(%error, "a connection cannot be served"),
    };
    let Some((tls, patience)) = tls else { return serve(Inbound::Plain(socket)).await };
    match pingora_timeout::timeout(patience, Box::pin(tls.tls_handshake(L4Stream::from(socket)))).await {
        Ok(Ok(stream)) => Box::pin(serve(Inbound::Tls(Box::new(stream)))).await,
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake"),
        Err(_) => tracing::debug!("TLS handshake: too slow"),
    }
}

/// One open connection.
struct Counted {
    open: Arc<AtomicUsize>,
    freed: Option<Arc<Notify>>,
}

impl Counted {
    fn new(open: Arc<AtomicUsize>, freed: Option<Arc<Notify>>) -> Self {
        open.fetch_add(1, Ordering::AcqRel);
        Self { open, freed }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
        if let Some(freed) = &self.freed {
            freed.notify_one();
        }
    }
}
