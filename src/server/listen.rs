//! Listeners of our own, inside Pingora's life cycle.
//!
//! Pingora's own listening service closes its sockets only after the stop signal has been handed over, and then gives
//! calls in flight no time; these close first, so that calls can be waited for. They also tell their address when the
//! port was chosen by the system, and are open before the process says that it is ready.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pingora_core::listeners::tls::Acceptor;
use pingora_core::protocols::Stream;
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// A TLS handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    pub source: io::Error,
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

    /// The listener itself.
    pub fn listener(&self) -> &StdListener {
        &self.listener
    }

    /// Accepts until `stop` turns true, then closes the listener. Each connection is served by a task of its own;
    /// over `max` connections at a time (0: no limit) new ones wait in the backlog.
    pub(super) async fn accept<F, Fut>(
        self,
        tls: Option<Arc<Acceptor>>,
        max: usize,
        mut stop: watch::Receiver<bool>,
        serve: F,
    ) where
        F: Fn(Stream) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = match TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "the listener cannot be used");
                return;
            }
        };
        let open = Arc::new(AtomicUsize::new(0));
        let freed = Arc::new(tokio::sync::Notify::new());
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
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let socket = match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    // Out of file descriptors or memory: a pause lets others finish.
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let _best_effort = socket.set_nodelay(true);
            open.fetch_add(1, Ordering::AcqRel);
            let counted = Counted { open: open.clone(), freed: (max > 0).then(|| freed.clone()) };
            let stream: Box<L4Stream> = Box::new(socket.into());
            match &tls {
                None => {
                    let serving = serve(stream);
                    tokio::spawn(async move {
                        serving.await;
                        drop(counted);
                    });
                }
                Some(tls) => {
                    let (tls, serve) = (tls.clone(), serve.clone());
                    tokio::spawn(async move {
                        match pingora_timeout::timeout(HANDSHAKE, tls.tls_handshake(*stream)).await {
                            Ok(Ok(stream)) => serve(Box::new(stream)).await,
                            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake"),
                            Err(_) => tracing::debug!("TLS handshake: too slow"),
                        }
                        drop(counted);
                    });
                }
            }
        }
    }
}

/// One open connection.
struct Counted {
    open: Arc<AtomicUsize>,
    freed: Option<Arc<tokio::sync::Notify>>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
        if let Some(freed) = &self.freed {
            freed.notify_one();
        }
    }
}
