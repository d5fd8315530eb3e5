//! The client of one call, as the gateway sees it.

use std::future::Future;
use std::io;

use bytes::Bytes;

use super::answer::Answer;
use super::budget::{BodyBudget, Held};
use crate::http1::Headers;
use crate::upstream::{Patience, Tunnel};

/// How much body a message carries, as far as its head tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// None at all.
    None,
    /// So many bytes.
    Known(u64),
    /// As many as come.
    Unknown,
}

/// Why a request body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Over the limit.
    #[error("the request body is larger than {limit} bytes")]
    TooLarge {
        /// The limit that it is over.
        limit: usize,
    },
    /// All bodies in flight together are over their budget.
    #[error("no memory left for request bodies")]
    OverBudget,
    /// The client is too slow.
    #[error("the request body did not arrive in time")]
    Timeout,
    /// It breaks the framing rules.
    #[error("{0}")]
    Malformed(String),
    /// The client is gone.
    #[error("the client closed the connection")]
    Closed,
}

/// What follows the chunks of one [`Downstream::send`].
#[derive(Debug, Clone, Copy)]
pub enum End<'a> {
    /// More chunks.
    NotYet,
    /// Nothing: the answer is whole. Trailer fields are passed on where the client can take them.
    Now(Option<&'a Headers>),
}

/// One call's client. All futures may be dropped at any await.
pub trait Downstream: Send {
    /// What the request's head says of its body.
    fn body_length(&self) -> BodyLength;

    /// The whole body, under a limit and within the budget; asks for it first where the client waits to be asked.
    fn read_body(
        &mut self,
        limit: usize,
        budget: &BodyBudget,
    ) -> impl Future<Output = Result<(Bytes, Held), ReadError>> + Send;

    /// The next part of a body that streams through; `None` at its end.
    fn next_chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, ReadError>> + Send;

    /// Begins the answer. Nothing is sent before [`Downstream::send`].
    fn start(&mut self, answer: &Answer);

    /// Sends what is there, and ends the answer where `end` says so.
    fn send(&mut self, chunks: &[Bytes], end: End<'_>) -> impl Future<Output = io::Result<()>> + Send;

    /// The answer cannot be completed: the client must not take it for whole.
    fn abort(&mut self);

    /// The connection's timer, for the waits of this call; whoever is done with it gives it back. Without it a call
    /// makes one of its own.
    fn take_patience(&mut self) -> Patience {
        Patience::default()
    }

    /// Keeps the timer for the next call.
    fn keep_patience(&mut self, _: Patience) {}

    /// Resolves when the client is gone.
    fn closed(&mut self) -> impl Future<Output = ()> + Send;

    /// Whether the connection can become a tunnel (`Upgrade`).
    fn can_tunnel(&self) -> bool;

    /// Carries bytes both ways until either side ends; the `101` answer has been started before.
    fn tunnel(&mut self, upstream: Tunnel) -> impl Future<Output = io::Result<(u64, u64)>> + Send;
}
