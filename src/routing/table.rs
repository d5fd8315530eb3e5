//! The routing table: immutable, shared by all calls that began while it was current.

use std::sync::Arc;

use super::budget::RetryBudget;
use super::hash::Map;
use super::index::Index;
use super::pattern::Pattern;
use super::provider::Provider;
use super::route::{Route, Target};

/// What one configuration compiles to. Build it with [`RoutingTable::compile`], ask it with [`RoutingTable::select`].
#[derive(Debug)]
pub struct RoutingTable {
    /// Counts the tables of this process, from 1.
    pub generation: u64,
    /// Names the configuration: 16 hexadecimal digits, equal for equal configurations on every machine.
    pub hash: String,
    pub(super) providers: Vec<Arc<Provider>>,
    /// The configured routes, then one implicit route for each provider.
    pub(super) routes: Vec<Arc<Route>>,
    pub(super) targets: Vec<Arc<Target>>,
    pub(super) index: Index,
    pub(super) aliases: Map<Box<str>, Arc<str>>,
    /// Provider names and preset names -> provider.
    pub(super) prefixes: Map<Box<str>, usize>,
    pub(super) budget: Arc<RetryBudget>,
    /// For errors: which providers there are.
    pub(super) known: Arc<str>,
}

impl RoutingTable {
    /// All providers, in order of their names; [`Provider::index`] points into this.
    pub fn providers(&self) -> &[Arc<Provider>] {
        &self.providers
    }

    /// The configured routes in order of the file, then an implicit one for each provider; [`Route::index`] points
    /// into this.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The targets of all routes, implicit ones included; [`Target::index`] points into this.
    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// The provider that a path's first segment names, by its own name or else by its preset's.
    pub fn provider_for_prefix(&self, segment: &str) -> Option<&Arc<Provider>> {
        self.prefixes.get(segment).and_then(|index| self.providers.get(*index))
    }

    /// The provider that the first segment of a path names, and the path without it.
    pub fn split_prefix<'p>(&self, path: &'p str) -> (Option<&Arc<Provider>>, &'p str) {
        let bare = path.strip_prefix('/').unwrap_or(path);
        let segment = bare.split('/').next().unwrap_or_default();
        match (self.provider_for_prefix(segment), &bare[segment.len()..]) {
            (None, _) => (None, path),
            (found, "") => (found, "/"),
            (found, rest) => (found, rest),
        }
    }

    /// Every model name that the configuration spells out: aliases and what they stand for, and what routes, targets
    /// and providers name without a glob.
    pub fn model_names(&self) -> impl Iterator<Item = &str> {
        let aliases = self.aliases.iter().flat_map(|(alias, name)| [&**alias, &**name]);
        let routes = self.routes.iter().flat_map(|route| &route.conditions.models);
        let patterns = routes.chain(self.providers.iter().flat_map(|provider| &provider.models));
        let targets = self.targets.iter().filter_map(|target| target.model.as_deref());
        aliases.chain(patterns.filter_map(Pattern::literal)).chain(targets)
    }

    /// The retry budget of all routes that do not set their own share. Calls use [`Route::retry_budget`].
    pub fn retry_budget(&self) -> &Arc<RetryBudget> {
        &self.budget
    }

    /// The route that serves what no configured route matches, at this provider.
    pub(super) fn implicit(&self, provider: usize) -> Option<&Arc<Route>> {
        self.routes.get(self.routes.len() - self.providers.len() + provider)
    }
}
