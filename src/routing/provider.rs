//! A provider, ready for use: its base URLs taken apart, its globs compiled.

use std::sync::Arc;

use super::endpoint::Endpoint;
use super::pattern::Pattern;
use super::policy::Timeouts;
use crate::config::types as config;
use crate::dialect::DialectId;

/// A place that calls can go to.
#[derive(Debug)]
pub struct Provider {
    /// Its place in [`super::RoutingTable::providers`].
    pub index: usize,
    /// The name that the configuration gives it.
    pub name: Arc<str>,
    /// The configuration, presets merged.
    pub config: config::Provider,
    /// Settings of the built-in simulated provider, when this is one: it speaks every dialect and has no address.
    pub simulated: Option<config::Simulate>,
    /// Whether its streams report usage.
    pub stream_usage: config::StreamUsage,
    /// Its timeouts over the defaults.
    pub timeouts: Timeouts,
    pub(super) endpoints: [Option<Endpoint>; 3],
    pub(super) models: Box<[Pattern]>,
}

pub(super) const fn slot(dialect: DialectId) -> usize {
    match dialect {
        DialectId::OpenAi => 0,
        DialectId::Anthropic => 1,
        DialectId::Opaque => 2,
    }
}

impl Provider {
    /// Where a call of this dialect goes. An opaque call goes to the provider's first base URL; a call of any dialect
    /// goes to an opaque base URL where there is no better one (it is passed through unread). None for the simulated
    /// provider, which has no address, unless it was given one.
    pub fn endpoint(&self, dialect: DialectId) -> Option<&Endpoint> {
        let exact = self.endpoints[slot(dialect)].as_ref();
        match dialect {
            DialectId::Opaque => exact.or_else(|| self.endpoints.iter().flatten().next()),
            _ => exact.or(self.endpoints[slot(DialectId::Opaque)].as_ref()),
        }
    }

    /// Whether routes may send calls of this dialect here.
    pub fn speaks(&self, dialect: DialectId) -> bool {
        self.simulated.is_some() || self.endpoints[slot(dialect)].is_some()
    }

    /// Whether calls of this dialect that are addressed to this provider by name can go to it.
    pub(super) fn takes(&self, dialect: DialectId) -> bool {
        self.simulated.is_some() || self.endpoint(dialect).is_some()
    }

    pub(super) fn serves(&self, model: &str) -> bool {
        self.models.iter().any(|pattern| pattern.matches(model))
    }
}
