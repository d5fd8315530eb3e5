//! The one error that a client can be answered with.
//!
//! Policy: leaf modules have small typed errors of their own. On their way to the client they become a
//! [`ClientError`] in one place (`gateway::rescue`), and the client's dialect turns that into status and body.
//! The public message says what happened and what to do; the source, which may name hosts and files, is for the
//! operator's log only. Neither ever holds a key or a body.

use std::borrow::Cow;
use std::time::Duration;

/// Whose fault an error is; decides the outcome label and whether it counts against a target's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The client sent something that cannot be served.
    Client,
    /// Faregate's configuration forbids or limits the call.
    Policy,
    /// A provider failed.
    Upstream,
    /// Faregate failed.
    Internal,
}

/// What went wrong, as far as the answer to the client depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 400: the request cannot be understood.
    BadRequest,
    /// 401: no inbound key, or a wrong one.
    Unauthorized,
    /// 404: no such path here.
    NotFound,
    /// 404: no route or target for this model.
    NoRoute,
    /// 408: the client was too slow to send its request.
    RequestTimeout,
    /// 413: the body is over the limit.
    PayloadTooLarge,
    /// 431: the head is over the limit.
    HeadTooLarge,
    /// 429: over a limit that this gateway keeps.
    RateLimited,
    /// 503: this gateway is at its limit of memory or calls, or is stopping; try again.
    Overloaded,
    /// 502: no connection to any provider.
    UpstreamConnect,
    /// 504: the provider did not answer in time.
    UpstreamTimeout,
    /// 502: the provider answered with something that is not a proper answer, or died inside it.
    UpstreamBroken,
    /// 500: a fault of Faregate's own.
    Internal,
}

/// An error on its way to the client.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ClientError {
    /// What went wrong.
    pub kind: Kind,
    /// What the client is told; holds no secret, host of ours, or body.
    pub message: Cow<'static, str>,
    /// Sent as `Retry-After` where known.
    pub retry_after: Option<Duration>,
    /// For the operator's log.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ClientError {
    /// An error without a source.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), retry_after: None, source: None }
    }

    /// Adds what the operator should see.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Tells the client when to come back.
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The HTTP status for this error.
    pub fn status(&self) -> u16 {
        match self.kind {
            Kind::BadRequest => 400,
            Kind::Unauthorized => 401,
            Kind::NotFound | Kind::NoRoute => 404,
            Kind::RequestTimeout => 408,
            Kind::PayloadTooLarge => 413,
            Kind::HeadTooLarge => 431,
            Kind::RateLimited => 429,
            Kind::Overloaded => 503,
            Kind::UpstreamConnect | Kind::UpstreamBroken => 502,
            Kind::UpstreamTimeout => 504,
            Kind::Internal => 500,
        }
    }

    /// Whose fault it is.
    pub fn origin(&self) -> Origin {
        match self.kind {
            Kind::BadRequest | Kind::NotFound | Kind::RequestTimeout | Kind::PayloadTooLarge | Kind::HeadTooLarge => {
                Origin::Client
            }
            Kind::Unauthorized | Kind::NoRoute | Kind::RateLimited | Kind::Overloaded => Origin::Policy,
            Kind::UpstreamConnect | Kind::UpstreamTimeout | Kind::UpstreamBroken => Origin::Upstream,
            Kind::Internal => Origin::Internal,
        }
    }
}
