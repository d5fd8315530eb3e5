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

const DIALECTS: [DialectId; 3] = [DialectId::OpenAi, DialectId::Anthropic, DialectId::Opaque];

impl Provider {
    /// Where calls of this dialect go; for opaque ones, the first base URL where there is no opaque one. The address of
    /// the simulated provider is never dialled.
    pub fn endpoint(&self, dialect: DialectId) -> Option<&Endpoint> {
        let exact = self.endpoints[slot(dialect)].as_ref();
        match dialect {
            DialectId::Opaque => exact.or_else(|| self.endpoints.iter().flatten().next()),
            _ => exact,
        }
    }

    /// Every base URL, with its dialect.
    pub fn endpoints(&self) -> impl Iterator<Item = (DialectId, &Endpoint)> {
        DIALECTS.into_iter().zip(&self.endpoints).filter_map(|(dialect, e)| Some((dialect, e.as_ref()?)))
    }

    /// Whether calls of this dialect can go here. A call that is addressed to a provider which does not speak its
    /// dialect can only be passed through unread, as [`DialectId::Opaque`].
    pub fn speaks(&self, dialect: DialectId) -> bool {
        self.simulated.is_some() || self.endpoint(dialect).is_some()
    }

    pub(super) fn serves(&self, model: &str) -> bool {
        self.models.iter().any(|pattern| pattern.matches(model))
    }
}
