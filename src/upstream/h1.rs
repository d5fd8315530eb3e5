//! One HTTP/1.1 connection to a provider.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use pingora_core::protocols::SocketDigest;
use smallvec::SmallVec;

use super::error::ExchangeError;
use super::head::{OutHead, RequestBody};
use super::pool::Shelf;
use super::{Outbound, Tunnel};
use crate::http1::{self, BodyDecoder, Decoded, Framing, Headers, ResponseHead};
use crate::wire::{self, Wire};

/// A response head is no larger than this.
const MAX_HEAD: usize = 64 * 1024;
/// A provider may send this many interim responses before its answer.
const MAX_INTERIM: usize = 16;

/// One HTTP/1.1 connection.
#[derive(Debug)]
pub(super) struct H1 {
    wire: Wire<Outbound>,
    decoder: Option<BodyDecoder>,
    /// The connection may serve another request when this one is done.
    keep: bool,
    chunked_request: bool,
    /// The request was sent to its end; else what follows would be taken for more of its body.
    sent: bool,
    /// Prefix of the request target towards a forward proxy, with its authorization.
    absolute: Option<Arc<super::link::ForwardProxy>>,
    /// The shelf of the thread that made it.
    home: Shelf,
}

impl H1 {
    pub(super) fn new(stream: Outbound, absolute: Option<Arc<super::link::ForwardProxy>>) -> Self {
        let (wire, home) = (Wire::new(stream), Shelf::of_thread());
        Self { wire, decoder: None, keep: true, chunked_request: false, sent: false, absolute, home }
    }

    /// Where it is kept while it is idle.
    pub(super) fn home(&self) -> Shelf {
        self.home
    }

    /// Neither closed nor spoken to while it was idle.
    pub(super) fn is_alive(&mut self) -> bool {
        self.wire.is_quiet()
    }

    /// Sends the head, and the body where it is whole.
    pub(super) async fn send(&mut self, head: &OutHead, body: RequestBody<'_>) -> Result<(), ExchangeError> {
        self.decoder = None;
        self.chunked_request = false;
        self.sent = !matches!(body, RequestBody::Streamed(_));
        let joined = if let RequestBody::Whole(bytes) = body { wire::joined(bytes.len()) } else { 0 };
        let mut out = Vec::with_capacity(head.lines.len() + head.target.len() + head.authority.len() + 128 + joined);
        match &self.absolute {
            Some(proxy) => {
                http1::write_request_line(&mut out, &head.method, &format!("{}{}", proxy.origin, head.target));
                if let Some(authorization) = &proxy.authorization {
                    http1::write_header(&mut out, b"proxy-authorization", authorization.as_bytes());
                }
            }
            None => http1::write_request_line(&mut out, &head.method, &head.target),
        }
        http1::write_header(&mut out, b"host", head.authority.as_bytes());
        out.extend_from_slice(&head.lines);
        let length = match body {
            RequestBody::None => None,
            RequestBody::Whole(bytes) => Some(bytes.len() as u64),
            RequestBody::Streamed(length) => {
                self.chunked_request = length.is_none();
                length
            }
        };
        if let Some(length) = length {
            http1::write_header(&mut out, b"content-length", itoa::Buffer::new().format(length).as_bytes());
        } else if self.chunked_request {
            http1::write_header(&mut out, b"transfer-encoding", b"chunked");
        }
        out.extend_from_slice(b"\r\n");
        match body {
            RequestBody::Whole(bytes) => self.push(&mut out, std::slice::from_ref(bytes)).await,
            RequestBody::None | RequestBody::Streamed(_) => self.push(&mut out, &[] as &[Bytes]).await,
        }
    }

    /// Sends a part of a streamed body.
    pub(super) async fn send_chunk(&mut self, chunk: &Bytes) -> Result<(), ExchangeError> {
        let mut out = Vec::new();
        if !self.chunked_request {
            return self.push(&mut out, std::slice::from_ref(chunk)).await;
        }
        http1::write_chunk_head(&mut out, chunk.len());
        self.push(&mut out, &[chunk.clone(), Bytes::from_static(b"\r\n")]).await
    }

    /// Ends a streamed body.
    pub(super) async fn end_body(&mut self) -> Result<(), ExchangeError> {
        self.sent = true;
        if !self.chunked_request {
            return Ok(());
        }
        let mut out = http1::LAST_CHUNK.to_vec();
        self.push(&mut out, &[] as &[Bytes]).await
    }

    /// Writes; a provider that answers before it has read everything is listened to instead of written to.
    async fn push(&mut self, out: &mut Vec<u8>, parts: &[Bytes]) -> Result<(), ExchangeError> {
        match self.wire.write_watching(out, parts, answers_early).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.keep = false;
                Ok(())
            }
            // The provider may have answered and closed; its answer says more than our broken pipe.
            Err(error) if is_gone(&error) && self.answered_before_closing().await => {
                self.keep = false;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn answered_before_closing(&mut self) -> bool {
        !self.wire.input.is_empty() || matches!(self.wire.fill().await, Ok(n) if n > 0)
    }

    /// Resolves once the provider has begun to answer, or has closed, although the request is still being sent.
    pub(super) async fn answering(&mut self) {
        while !answers_early(&self.wire.input) {
            if self.wire.input.len() >= MAX_HEAD {
                return std::future::pending().await;
            }
            if !matches!(self.wire.fill().await, Ok(n) if n > 0) {
                return;
            }
        }
    }

    /// The response's head; interim responses are skipped, except `101`.
    pub(super) async fn response(&mut self, method: &Method) -> Result<ResponseHead, ExchangeError> {
        for _ in 0..=MAX_INTERIM {
            let head = loop {
                let parsed = http1::parse_response(&mut self.wire.input, MAX_HEAD);
                if let Some(head) = parsed.map_err(|e| ExchangeError::Head(e.to_string()))? {
                    break head;
                }
                let filled = self.wire.fill().await;
                if let Err(error) = &filled
                    && !self.wire.input.is_empty()
                {
                    return Err(ExchangeError::Head(format!("the connection broke inside it: {error}")));
                }
                if filled? == 0 {
                    return Err(if self.wire.input.is_empty() {
                        ExchangeError::ClosedBeforeHead
                    } else {
                        ExchangeError::Head("the connection closed inside it".into())
                    });
                }
            };
            if (100..200).contains(&head.status) && head.status != 101 {
                continue;
            }
            let framing = http1::response_framing(&head, method).map_err(|e| ExchangeError::Head(e.to_string()))?;
            self.keep &= http1::keeps_alive(head.version, &head.headers) && !matches!(framing, Framing::UntilClose);
            self.decoder = Some(BodyDecoder::new(framing));
            return Ok(head);
        }
        Err(ExchangeError::Head("too many interim responses".into()))
    }

    /// Waits for a part of the body and takes all that is there with it; `false` at the end of the body.
    pub(super) async fn chunks(&mut self, out: &mut SmallVec<[Bytes; 4]>) -> Result<bool, ExchangeError> {
        let Some(decoder) = &mut self.decoder else { return Ok(false) };
        loop {
            match decoder.decode(&mut self.wire.input).map_err(|e| ExchangeError::Body(e.to_string()))? {
                Decoded::Data(bytes) => out.push(bytes),
                Decoded::Done => return Ok(false),
                Decoded::NeedMore if !out.is_empty() => return Ok(true),
                Decoded::NeedMore => {
                    if self.wire.fill().await? == 0 {
                        self.keep = false;
                        decoder.eof().map_err(|e| ExchangeError::Body(e.to_string()))?;
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Fields after a chunked body.
    pub(super) fn trailers(&self) -> Option<&Headers> {
        self.decoder.as_ref().and_then(BodyDecoder::trailers)
    }

    /// Its socket, for what the kernel knows of it.
    pub(super) fn socket(&self) -> Option<Arc<SocketDigest>> {
        match self.wire.io() {
            Outbound::Plain(socket) => Some(Arc::new(SocketDigest::from_raw_fd(socket.as_raw_fd()))),
            Outbound::Tls(stream) => stream.get_socket_digest(),
        }
    }

    /// Whether another request may follow on this connection.
    pub(super) fn is_reusable(&self) -> bool {
        self.keep && self.sent && self.wire.input.is_empty() && self.decoder.as_ref().is_some_and(BodyDecoder::is_done)
    }

    /// The bare stream after `101`, with what was read ahead.
    pub(super) fn into_wire(self) -> Tunnel {
        self.wire
    }
}

/// Whether these first bytes belong to a final response rather than to an interim one.
fn answers_early(input: &[u8]) -> bool {
    input.len() > 9 && input[9] != b'1'
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
