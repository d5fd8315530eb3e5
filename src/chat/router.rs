//! What a router tells of its own part in a call.

use std::time::Duration;

/// What a router tells where it is asked to. What it does not tell is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouterTold {
    /// From its request to the provider that served the call until that provider's answer had ended, by the router's
    /// own clock.
    pub generation: Option<Duration>,
    /// Where the router took the call, in its own words.
    pub region: Option<Box<str>>,
}
