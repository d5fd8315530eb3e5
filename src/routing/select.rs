//! From the facts of a call to the targets to try.

use std::sync::Arc;

use super::condition::{Asked, Mismatch};
use super::facts::{CallFacts, Selection};
use super::no_route::{NoRoute, joined, printable};
use super::provider::Provider;
use super::reason::{Implicit, Place};
use super::route::Route;
use super::strategy;
use super::table::RoutingTable;
use crate::dialect::DialectId;

impl RoutingTable {
    /// Where a call goes: the first route in order of the file whose conditions all hold; else the provider that the
    /// path names, that a `provider/model` name names, whose `models` match (in order of names), or that is the only
    /// one.
    ///
    /// # Errors
    /// When nothing of that is found, or nothing of what was found speaks the client's dialect.
    pub fn select(&self, facts: &CallFacts<'_>) -> Result<Selection, NoRoute> {
        let alias = facts.model.and_then(|model| self.aliases.get(&**model));
        let model = alias.or(facts.model);
        let asked = Asked { model: model.map(|model| &**model), facts };
        match self.index.first(&asked, |route| self.routes[route].conditions.hold(&asked)) {
            Some(route) => chosen(&self.routes[route], model.map(Arc::clone), &asked),
            None => self.select_implicit(&asked, model),
        }
    }

    fn select_implicit(&self, asked: &Asked<'_>, whole: Option<&Arc<str>>) -> Result<Selection, NoRoute> {
        let (provider, model, how) = self.claimant(asked).ok_or_else(|| NoRoute::Model {
            asked: asked.model.map(printable),
            operation: asked.facts.operation,
            known: Arc::clone(&self.known),
        })?;
        let dialect = asked.facts.dialect;
        let takes = provider.speaks(dialect) || asked.is_addressed_and_unread();
        let route = self.implicit(provider.index).filter(|_| takes);
        let Some(route) = route else { return Err(no_dialect(&provider.name, [provider].into_iter(), dialect)) };
        let mut candidates = strategy::order(route, asked, |_| true);
        for candidate in &mut candidates {
            candidate.reason.place = Place::Implicit(how);
        }
        let model = match how {
            Implicit::ModelName => model.map(Arc::from),
            _ => whole.map(Arc::clone),
        };
        Ok(Selection { route: Arc::clone(route), model, candidates })
    }

    /// The provider that takes a call which no route matches, what to ask it for, and how it was found.
    fn claimant<'s>(&'s self, asked: &Asked<'s>) -> Option<(&'s Arc<Provider>, Option<&'s str>, Implicit)> {
        if let Some(vendor) = asked.facts.vendor {
            return Some((vendor, asked.model, Implicit::Path));
        }
        if let Some((segment, rest)) = asked.model.and_then(|model| model.split_once('/'))
            && let Some(provider) = self.provider_for_prefix(segment)
        {
            return Some((provider, Some(rest), Implicit::ModelName));
        }
        let serves = |p: &&Arc<Provider>| asked.model.is_some_and(|model| p.serves(model));
        let by_models = || self.providers.iter().filter(serves);
        let speaking = by_models().find(|p| p.speaks(asked.facts.dialect)).or_else(|| by_models().next());
        if let Some(provider) = speaking {
            return Some((provider, asked.model, Implicit::Models));
        }
        match &*self.providers {
            [only] => Some((only, asked.model, Implicit::OnlyOne)),
            _ => None,
        }
    }

    /// For each configured route before number `before`, the conditions that this call does not meet, in order of the
    /// file. For `explain`: it looks at every route.
    pub fn mismatches<'s>(
        &'s self,
        facts: &'s CallFacts<'s>,
        before: usize,
    ) -> impl Iterator<Item = (&'s Arc<Route>, Vec<Mismatch>)> {
        let alias = facts.model.and_then(|model| self.aliases.get(&**model));
        let asked = Asked { model: alias.or(facts.model).map(|model| &**model), facts };
        let configured = self.routes.iter().take(before).filter(|route| !route.implicit);
        configured.map(move |route| (route, route.conditions.mismatches(&asked)))
    }
}

fn chosen(route: &Arc<Route>, model: Option<Arc<str>>, asked: &Asked<'_>) -> Result<Selection, NoRoute> {
    let dialect = asked.facts.dialect;
    let unread = asked.is_addressed_and_unread();
    let candidates = strategy::order(route, asked, |target| unread || target.provider.speaks(dialect));
    if candidates.is_empty() {
        return Err(no_dialect(&route.name, route.targets.iter().map(|t| &t.provider), dialect));
    }
    Ok(Selection { route: Arc::clone(route), model, candidates })
}

fn no_dialect<'p>(route: &Arc<str>, providers: impl Iterator<Item = &'p Arc<Provider>>, dialect: DialectId) -> NoRoute {
    let speaks = |provider: &Arc<Provider>| {
        let spoken = [DialectId::OpenAi, DialectId::Anthropic].into_iter().filter(|d| provider.speaks(*d));
        let spoken: Vec<_> = spoken.map(DialectId::as_str).collect();
        match &*spoken {
            [] => format!("{} takes only calls whose path names it", provider.name),
            spoken => format!("{} speaks {}", provider.name, spoken.join(" and ")),
        }
    };
    NoRoute::Dialect { route: Arc::clone(route), dialect, speak: joined(providers.map(speaks), 4).into() }
}
