//! How a call or an attempt ended: a closed set, by fault domain.

/// How a call or an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Answered, to the last byte.
    Ok,
    /// The client sent something that cannot be served.
    ClientInvalid,
    /// The client went away before the answer was complete.
    ClientDisconnected,
    /// Refused: no inbound key, a wrong one, or not allowed.
    PolicyDenied,
    /// Over a limit that this gateway keeps.
    PolicyRateLimited,
    /// Over a budget that this gateway keeps.
    PolicyOverBudget,
    /// No route or target for what was asked.
    NoRoute,
    /// No connection to the provider.
    UpstreamConnect,
    /// The provider did not answer, or went silent, in time.
    UpstreamTimeout,
    /// The provider answered 429.
    UpstreamRateLimited,
    /// The provider failed: 5xx, or something that is not a proper answer.
    UpstreamError,
    /// The provider refused the request: another 4xx.
    UpstreamRejected,
    /// The answer broke off after content had been sent to the client.
    StreamBroken,
    /// A fault of Faregate's own.
    Internal,
}

impl Outcome {
    /// Every outcome, in the order of its index.
    pub const ALL: [Self; 14] = [
        Self::Ok,
        Self::ClientInvalid,
        Self::ClientDisconnected,
        Self::PolicyDenied,
        Self::PolicyRateLimited,
        Self::PolicyOverBudget,
        Self::NoRoute,
        Self::UpstreamConnect,
        Self::UpstreamTimeout,
        Self::UpstreamRateLimited,
        Self::UpstreamError,
        Self::UpstreamRejected,
        Self::StreamBroken,
        Self::Internal,
    ];

    /// The label in metrics, logs and usage records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientInvalid => "client_invalid",
            Self::ClientDisconnected => "client_disconnected",
            Self::PolicyDenied => "policy_denied",
            Self::PolicyRateLimited => "policy_rate_limited",
            Self::PolicyOverBudget => "policy_over_budget",
            Self::NoRoute => "no_route",
            Self::UpstreamConnect => "upstream_connect",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamRateLimited => "upstream_rate_limited",
            Self::UpstreamError => "upstream_error",
            Self::UpstreamRejected => "upstream_rejected",
            Self::StreamBroken => "stream_broken",
            Self::Internal => "internal",
        }
    }

    /// Its place in [`Outcome::ALL`].
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_place_in_all() {
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.index(), at, "{outcome}");
        }
    }
}
