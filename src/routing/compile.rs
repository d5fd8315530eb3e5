//! From a configuration to a routing table: everything that can be computed once is computed here.
//!
//! `config` has checked the file already and knows its lines; what is found wrong here names the key. Nothing here
//! panics on any configuration.

mod probe;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::sync::Arc;

use super::budget::RetryBudget;
use super::condition::{self, Conditions};
use super::endpoint::Endpoint;
use super::hash::{self, Map, StableHasher};
use super::health::Health;
use super::index::Index;
use super::limit::Limit;
use super::no_route::joined;
use super::pattern::Pattern;
use super::policy::{HealthPolicy, RetryPolicy, Timeouts};
use super::provider::{Provider, slot};
use super::route::{Route, Target};
use super::table::RoutingTable;
use crate::config::file::{self as config, AuthScheme, DialectName, Strategy, StreamUsage};
use crate::config::{Config, ResolvedProvider};
use crate::dialect::DialectId;

/// Why a configuration cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct CompileError {
    /// The key's path: `routes[0].targets[1].provider`.
    pub key: String,
    /// What is wrong with it, and what to do.
    pub message: String,
}

impl RoutingTable {
    /// Compiles a configuration whose presets are merged into `providers`. Health, calls in flight and retry budgets
    /// go on where `previous` stands: health by provider and model, the others by the route's name.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn compile(config: &Config, previous: Option<&RoutingTable>) -> Result<Self, Vec<CompileError>> {
        Self::compile_resolved(config, &crate::config::resolve(config), previous)
    }

    /// [`RoutingTable::compile`] with providers that were resolved before.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn compile_resolved(
        config: &Config,
        providers: &[ResolvedProvider],
        previous: Option<&RoutingTable>,
    ) -> Result<Self, Vec<CompileError>> {
        Compiler::new(config, previous).run(providers)
    }
}

struct Compiler<'c> {
    config: &'c Config,
    errors: Vec<CompileError>,
    providers: Vec<Arc<Provider>>,
    by_name: Map<&'c str, usize>,
    targets: Vec<Arc<Target>>,
    policy: HealthPolicy,
    old_health: Map<(&'c str, Option<&'c str>), &'c Arc<Health>>,
    health: Map<(&'c str, Option<&'c str>), Arc<Health>>,
    old_routes: Map<&'c str, &'c Arc<Route>>,
    budget: Arc<RetryBudget>,
    previous: Option<&'c RoutingTable>,
}

impl<'c> Compiler<'c> {
    fn new(config: &'c Config, previous: Option<&'c RoutingTable>) -> Self {
        let share = RetryPolicy::resolve(&[Some(&config.defaults.retry)]).budget;
        let old_targets = previous.map(RoutingTable::targets).unwrap_or_default().iter();
        let old_routes = previous.map(RoutingTable::routes).unwrap_or_default().iter();
        Self {
            config,
            errors: Vec::new(),
            providers: Vec::with_capacity(config.providers.len()),
            by_name: Map::default(),
            targets: Vec::new(),
            policy: HealthPolicy::resolve(&config.defaults.health),
            old_health: old_targets.map(|t| ((&*t.provider.name, t.model.as_deref()), &t.health)).collect(),
            health: Map::default(),
            old_routes: old_routes.filter(|r| !r.implicit).map(|r| (&*r.name, r)).collect(),
            budget: Arc::new(RetryBudget::new(share, previous.map(|p| &**p.retry_budget()))),
            previous,
        }
    }

    fn run(mut self, providers: &'c [ResolvedProvider]) -> Result<RoutingTable, Vec<CompileError>> {
        let hash = self.hash();
        let aliases = self.aliases();
        for (index, resolved) in providers.iter().enumerate() {
            let provider = self.provider(index, resolved);
            self.providers.push(Arc::new(provider));
            self.by_name.insert(&resolved.name, index);
        }
        let mut routes: Vec<Arc<Route>> = Vec::with_capacity(self.config.routes.len() + self.providers.len());
        let mut names = BTreeSet::new();
        for (index, route) in self.config.routes.iter().enumerate() {
            if !names.insert(&*route.name) {
                self.error(format!("routes[{index}].name"), format!("another route is called `{}` too", route.name));
            }
            let route = self.route(index, route);
            routes.push(Arc::new(route));
        }
        let index = Index::build(routes.iter().map(|r| &r.conditions));
        for (provider, name) in self.config.providers.keys().enumerate() {
            let route = self.implicit(routes.len(), provider, name);
            routes.push(Arc::new(route));
        }
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        Ok(RoutingTable {
            generation: self.previous.map_or(1, |p| p.generation + 1),
            hash,
            index,
            aliases,
            prefixes: self.prefixes(),
            known: self.known(),
            providers: self.providers,
            routes,
            targets: self.targets,
            budget: self.budget,
        })
    }

    fn error(&mut self, key: String, message: impl Into<String>) {
        self.errors.push(CompileError { key, message: message.into() });
    }

    fn hash(&mut self) -> String {
        let mut hasher = StableHasher::default();
        if let Err(e) = serde_json::to_writer(&mut hasher, self.config) {
            self.error(String::new(), format!("the configuration cannot be written as JSON: {e}"));
        }
        format!("{:016x}", hasher.finish())
    }

    /// Every alias with the name at the end of its chain.
    fn aliases(&mut self) -> Map<Box<str>, Arc<str>> {
        let aliases = &self.config.aliases;
        let mut all = Map::default();
        for (alias, first) in aliases {
            let mut name = first;
            let mut steps = 0;
            while let Some(next) = aliases.get(name).filter(|_| steps <= aliases.len()) {
                name = next;
                steps += 1;
            }
            if steps > aliases.len() {
                self.error(format!("aliases.{alias}"), "this alias leads back to itself");
            }
            all.insert(alias.as_str().into(), name.as_str().into());
        }
        all
    }

    fn patterns(&mut self, key: &str, texts: &[String]) -> Box<[Pattern]> {
        let mut all = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            match Pattern::compile(text) {
                Ok(pattern) => all.push(pattern),
                Err(e) => self.error(format!("{key}[{index}]"), format!("not a glob: {e}")),
            }
        }
        all.into()
    }

    fn provider(&mut self, index: usize, resolved: &ResolvedProvider) -> Provider {
        let provider = &resolved.provider;
        let name = &resolved.name;
        let key = format!("providers.{name}");
        let mut endpoints = [const { None }; 3];
        for (dialect, url) in &resolved.endpoints {
            match Endpoint::parse(url) {
                Ok(endpoint) => endpoints[slot(id(*dialect))] = Some(endpoint),
                Err(e) => self.error(format!("{key}.endpoints"), e.to_string()),
            }
        }
        let nowhere = endpoints.iter().all(Option::is_none);
        if nowhere {
            self.error(key.clone(), "no base URL; set `base_url`, or `preset` to one that has it");
        }
        let pairs = |map: &BTreeMap<String, String>| {
            map.iter().map(|(name, value)| (name.to_ascii_lowercase().into(), value.as_str().into())).collect()
        };
        let mut auth = [const { AuthScheme::Bearer }; 3];
        for (dialect, scheme) in &resolved.auth {
            auth[slot(id(*dialect))] = scheme.clone();
        }
        Provider {
            index,
            name: name.as_str().into(),
            prefixes: resolved.prefixes.iter().map(|prefix| prefix.as_str().into()).collect(),
            auth,
            headers: pairs(&provider.headers),
            default_headers: pairs(&resolved.default_headers),
            router_metadata: resolved.router_metadata.clone(),
            simulated: provider.simulate.clone(),
            stream_usage: provider.stream_usage.unwrap_or(StreamUsage::Ask),
            timeouts: Timeouts::resolve(&[provider.timeouts.as_ref(), Some(&self.config.defaults.timeouts)]),
            endpoints,
            models: self.patterns(&format!("{key}.models"), provider.models.as_deref().unwrap_or_default()),
            config: provider.clone(),
        }
    }

    fn conditions(&mut self, key: &str, matches: &config::Match) -> Conditions {
        let mut headers = Vec::with_capacity(matches.headers.len());
        for (name, value) in &matches.headers {
            match Pattern::compile(value) {
                Ok(pattern) => headers.push((name.to_ascii_lowercase().into(), pattern)),
                Err(e) => self.error(format!("{key}.headers.{name}"), format!("not a glob: {e}")),
            }
        }
        Conditions {
            models: self.patterns(&format!("{key}.model"), &matches.model.0),
            apis: matches.api.iter().fold(0, |set, api| set | condition::bit(*api)),
            headers: headers.into(),
            apps: self.patterns(&format!("{key}.app"), &matches.app.0),
            path_prefix: matches.path_prefix.as_deref().map(Into::into),
        }
    }

    fn route(&mut self, index: usize, route: &'c config::Route) -> Route {
        let key = format!("routes[{index}]");
        let defaults = &self.config.defaults;
        let old = self.old_routes.get(&*route.name).copied();
        let retry = RetryPolicy::resolve(&[route.retry.as_ref(), Some(&defaults.retry)]);
        let own_budget = route.retry.as_ref().is_some_and(|r| r.budget.is_some());
        let retry_budget = if own_budget {
            Arc::new(RetryBudget::new(retry.budget, old.map(|r| &*r.retry_budget)))
        } else {
            Arc::clone(&self.budget)
        };
        let name: Arc<str> = route.name.as_str().into();
        Route {
            index,
            implicit: false,
            strategy: route.strategy,
            sticky: route.sticky.clone(),
            retry,
            timeouts: Timeouts::resolve(&[route.timeouts.as_ref(), Some(&defaults.timeouts)]),
            max_body: route.max_body.map(|size| size.0),
            on_disconnect: route.on_disconnect,
            calls: route.max_calls.filter(|n| *n > 0).map(|n| Limit::new(n, old.and_then(|r| r.calls.as_ref()))),
            retry_budget,
            probe: route.probe.as_ref().and_then(|probe| self.probe(&key, &name, route, probe, old)),
            targets: self.route_targets(&key, &name, route),
            conditions: self.conditions(&format!("{key}.match"), &route.matches),
            name,
        }
    }

    fn route_targets(&mut self, key: &str, name: &Arc<str>, route: &'c config::Route) -> Box<[Arc<Target>]> {
        if route.targets.is_empty() {
            self.error(format!("{key}.targets"), "a route needs at least one target");
        }
        let mut targets: Vec<Arc<Target>> = Vec::with_capacity(route.targets.len());
        for (index, target) in route.targets.iter().enumerate() {
            let Some(provider) = self.by_name.get(&*target.provider).map(|i| Arc::clone(&self.providers[*i])) else {
                let message = format!("no provider is called `{}`", target.provider);
                self.error(format!("{key}.targets[{index}].provider"), message);
                continue;
            };
            let twins =
                route.targets[..index].iter().filter(|t| t.provider == target.provider && t.model == target.model);
            let timeouts =
                [route.timeouts.as_ref(), provider.config.timeouts.as_ref(), Some(&self.config.defaults.timeouts)];
            let compiled = Arc::new(Target {
                index: self.targets.len(),
                route: Arc::clone(name),
                model: target.model.as_deref().map(Into::into),
                weight: target.weight,
                priority: target.priority,
                timeouts: Timeouts::resolve(&timeouts),
                health: self.health(&target.provider, target.model.as_deref()),
                probe: false,
                identity: identity(&target.provider, target.model.as_deref(), twins.count()),
                provider,
            });
            self.targets.push(Arc::clone(&compiled));
            targets.push(compiled);
        }
        targets.sort_by_key(|t| t.priority);
        targets.into()
    }

    fn health(&mut self, provider: &'c str, model: Option<&'c str>) -> Arc<Health> {
        let (policy, old) = (self.policy, &self.old_health);
        let fresh = || Arc::new(Health::new(policy, old.get(&(provider, model)).map(|h| &***h)));
        Arc::clone(self.health.entry((provider, model)).or_insert_with(fresh))
    }

    fn implicit(&mut self, index: usize, provider: usize, provider_name: &'c str) -> Route {
        let provider = Arc::clone(&self.providers[provider]);
        let name: Arc<str> = format!("implicit:{provider_name}").into();
        let target = Arc::new(Target {
            index: self.targets.len(),
            route: Arc::clone(&name),
            model: None,
            weight: 1,
            priority: 0,
            timeouts: provider.timeouts,
            health: self.health(provider_name, None),
            probe: false,
            identity: identity(provider_name, None, 0),
            provider,
        });
        self.targets.push(Arc::clone(&target));
        Route {
            index,
            name,
            implicit: true,
            strategy: Strategy::Fallback,
            sticky: None,
            retry: RetryPolicy::resolve(&[Some(&self.config.defaults.retry)]),
            timeouts: target.timeouts,
            max_body: None,
            on_disconnect: Default::default(),
            calls: None,
            retry_budget: Arc::clone(&self.budget),
            probe: None,
            targets: Box::new([target]),
            conditions: Conditions::default(),
        }
    }

    fn prefixes(&self) -> Map<Box<str>, usize> {
        let mut prefixes = Map::default();
        for provider in &self.providers {
            for prefix in &provider.prefixes {
                prefixes.entry(prefix.clone()).or_insert(provider.index);
            }
        }
        prefixes
    }

    fn known(&self) -> Arc<str> {
        if self.providers.is_empty() {
            return "no provider is configured here".into();
        }
        let one = |provider: &Arc<Provider>| match &*provider.models {
            [] => provider.name.to_string(),
            models => format!("{} ({})", provider.name, joined(models.iter().map(Pattern::to_string), 4)),
        };
        let routes = match self.config.routes.len() {
            0 => "no routes".to_owned(),
            1 => "one route".to_owned(),
            n => format!("{n} routes"),
        };
        format!("{routes} here, providers: {}", joined(self.providers.iter().map(one), 8)).into()
    }
}

const fn id(dialect: DialectName) -> DialectId {
    match dialect {
        DialectName::Openai => DialectId::OpenAi,
        DialectName::Anthropic => DialectId::Anthropic,
        DialectName::Opaque => DialectId::Opaque,
    }
}

/// Who a target is in a weighted draw: the same in every table and process.
fn identity(provider: &str, model: Option<&str>, twin: usize) -> u64 {
    let mut hasher = StableHasher::default();
    hasher.write(provider.as_bytes());
    hasher.write(if model.is_some() { b"\0m" } else { b"\0-" });
    hasher.write(model.unwrap_or_default().as_bytes());
    hash::mix(hasher.finish().wrapping_add(twin as u64))
}
