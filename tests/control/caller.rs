//! A client of the webhook: HTTPS, trusting one bundle, HTTP/1.1 or 2.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// No answer takes longer, also on a slow machine under load.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where, by which name, and whom to trust.
pub struct Caller {
    address: SocketAddr,
    name: String,
    config: ClientConfig,
    h2: bool,
}

/// A whole body.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl Caller {
    pub fn new(address: SocketAddr, name: &str, trust: &str) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(trust.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { address, name: name.into(), config, h2: false }
    }

    pub fn h2(mut self) -> Self {
        self.h2 = true;
        self
    }

    /// Posts a body over a connection of its own: status and body of the answer.
    ///
    /// # Errors
    /// There is no connection, or no answer.
    pub fn post(&self, path: &str, kind: &str, body: &[u8]) -> Result<(u16, Vec<u8>), String> {
        self.send("POST", path, kind, body)
    }

    /// [`Caller::post`] with another method.
    ///
    /// # Errors
    /// As there.
    pub fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<(u16, Vec<u8>), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let request = Request::builder()
            .method(method)
            .uri(if self.h2 { format!("https://{}{path}", self.name) } else { path.into() })
            .header("host", &self.name)
            .header("content-type", kind)
            .header("content-length", body.len())
            .body(Whole(Some(Bytes::copy_from_slice(body))))
            .unwrap();
        let exchange = async {
            let answer = self.exchange(request).await?;
            let status = answer.status().as_u16();
            let mut body: Incoming = answer.into_body();
            let mut bytes = Vec::new();
            while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                bytes.extend_from_slice(&frame.map_err(said)?.into_data().unwrap_or_default());
            }
            Ok((status, bytes))
        };
        runtime.block_on(async { tokio::time::timeout(PATIENCE, exchange).await.map_err(said)? })
    }

    async fn exchange(&self, request: Request<Whole>) -> Result<Response<Incoming>, String> {
        let mut config = self.config.clone();
        config.alpn_protocols = vec![if self.h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let stream = TcpStream::connect(self.address).await.map_err(said)?;
        let name = ServerName::try_from(self.name.clone()).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(said)?;
        let io = TokioIo::new(stream);
        if self.h2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(said)?;
            tokio::spawn(connection);
            return sender.send_request(request).await.map_err(said);
        }
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(said)?;
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(said)
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
