//! HTTP/2 for tests, on the `h2` crate: a client, and an upstream whose handler says what to answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client, server};
use http::{HeaderMap, Request, Response, StatusCode};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{Gate, PATIENCE};

/// A client with one connection, which is driven by a thread of its own.
pub struct H2Client {
    runtime: Runtime,
    send: client::SendRequest<Bytes>,
    closed: Arc<Mutex<Option<Result<(), String>>>>,
}

/// A call whose answer has not been read yet.
pub struct H2Call<'c> {
    client: &'c H2Client,
    answer: Option<client::ResponseFuture>,
    pub body: SendStream<Bytes>,
}

/// An answer, as far as it came.
#[derive(Debug)]
pub struct H2Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl H2Client {
    /// Windows as large as they may be: the server is never held back.
    pub fn connect(to: SocketAddr, config: ClientConfig, name: &'static str) -> Self {
        Self::with_window(to, config, name, 16 << 20)
    }

    pub fn with_window(to: SocketAddr, config: ClientConfig, name: &'static str, window: u32) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let closed = Arc::new(Mutex::new(None));
        let told = closed.clone();
        let send = runtime.block_on(async {
            let tcp = TcpStream::connect(to).await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let connector = TlsConnector::from(Arc::new(config));
            let tls = connector.connect(ServerName::try_from(name).unwrap(), tcp).await.unwrap();
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let (send, connection) = client::Builder::new()
                .initial_window_size(window)
                .initial_connection_window_size(window)
                .handshake(tls)
                .await
                .unwrap();
            tokio::spawn(async move {
                *told.lock().unwrap() = Some(connection.await.map_err(|error| error.to_string()));
            });
            send
        });
        Self { runtime, send, closed }
    }

    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("in time") })
    }

    /// Sends a head; the body follows unless there is none.
    pub fn start(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        ends: bool,
    ) -> Result<H2Call<'_>, h2::Error> {
        let mut request = Request::builder().method(method).uri(format!("https://gateway.test{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut send = self.wait(self.send.clone().ready())?;
        let (answer, body) = send.send_request(request.body(()).unwrap(), ends)?;
        Ok(H2Call { client: self, answer: Some(answer), body })
    }

    /// A POST with a whole body.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Result<H2Call<'_>, h2::Error> {
        let mut call = self.start("POST", path, headers, false)?;
        call.body.send_data(Bytes::copy_from_slice(body.as_bytes()), true)?;
        Ok(call)
    }

    /// How the connection ended, once it has.
    pub fn closed(&self) -> Option<Result<(), String>> {
        self.closed.lock().unwrap().clone()
    }
}

impl H2Call<'_> {
    /// The answer's head, and its body to be read.
    pub fn head(&mut self) -> Result<Response<RecvStream>, h2::Error> {
        self.client.wait(self.answer.take().unwrap())
    }

    /// The whole answer.
    pub fn answer(mut self) -> Result<H2Answer, h2::Error> {
        let (head, mut stream) = self.head()?.into_parts();
        let mut body = Vec::new();
        while let Some(chunk) = self.next(&mut stream)? {
            body.extend(chunk);
        }
        let trailers = self.client.wait(stream.trailers())?;
        Ok(H2Answer { status: head.status.as_u16(), headers: head.headers, body, trailers })
    }

    /// The next part of a body; what was taken is given back to the window.
    pub fn next(&self, stream: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
        match self.client.wait(stream.data()) {
            None => Ok(None),
            Some(chunk) => {
                let chunk = chunk?;
                stream.flow_control().release_capacity(chunk.len())?;
                Ok(Some(chunk))
            }
        }
    }
}

/// What an upstream answers.
#[derive(Clone, Default)]
pub struct H2Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, &'static str)>,
    pub chunks: Vec<&'static str>,
    /// Waited for after the first chunk.
    pub gate: Option<Gate>,
    pub trailers: Vec<(&'static str, &'static str)>,
    /// Instead of the end, where given.
    pub reset: Option<Reason>,
}

/// What an upstream was asked.
#[derive(Debug, Clone)]
pub struct H2Request {
    pub method: String,
    pub uri: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// On which connection, counted from 0.
    pub connection: usize,
}

/// An HTTP/2 upstream over TLS.
pub struct H2Upstream {
    pub address: SocketAddr,
    pub requests: Arc<Mutex<Vec<H2Request>>>,
    /// Connections made.
    pub connections: Arc<AtomicUsize>,
    /// Streams that Faregate has reset.
    pub resets: Arc<AtomicUsize>,
}

impl H2Upstream {
    pub fn start(config: ServerConfig, reply: impl Fn(&H2Request) -> H2Reply + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let this = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            connections: Arc::default(),
            resets: Arc::default(),
        };
        let (requests, connections, resets) = (this.requests.clone(), this.connections.clone(), this.resets.clone());
        let reply = Arc::new(reply);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (listener, acceptor) =
                    (TcpListener::from_std(listener).unwrap(), TlsAcceptor::from(Arc::new(config)));
                while let Ok((tcp, _)) = listener.accept().await {
                    let (acceptor, requests, resets, reply) =
                        (acceptor.clone(), requests.clone(), resets.clone(), reply.clone());
                    let connections = connections.clone();
                    tokio::spawn(async move {
                        let Ok(tls) = acceptor.accept(tcp).await else { return };
                        let connection = connections.fetch_add(1, Ordering::SeqCst);
                        let Ok(mut streams) = server::handshake(tls).await else { return };
                        while let Some(Ok((request, respond))) = streams.accept().await {
                            let (requests, resets, reply) = (requests.clone(), resets.clone(), reply.clone());
                            tokio::spawn(async move {
                                let served = serve(request, respond, connection, &requests, &*reply).await;
                                if served.is_none() {
                                    resets.fetch_add(1, Ordering::SeqCst);
                                }
                            });
                        }
                    });
                }
            });
        });
        this
    }

    pub fn requests(&self) -> Vec<H2Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// `None` when Faregate has reset the stream.
async fn serve(
    request: Request<RecvStream>,
    mut respond: server::SendResponse<Bytes>,
    connection: usize,
    requests: &Mutex<Vec<H2Request>>,
    reply: &(impl Fn(&H2Request) -> H2Reply + Send + Sync),
) -> Option<()> {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk.ok()?;
        stream.flow_control().release_capacity(chunk.len()).ok()?;
        body.extend(chunk);
    }
    let request = H2Request {
        method: head.method.to_string(),
        uri: head.uri.to_string(),
        headers: head.headers,
        body,
        connection,
    };
    requests.lock().unwrap().push(request.clone());
    let reply = reply(&request);
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in &reply.headers {
        response = response.header(*name, *value);
    }
    let mut out = respond.send_response(response.body(()).unwrap(), false).ok()?;
    for (at, chunk) in reply.chunks.iter().enumerate() {
        out.send_data(Bytes::from_static(chunk.as_bytes()), false).ok()?;
        if let (0, Some(gate)) = (at, reply.gate.clone()) {
            let opened = tokio::task::spawn_blocking(move || gate.wait());
            tokio::select! {
                _ = opened => {}
                _ = std::future::poll_fn(|cx| out.poll_reset(cx)) => return None,
            }
        }
    }
    match reply.reset {
        Some(reason) => out.send_reset(reason),
        None if reply.trailers.is_empty() => out.send_data(Bytes::new(), true).ok()?,
        None => {
            let pairs = reply.trailers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()));
            out.send_trailers(pairs.collect()).ok()?;
        }
    }
    Some(())
}
