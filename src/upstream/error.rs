//! What can fail on the way to a provider. Messages are for the operator: they name hosts, never keys.

use std::io;
use std::time::Duration;

/// No connection could be had.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address (yet).
    #[error("cannot resolve {host}: {reason}")]
    Resolve {
        /// The name that was looked up.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// TCP, TLS or the egress proxy refused.
    #[error("cannot connect to {host}: {reason}")]
    Refused {
        /// Where to.
        host: String,
        /// What the transport said.
        reason: String,
    },
    /// It took too long.
    #[error("no connection to {host} within {after:?}")]
    Timeout {
        /// Where to.
        host: String,
        /// The limit.
        after: Duration,
    },
    /// `max_connections` are open already.
    #[error("all {limit} connections to {host} are in use")]
    Exhausted {
        /// Where to.
        host: String,
        /// The limit.
        limit: usize,
    },
    /// The TLS settings cannot be used (files vanished or changed since they were checked).
    #[error("TLS settings for {host}: {reason}")]
    Tls {
        /// Where to.
        host: String,
        /// What is wrong.
        reason: String,
    },
}

impl ExchangeError {
    /// Failed before the provider said anything: on a kept connection that means it had died.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::ClosedBeforeHead | Self::Io(_) | Self::Http2(_))
    }
}

/// A connection was there, but the exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The connection broke while sending or receiving.
    #[error("connection broke: {0}")]
    Io(#[from] io::Error),
    /// The provider closed before it answered.
    #[error("connection closed before a response")]
    ClosedBeforeHead,
    /// The response head cannot be understood.
    #[error("response head: {0}")]
    Head(String),
    /// The response body breaks the framing rules or ends too early.
    #[error("response body: {0}")]
    Body(String),
    /// HTTP/2 said no.
    #[error("HTTP/2: {0}")]
    Http2(String),
}
