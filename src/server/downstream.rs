//! One call of an HTTP/1.1 client.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::body::BodyIn;
use super::h1::linger;
use super::inbound::Inbound;
use crate::config::file::HalfClose;
use crate::gateway::{Answer, BodyBudget, BodyLength, Downstream, End, Held, ReadError};
use crate::http1::{self, Version};
use crate::upstream::{Patience, Tunnel, within};
use crate::wire::{self, Wire};

/// A client may send so much of its next requests while it waits for an answer; then it is not read from any more.
const MAX_PIPELINED: usize = 64 * 1024;
/// What a tunnel holds of each direction.
const TUNNEL_BUFFER: usize = 16 * 1024;

/// One call on a connection.
pub struct H1Call<'c> {
    pub(super) wire: &'c mut Wire<Inbound>,
    pub(super) patience: &'c mut Patience,
    pub(super) body: BodyIn,
    /// Written, not yet sent.
    pub(super) out: Vec<u8>,
    pub(super) version: Version,
    pub(super) half_close: HalfClose,
    pub(super) write_patience: Duration,
    pub(super) head_only: bool,
    pub(super) takes_trailers: bool,
    /// The connection may carry another call after this one.
    pub(super) keep: bool,
    pub(super) chunked: bool,
    pub(super) answered: bool,
}

impl Downstream for H1Call<'_> {
    fn body_length(&self) -> BodyLength {
        self.body.length()
    }

    async fn read_body(&mut self, limit: usize, budget: &BodyBudget) -> Result<(Bytes, Held), ReadError> {
        self.body.read(self.wire, limit, budget).await
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, ReadError> {
        self.body.next(self.wire).await
    }

    fn start(&mut self, answer: &Answer) {
        // What is left of an unread body would be taken for the next request.
        self.keep &= self.body.is_done();
        let body = if let BodyLength::Known(length) = answer.length { wire::joined(length as usize) } else { 256 };
        self.out.reserve(answer.lines.len() + 192 + body);
        http1::write_status_line(&mut self.out, answer.status);
        self.out.extend_from_slice(&answer.lines);
        if !answer.dated {
            http1::write_date(&mut self.out);
        }
        match answer.length {
            BodyLength::Known(length) => {
                http1::write_header(&mut self.out, b"content-length", itoa::Buffer::new().format(length).as_bytes());
            }
            BodyLength::Unknown if self.version == Version::Http11 => {
                self.chunked = !self.head_only;
                self.out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            }
            BodyLength::Unknown => self.keep = false,
            BodyLength::None => {}
        }
        if answer.status != 101 {
            match (self.keep, self.version) {
                (false, _) => self.out.extend_from_slice(b"connection: close\r\n"),
                (true, Version::Http10) => self.out.extend_from_slice(b"connection: keep-alive\r\n"),
                (true, _) => {}
            }
        }
        self.out.extend_from_slice(b"\r\n");
    }

    async fn send(&mut self, chunks: &[Bytes], end: End<'_>) -> io::Result<()> {
        let chunks = if self.head_only { &[] } else { chunks };
        let ends = matches!(end, End::Now(_));
        let mut framed;
        let parts = if self.chunked {
            framed = smallvec::SmallVec::<[Bytes; 8]>::new();
            let total: usize = chunks.iter().map(Bytes::len).sum();
            if total > 0 {
                http1::write_chunk_head(&mut self.out, total);
                framed.extend(chunks.iter().cloned());
                framed.push(Bytes::from_static(b"\r\n"));
            }
            if let End::Now(trailers) = end {
                framed.push(self.last_chunk(trailers));
            }
            framed.as_slice()
        } else {
            chunks
        };
        if self.out.is_empty() && parts.is_empty() {
            self.answered |= ends;
            return Ok(());
        }
        let sent = within(self.write_patience, pin!(self.wire.write(&mut self.out, parts))).await;
        let sent = sent.map_err(|_| io::Error::from(io::ErrorKind::TimedOut)).and_then(|sent| sent);
        match sent {
            Ok(()) => self.answered |= ends,
            Err(_) => self.keep = false,
        }
        sent
    }

    fn abort(&mut self) {
        self.keep = false;
    }

    fn take_patience(&mut self) -> Patience {
        std::mem::take(self.patience)
    }

    fn keep_patience(&mut self, patience: Patience) {
        *self.patience = patience;
    }

    async fn closed(&mut self) {
        poll_fn(|cx| {
            loop {
                if self.wire.input.len() >= MAX_PIPELINED {
                    return Poll::Pending;
                }
                match self.wire.poll_fill(cx) {
                    Poll::Ready(Ok(0)) if self.half_close == HalfClose::Serve => {
                        self.keep = false;
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(0) | Err(_)) => {
                        self.keep = false;
                        return Poll::Ready(());
                    }
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    }

    fn can_tunnel(&self) -> bool {
        self.version == Version::Http11
    }

    async fn tunnel(&mut self, mut upstream: Tunnel) -> io::Result<(u64, u64)> {
        self.keep = false;
        let early = std::mem::take(&mut upstream.input);
        self.wire.write(&mut self.out, &[early]).await?;
        self.answered = true;
        let sent = self.wire.input.split();
        upstream.write(&mut Vec::new(), &[sent]).await?;
        let (mut up, mut down) = (0, 0);
        let (client, provider) = (tokio::io::split(self.wire.io_mut()), tokio::io::split(upstream.io_mut()));
        let client_may_end = self.half_close == HalfClose::Serve;
        let upwards = async {
            let ended = pump(client.0, provider.1, &mut up).await;
            if client_may_end && ended.is_ok() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = upwards => {}
            _ = pump(provider.0, client.1, &mut down) => {}
        }
        drop(upstream);
        linger(self.wire).await;
        Ok((up, down))
    }
}

/// Carries bytes one way to their end, and ends the other side with it.
async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, carried: &mut u64) -> io::Result<()> {
    let mut buffer = vec![0; TUNNEL_BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
        *carried += read as u64;
    }
}

impl H1Call<'_> {
    fn last_chunk(&self, trailers: Option<&http1::Headers>) -> Bytes {
        let Some(trailers) = trailers.filter(|t| self.takes_trailers && !t.is_empty()) else {
            return Bytes::from_static(http1::LAST_CHUNK);
        };
        let mut last = b"0\r\n".to_vec();
        for (name, value) in trailers.iter() {
            http1::write_header(&mut last, name, value);
        }
        last.extend_from_slice(b"\r\n");
        last.into()
    }
}
