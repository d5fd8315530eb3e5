//! An attempt that failed before anything reached the client, and what follows from it.

use std::time::Duration;

use bytes::Bytes;

use crate::config::file::RetryOn;
use crate::dialect::{UpstreamError, UpstreamErrorKind};
use crate::error::{ClientError, Kind};
use crate::http1::ResponseHead;
use crate::metering::Outcome;
use crate::upstream::{ConnectError, ExchangeError, KeyInjection};

/// A provider's own error reply, kept in case nothing better comes.
pub(super) struct Reply {
    pub(super) head: ResponseHead,
    pub(super) body: Bytes,
    /// The body left out something of the provider's.
    pub(super) rewritten: bool,
}

/// What an answer asks for that serves nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The rule under which another attempt may be made; `None`: the request is at fault, and stays so elsewhere.
    pub(super) on: Option<RetryOn>,
    pub(super) outcome: Outcome,
    /// It speaks against the target's health.
    pub(super) blames: bool,
}

/// Why an attempt failed.
pub(super) struct Failure {
    pub(super) on: RetryOn,
    pub(super) outcome: Outcome,
    /// It speaks against the target's health.
    pub(super) blames: bool,
    /// The provider's own words, where it answered.
    pub(super) reply: Option<Reply>,
    /// What the client is told where the provider said nothing.
    pub(super) error: ClientError,
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn connect(error: ConnectError) -> Box<Self> {
        let outcome = match error {
            ConnectError::Timeout { .. } => Outcome::UpstreamTimeout,
            _ => Outcome::UpstreamConnect,
        };
        // A limit of our own says nothing of the provider.
        let blames = !matches!(error, ConnectError::Exhausted { .. });
        let error = ClientError::new(Kind::UpstreamConnect, "no connection to the provider").with_source(error);
        Box::new(Self { on: RetryOn::Connect, outcome, blames, reply: None, error, retry_after: None })
    }

    pub(super) fn timeout(after: Duration) -> Box<Self> {
        let message = format!("the provider did not answer within {after:?}");
        let error = ClientError::new(Kind::UpstreamTimeout, message);
        let outcome = Outcome::UpstreamTimeout;
        Box::new(Self { on: RetryOn::Timeout, outcome, blames: true, reply: None, error, retry_after: None })
    }

    pub(super) fn broken(error: ExchangeError) -> Box<Self> {
        let error = ClientError::new(Kind::UpstreamBroken, "the provider's answer broke off or made no sense")
            .with_source(error);
        let outcome = Outcome::UpstreamError;
        Box::new(Self { on: RetryOn::Broken, outcome, blames: true, reply: None, error, retry_after: None })
    }

    /// A key is configured but cannot be read.
    pub(super) fn no_key(provider: &str) -> Box<Self> {
        let message =
            format!("no key for the provider `{provider}`: its environment variable or file is empty or missing");
        let error = ClientError::new(Kind::UpstreamConnect, message);
        let outcome = Outcome::UpstreamRejected;
        Box::new(Self { on: RetryOn::Unauthorized, outcome, blames: false, reply: None, error, retry_after: None })
    }
}

impl Refusal {
    fn new(on: RetryOn, outcome: Outcome) -> Self {
        Self { on: Some(on), outcome, blames: !matches!(on, RetryOn::NotFound) }
    }

    /// What a status asks for, unless it is an answer.
    pub(super) fn of_status(status: u16) -> Option<Self> {
        Some(match status {
            429 => Self::new(RetryOn::RateLimited, Outcome::UpstreamRateLimited),
            // 501 among them: another target may well implement it.
            500..=599 => Self::new(RetryOn::ServerError, Outcome::UpstreamError),
            408 => Self::new(RetryOn::Timeout, Outcome::UpstreamTimeout),
            // 402: the account behind our key has run dry.
            401..=403 => Self::new(RetryOn::Unauthorized, Outcome::UpstreamRejected),
            404 => Self::new(RetryOn::NotFound, Outcome::UpstreamRejected),
            _ => return None,
        })
    }

    /// What an error inside a 2xx answer stands for.
    pub(super) fn of_event(error: &UpstreamError) -> Self {
        match error.kind {
            UpstreamErrorKind::RateLimited => Self::new(RetryOn::RateLimited, Outcome::UpstreamRateLimited),
            UpstreamErrorKind::Unauthorized => Self::new(RetryOn::Unauthorized, Outcome::UpstreamRejected),
            UpstreamErrorKind::NotFound => Self::new(RetryOn::NotFound, Outcome::UpstreamRejected),
            UpstreamErrorKind::Invalid | UpstreamErrorKind::ContextTooLong => {
                Self { on: None, outcome: Outcome::UpstreamRejected, blames: false }
            }
            UpstreamErrorKind::Overloaded | UpstreamErrorKind::ServerError | UpstreamErrorKind::Other => {
                Self::new(RetryOn::Broken, Outcome::UpstreamError)
            }
        }
    }

    /// A client's own key that is refused is no fault of the target's.
    pub(super) fn with_key(mut self, key: &KeyInjection) -> Self {
        self.blames &= !(self.on == Some(RetryOn::Unauthorized) && matches!(key, KeyInjection::Client));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16) -> Option<Outcome> {
        Refusal::of_status(status).map(|refusal| refusal.outcome)
    }

    #[test]
    fn statuses_by_fault_domain() {
        for fine in [200, 201, 204, 206, 302, 304] {
            assert_eq!(outcome(fine), None, "{fine}");
        }
        for fault_of_the_request in [400, 405, 409, 413, 415, 422] {
            assert_eq!(outcome(fault_of_the_request), None, "{fault_of_the_request}");
        }
        for failed in [500, 501, 502, 503, 504, 520, 529, 599] {
            assert_eq!(outcome(failed), Some(Outcome::UpstreamError), "{failed}");
        }
        assert_eq!(outcome(429), Some(Outcome::UpstreamRateLimited));
        assert_eq!(outcome(408), Some(Outcome::UpstreamTimeout));
    }

    #[test]
    fn a_refused_key_of_the_clients_blames_nobody() {
        let refused = Refusal::of_status(401).unwrap();
        assert!(refused.with_key(&KeyInjection::Nothing).blames);
        assert!(!refused.with_key(&KeyInjection::Client).blames);
        assert!(Refusal::of_status(500).unwrap().with_key(&KeyInjection::Client).blames);
    }

    #[test]
    fn a_fault_of_the_request_is_tried_nowhere_else() {
        let error = |kind| UpstreamError { kind, code: None, message: "m".into() };
        assert_eq!(Refusal::of_event(&error(UpstreamErrorKind::ContextTooLong)).on, None);
        assert_eq!(Refusal::of_event(&error(UpstreamErrorKind::Overloaded)).on, Some(RetryOn::Broken));
    }
}
