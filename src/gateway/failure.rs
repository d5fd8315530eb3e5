//! An attempt that failed before anything reached the client, and what follows from it.

use std::time::Duration;

use bytes::Bytes;

use crate::config::types::RetryOn;
use crate::dialect::{UpstreamError, UpstreamErrorKind};
use crate::error::{ClientError, Kind};
use crate::http1::ResponseHead;
use crate::metering::Outcome;
use crate::upstream::{ConnectError, ExchangeError};

/// A provider's own error reply, kept in case nothing better comes.
pub(super) struct Reply {
    pub(super) head: ResponseHead,
    pub(super) body: Bytes,
    /// The body left out something of the provider's.
    pub(super) rewritten: bool,
}

/// Why an attempt failed.
pub(super) struct Failure {
    pub(super) on: RetryOn,
    pub(super) outcome: Outcome,
    /// The provider's own words, where it answered.
    pub(super) reply: Option<Reply>,
    /// What the client is told where the provider said nothing.
    pub(super) error: ClientError,
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn connect(error: ConnectError) -> Self {
        let (on, outcome) = match error {
            ConnectError::Timeout { .. } => (RetryOn::Connect, Outcome::UpstreamTimeout),
            _ => (RetryOn::Connect, Outcome::UpstreamConnect),
        };
        let error = ClientError::new(Kind::UpstreamConnect, "no connection to the provider").with_source(error);
        Self { on, outcome, reply: None, error, retry_after: None }
    }

    pub(super) fn timeout(after: Duration) -> Self {
        let message = format!("the provider did not answer within {after:?}");
        let error = ClientError::new(Kind::UpstreamTimeout, message);
        Self { on: RetryOn::Timeout, outcome: Outcome::UpstreamTimeout, reply: None, error, retry_after: None }
    }

    pub(super) fn broken(error: ExchangeError) -> Self {
        let error = ClientError::new(Kind::UpstreamBroken, "the provider's answer broke off or made no sense")
            .with_source(error);
        Self { on: RetryOn::Broken, outcome: Outcome::UpstreamError, reply: None, error, retry_after: None }
    }

    /// A key is configured but cannot be read.
    pub(super) fn no_key(provider: &str) -> Self {
        let message =
            format!("no key for the provider `{provider}`: its environment variable or file is empty or missing");
        let error = ClientError::new(Kind::UpstreamConnect, message);
        Self { on: RetryOn::Unauthorized, outcome: Outcome::UpstreamRejected, reply: None, error, retry_after: None }
    }

    /// What a status asks for, unless it is an answer.
    pub(super) fn of_status(status: u16) -> Option<(RetryOn, Outcome)> {
        match status {
            429 => Some((RetryOn::RateLimited, Outcome::UpstreamRateLimited)),
            500..=599 => Some((RetryOn::ServerError, Outcome::UpstreamError)),
            408 => Some((RetryOn::Timeout, Outcome::UpstreamTimeout)),
            401 | 403 => Some((RetryOn::Unauthorized, Outcome::UpstreamRejected)),
            404 => Some((RetryOn::NotFound, Outcome::UpstreamRejected)),
            _ => None,
        }
    }

    /// What an error inside a 2xx answer stands for.
    pub(super) fn of_event(error: &UpstreamError) -> (RetryOn, Outcome) {
        match error.kind {
            UpstreamErrorKind::RateLimited => (RetryOn::RateLimited, Outcome::UpstreamRateLimited),
            UpstreamErrorKind::Unauthorized => (RetryOn::Unauthorized, Outcome::UpstreamRejected),
            UpstreamErrorKind::NotFound => (RetryOn::NotFound, Outcome::UpstreamRejected),
            _ => (RetryOn::Broken, Outcome::UpstreamError),
        }
    }

    /// Whether it speaks against the target's health.
    pub(super) fn is_unhealthy(&self) -> bool {
        !matches!(self.on, RetryOn::NotFound)
    }

    /// Of two failures the one that tells the client more: a provider's own words win over ours, later over earlier.
    pub(super) fn or_better(self, earlier: Option<Self>) -> Self {
        match earlier {
            Some(earlier) if self.reply.is_none() && earlier.reply.is_some() => earlier,
            _ => self,
        }
    }
}
