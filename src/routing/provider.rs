//! A provider, ready for use: its base URLs taken apart, its globs compiled.

use std::sync::Arc;

use super::endpoint::Endpoint;
use super::pattern::Pattern;
use super::policy::Timeouts;
use crate::config::{RouterMetadata, file as config};
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
    /// First segments of paths that address it.
    pub prefixes: Box<[Box<str>]>,
    /// How the key is sent, by dialect.
    pub(super) auth: [config::AuthScheme; 3],
    /// Headers that replace the client's; names in lower case.
    pub headers: Box<[(Box<str>, Box<str>)]>,
    /// Headers for where the client sends none of that name; names in lower case.
    pub default_headers: Box<[(Box<str>, Box<str>)]>,
    /// How it is asked to tell of its own part in a call, where it is a router and shall be asked.
    pub router_metadata: Option<RouterMetadata>,
    /// Settings of the built-in simulated provider, when this is one.
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
    /// Where calls of this dialect go; for opaque ones, the first base URL where there is no opaque one.
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

    /// What its main base URL speaks.
    pub fn main_dialect(&self) -> DialectId {
        match self.config.dialect {
            Some(config::DialectName::Anthropic) => DialectId::Anthropic,
            Some(config::DialectName::Opaque) => DialectId::Opaque,
            Some(config::DialectName::Openai) | None => DialectId::OpenAi,
        }
    }

    /// How the key is sent with calls of this dialect.
    pub fn auth(&self, dialect: DialectId) -> &config::AuthScheme {
        &self.auth[slot(dialect)]
    }

    /// Whether calls of this dialect can go here. A call that is addressed to a provider which does not speak its
    /// dialect can only be passed through unread, as [`DialectId::Opaque`].
    pub fn speaks(&self, dialect: DialectId) -> bool {
        self.endpoint(dialect).is_some()
    }

    pub(super) fn serves(&self, model: &str) -> bool {
        self.models.iter().any(|pattern| pattern.matches(model))
    }
}
