//! A connection to a provider for the length of one exchange, whatever HTTP version carries it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use smallvec::SmallVec;

use super::Tunnel;
use super::error::ExchangeError;
use super::h1::H1;
use super::h2::H2;
use super::head::{OutHead, RequestBody};
use super::link::{Origin, Permit};
use crate::http1::{Headers, ResponseHead};

/// One exchange's connection. Dropped without [`Conn::release`], it is closed (HTTP/2: its stream is reset), which
/// tells the provider to stop.
pub struct Conn {
    kind: Option<Kind>,
    origin: Arc<Origin>,
    permit: Option<Permit>,
}

enum Kind {
    H1(Box<H1>),
    H2(Box<H2>),
}

impl Conn {
    pub(super) fn h1(h1: Box<H1>, origin: Arc<Origin>, permit: Permit) -> Self {
        Self { kind: Some(Kind::H1(h1)), origin, permit: Some(permit) }
    }

    pub(super) fn h2(h2: Box<H2>, origin: Arc<Origin>, permit: Permit) -> Self {
        Self { kind: Some(Kind::H2(h2)), origin, permit: Some(permit) }
    }

    fn kind(&mut self) -> Result<&mut Kind, ExchangeError> {
        self.kind.as_mut().ok_or(ExchangeError::ClosedBeforeHead)
    }

    /// Sends the request; with a streamed body only its head.
    ///
    /// # Errors
    /// The connection broke. Nothing tells whether the provider has read anything.
    pub async fn send(&mut self, head: &OutHead, body: RequestBody<'_>) -> Result<(), ExchangeError> {
        match self.kind()? {
            Kind::H1(h1) => h1.send(head, body).await,
            Kind::H2(h2) => h2.send(head, body).await,
        }
    }

    /// Sends a part of a streamed body.
    ///
    /// # Errors
    /// As [`Conn::send`].
    pub async fn send_chunk(&mut self, chunk: &Bytes) -> Result<(), ExchangeError> {
        match self.kind()? {
            Kind::H1(h1) => h1.send_chunk(chunk).await,
            Kind::H2(h2) => h2.send_chunk(chunk).await,
        }
    }

    /// Ends a streamed body.
    ///
    /// # Errors
    /// As [`Conn::send`].
    pub async fn end_body(&mut self) -> Result<(), ExchangeError> {
        match self.kind()? {
            Kind::H1(h1) => h1.end_body().await,
            Kind::H2(h2) => h2.end_body(),
        }
    }

    /// Resolves once the provider has begun to answer, or has closed, although the request is still being sent.
    /// Cancel-safe. HTTP/2 tells by refusing further sends instead.
    pub async fn answering(&mut self) {
        match &mut self.kind {
            Some(Kind::H1(h1)) => h1.answering().await,
            _ => std::future::pending().await,
        }
    }

    /// Waits for the response's head.
    ///
    /// # Errors
    /// The connection broke, closed, or carried something that is no response.
    pub async fn response(&mut self, method: &Method) -> Result<ResponseHead, ExchangeError> {
        match self.kind()? {
            Kind::H1(h1) => h1.response(method).await,
            Kind::H2(h2) => h2.response().await,
        }
    }

    /// Waits for the next part of the body and takes with it what else is there; `false` at the end of the body.
    /// Cancel-safe: what was read stays.
    ///
    /// # Errors
    /// The body ended too early or breaks the framing rules.
    pub async fn chunks(&mut self, out: &mut SmallVec<[Bytes; 4]>) -> Result<bool, ExchangeError> {
        match self.kind()? {
            Kind::H1(h1) => h1.chunks(out).await,
            Kind::H2(h2) => h2.chunks(out).await,
        }
    }

    /// Fields after the body.
    pub fn trailers(&self) -> Option<&Headers> {
        match self.kind.as_ref()? {
            Kind::H1(h1) => h1.trailers(),
            Kind::H2(h2) => h2.trailers(),
        }
    }

    /// The shortest time that a packet took to the provider and back in the last five minutes, by the kernel's count
    /// (`tcpi_min_rtt`). `None` where it is not known: through a proxy, which the count stops at.
    pub fn round_trip(&self) -> Option<Duration> {
        if self.origin.is_behind_proxy() {
            return None;
        }
        let socket = match self.kind.as_ref()? {
            Kind::H1(h1) => h1.socket(),
            Kind::H2(h2) => h2.socket(),
        }?;
        let micros = socket.tcp_info()?.tcpi_min_rtt;
        // Both mean that none was seen.
        (micros != 0 && micros != u32::MAX).then(|| Duration::from_micros(micros.into()))
    }

    /// Gives the connection back for the next call where it can serve one, from now on.
    pub fn release(mut self, now: Instant) {
        let Some(permit) = self.permit.take() else { return };
        match self.kind.take() {
            Some(Kind::H1(h1)) if h1.is_reusable() => self.origin.keep_h1(h1, permit, now),
            Some(Kind::H2(h2)) if h2.is_reusable() => self.origin.keep_h2(*h2),
            other => self.kind = other,
        }
    }

    /// The bare byte stream, after `101 Switching Protocols` over HTTP/1.1.
    pub fn into_tunnel(mut self) -> Option<Tunnel> {
        match self.kind.take() {
            Some(Kind::H1(h1)) => Some(h1.into_wire()),
            _ => None,
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let Some(Kind::H2(h2)) = &mut self.kind {
            h2.cancel();
        }
    }
}
