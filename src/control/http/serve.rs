//! Connections: taken, bounded, served, and let finish when the process stops.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::Handler;

/// For a TLS handshake, and for the answer to a ping.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a head of HTTP/1.1, and so for its idle connections: longer than clients in Go keep those (90 s), so that none is
/// closed while a request is on its way.
const IDLE: Duration = Duration::from_secs(100);
/// After a connection could not be taken (no file descriptor left).
const PAUSE: Duration = Duration::from_millis(100);
/// Streams on one HTTP/2 connection.
const STREAMS: u32 = 100;
/// Bytes of one head.
const HEAD: u32 = 16 << 10;

/// A bound address, and what is spoken there.
pub(in crate::control) struct Listener {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    connections: Arc<Semaphore>,
}

impl Listener {
    /// Binds. Without `tls`, plain HTTP/1.1; with it, what its ALPN says. At most so many connections at a time: more wait.
    ///
    /// # Errors
    /// Those of the system, with the address.
    pub(in crate::control) async fn bind(
        address: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        connections: usize,
    ) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(named)?;
        Ok(Self { listener, tls: tls.map(TlsAcceptor::from), connections: Arc::new(Semaphore::new(connections)) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the system.
    pub(in crate::control) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Serves until `stop` turns true or its sender is gone, then lets requests in flight finish.
pub(in crate::control) async fn serve(listener: Listener, handler: Arc<impl Handler>, mut stop: watch::Receiver<bool>) {
    let all = Arc::clone(&listener.connections);
    let most = u32::try_from(all.available_permits()).unwrap_or(u32::MAX);
    loop {
        let taken = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            taken = async {
                let permit = Arc::clone(&all).acquire_owned().await;
                (permit, listener.listener.accept().await)
            } => taken,
        };
        match taken {
            (Ok(permit), Ok((stream, _))) => {
                let connection = connection(stream, listener.tls.clone(), Arc::clone(&handler), stop.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection cannot be taken");
                tokio::time::sleep(PAUSE).await;
            }
            (Err(_), _) => break,
        }
    }
    drop(listener.listener);
    // Every connection gives its permit back when it ends.
    let _all_ended = all.acquire_many(most).await;
}

/// Waits until the process stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _or_its_sender_is_gone = stop.wait_for(|stop| *stop).await;
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    handler: Arc<impl Handler>,
    stop: watch::Receiver<bool>,
) {
    let _best_effort = stream.set_nodelay(true);
    let Some(tls) = tls else { return http1(stream, handler, stop).await };
    match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => http2(stream, handler, stop).await,
        Ok(Ok(stream)) => http1(stream, handler, stop).await,
        // A port scan, a probe by TCP, a client that does not trust us.
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

macro_rules! serve_with {
    ($name:ident, $builder:expr) => {
        async fn $name<I>(stream: I, handler: Arc<impl Handler>, mut stop: watch::Receiver<bool>)
        where
            I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        {
            let service = service_fn(|request: http::Request<Incoming>| {
                let handler = Arc::clone(&handler);
                async move { Ok::<_, Infallible>(handler.answer(request).await) }
            });
            let mut connection = pin!($builder.serve_connection(TokioIo::new(stream), service));
            let ended = tokio::select! {
                ended = connection.as_mut() => Some(ended),
                () = stopped(&mut stop) => None,
            };
            let ended = match ended {
                Some(ended) => ended,
                None => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke off");
            }
        }
    };
}

serve_with!(http1, {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEAD as usize);
    builder
});
serve_with!(http2, {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(PATIENCE * 3).keep_alive_timeout(PATIENCE);
    builder.max_concurrent_streams(STREAMS).max_header_list_size(HEAD);
    builder
});
