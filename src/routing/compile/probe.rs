//! Probes of routes, compiled.

use std::sync::Arc;

use super::{Compiler, identity};
use crate::chat::Money;
use crate::config::file as config;
use crate::pricing::Spending;
use crate::routing::policy::Timeouts;
use crate::routing::probe::ProbePolicy;
use crate::routing::route::{Route, Target};

impl<'c> Compiler<'c> {
    pub(super) fn probe(
        &mut self,
        key: &str,
        name: &Arc<str>,
        route: &config::Route,
        probe: &'c config::Probe,
        old: Option<&Arc<Route>>,
    ) -> Option<ProbePolicy> {
        let (provider_name, model) = probe.provider_and_model(&self.config.providers);
        let budget = Money::parse(&probe.budget_usd_per_day.0);
        let (Some(at), Some(limit)) = (self.by_name.get(provider_name), budget) else {
            self.error(format!("{key}.probe"), "names no provider, or no budget");
            return None;
        };
        let provider = Arc::clone(&self.providers[*at]);
        let timeouts =
            [route.timeouts.as_ref(), provider.config.timeouts.as_ref(), Some(&self.config.defaults.timeouts)];
        let target = Arc::new(Target {
            index: self.targets.len(),
            route: Arc::clone(name),
            model: model.map(Into::into),
            weight: 0,
            priority: 0,
            timeouts: Timeouts::resolve(&timeouts),
            health: self.health(provider_name, model),
            probe: true,
            identity: identity(provider_name, model, 0),
            provider,
        });
        self.targets.push(Arc::clone(&target));
        let previous = old.and_then(|route| route.probe.as_ref()).map(|probe| &*probe.spending);
        let spending = Arc::new(Spending::new(limit, previous));
        Some(ProbePolicy { target, share: probe.share, spending, tools: probe.tools })
    }
}
