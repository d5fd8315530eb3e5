//! HTTP/2 connections of clients, agreed by ALPN: Pingora's sessions behind the gateway's seam.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::server::ShutdownWatch;
use pingora_http::ResponseHeader;

use super::h1::{Handler, Manners};
use crate::gateway::{Answer, BodyBudget, BodyLength, Downstream, End, Held, ReadError};
use crate::http1::{Headers, RequestHead, Version};
use crate::upstream::{Tunnel, within};

/// Streams that one client may have open.
const STREAMS: u32 = 200;
/// Flow-control windows towards clients: of a stream, of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Serves HTTP/2 connections.
pub(super) struct H2App<H> {
    handler: Arc<H>,
    manners: Arc<Manners>,
    options: HttpServerOptions,
}

impl<H: Handler> H2App<H> {
    pub(super) fn new(handler: Arc<H>, manners: Arc<Manners>) -> Arc<Self> {
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(manners.timeouts.idle.0);
        Arc::new(Self { handler, manners, options })
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self: Arc<Self>, stream: Stream, stop: ShutdownWatch) {
        let _reusable = self.process_new(stream, &stop).await;
    }
}

#[async_trait]
impl<H: Handler> HttpServerApp for H2App<H> {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let accepted = Instant::now();
        session.set_write_timeout(Some(self.manners.timeouts.write.0));
        let head = head_of(&session)?;
        let ends = session.is_body_done() || session.is_body_empty();
        let length = match head.headers.get("content-length").and_then(|l| std::str::from_utf8(l).ok()) {
            _ if ends => BodyLength::None,
            Some(length) => BodyLength::Known(length.parse().ok()?),
            None => BodyLength::Unknown,
        };
        let head_only = head.method == Method::HEAD;
        let patience = self.manners.timeouts.body.0;
        let mut call = H2Call { session, length, patience, head_only, started: None, ended: false };
        self.handler.call(&head, &mut call, accepted).await;
        if !call.ended {
            // The client must not take what it has for a whole answer.
            call.session.shutdown_with_reason(h2::Reason::INTERNAL_ERROR);
        }
        None
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        options
            .max_concurrent_streams(STREAMS)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(self.manners.max_head).unwrap_or(u32::MAX));
        Some(options)
    }
}

fn head_of(session: &ServerSession) -> Option<RequestHead> {
    let request = session.req_header();
    let target = request.uri.path_and_query().map_or("/", |path| path.as_str());
    let host = request.uri.authority().map(|a| (&b"host"[..], a.as_str().as_bytes()));
    let named = request.headers.contains_key("host");
    let pairs = request.headers.iter().map(|(n, v)| (n.as_str().as_bytes(), v.as_bytes()));
    let headers = Headers::from_pairs(pairs.chain(host.filter(|_| !named)));
    Some(RequestHead::new(request.method.clone(), target, Version::Http2, headers))
}

/// One call on a stream.
struct H2Call {
    session: ServerSession,
    length: BodyLength,
    patience: Duration,
    head_only: bool,
    started: Option<Box<ResponseHeader>>,
    ended: bool,
}

impl H2Call {
    async fn read(&mut self) -> Result<Option<Bytes>, ReadError> {
        let read = within(self.patience, std::pin::pin!(self.session.read_request_body())).await;
        read.map_err(|_| ReadError::Timeout)?.map_err(|_| ReadError::Closed)
    }
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

impl Downstream for H2Call {
    fn body_length(&self) -> BodyLength {
        self.length
    }

    async fn read_body(&mut self, limit: usize, budget: &BodyBudget) -> Result<(Bytes, Held), ReadError> {
        let mut held = budget.open();
        if let BodyLength::Known(length) = self.length
            && usize::try_from(length).map_or(true, |length| length > limit)
        {
            return Err(ReadError::TooLarge { limit });
        }
        let mut whole = BytesMut::new();
        let mut only = Bytes::new();
        while let Some(chunk) = self.read().await? {
            let total = whole.len().max(only.len()) + chunk.len();
            if total > limit {
                return Err(ReadError::TooLarge { limit });
            }
            if !held.grow_to(total) {
                return Err(ReadError::OverBudget);
            }
            if whole.is_empty() && only.is_empty() {
                only = chunk;
                continue;
            }
            if whole.is_empty() {
                whole.extend_from_slice(&std::mem::take(&mut only));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok((if whole.is_empty() { only } else { whole.freeze() }, held))
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, ReadError> {
        self.read().await
    }

    fn start(&mut self, answer: &Answer) {
        let Ok(mut header) = ResponseHeader::build(answer.status, None) else { return };
        for (name, value) in answer.pairs() {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                let _appended = header.append_header(name, value);
            }
        }
        if let BodyLength::Known(length) = answer.length {
            let _inserted = header.insert_header("content-length", length.to_string());
        }
        self.started = Some(Box::new(header));
    }

    async fn send(&mut self, chunks: &[Bytes], end: End<'_>) -> io::Result<()> {
        if let Some(header) = self.started.take() {
            self.session.write_response_header(header).await.map_err(failed)?;
        }
        let (ends, trailers) = match end {
            End::NotYet => (false, None),
            End::Now(trailers) => (true, trailers.map(fields).filter(|fields| !fields.is_empty())),
        };
        let chunks = if self.head_only { &[] } else { chunks };
        let full = chunks.iter().filter(|chunk| !chunk.is_empty());
        let last = full.clone().count();
        for (at, chunk) in full.enumerate() {
            let closes = ends && trailers.is_none() && at + 1 == last;
            self.session.write_response_body(chunk.clone(), closes).await.map_err(failed)?;
        }
        match trailers {
            Some(trailers) => self.session.write_response_trailers(trailers).await.map_err(failed)?,
            None if ends && last == 0 => {
                self.session.write_response_body(Bytes::new(), true).await.map_err(failed)?;
            }
            None => {}
        }
        self.ended |= ends;
        Ok(())
    }

    fn abort(&mut self) {}

    async fn closed(&mut self) {
        match self.session.watch_h2_stream_close() {
            Some(idle) => {
                let _reason = idle.await;
            }
            None => std::future::pending().await,
        }
    }

    fn can_tunnel(&self) -> bool {
        false
    }

    async fn tunnel(&mut self, _: Tunnel) -> io::Result<(u64, u64)> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

fn fields(headers: &Headers) -> HeaderMap {
    headers
        .iter()
        .filter_map(|(n, v)| Some((HeaderName::from_bytes(n).ok()?, HeaderValue::from_bytes(v).ok()?)))
        .collect()
}
