//! Which calls of a route are duplicated to a direct target, to compare with.

use std::sync::Arc;
use std::time::SystemTime;

use super::hash;
use super::route::Target;
use crate::chat::Money;
use crate::pricing::{At, Refused, Spending};

/// Sets this draw apart from the others that a call's seed decides.
const DRAW: u64 = 0x0070_726f_6265;

/// A route's probe.
#[derive(Debug)]
pub struct ProbePolicy {
    /// Where duplicates go. It stands in [`super::RoutingTable::targets`] with [`Target::probe`] set, and in no route.
    pub target: Arc<Target>,
    /// Share of calls, above 0 and at most 1.
    pub share: f64,
    /// What duplicates may cost, and have cost.
    pub spending: Arc<Spending>,
    /// Calls with side effects are duplicated too.
    pub tools: bool,
}

impl ProbePolicy {
    /// Whether the call of this seed is duplicated.
    pub fn samples(&self, seed: u64) -> bool {
        hash::unit(seed, DRAW) < self.share
    }

    /// Whether the budget of the day lets another one go.
    ///
    /// # Errors
    /// Why not.
    pub fn allows(&self, now: SystemTime) -> Result<(), Refused> {
        self.spending.allows(At::from(now).day)
    }

    /// What duplicates have cost on the day (UTC) of `now`.
    pub fn spent(&self, now: SystemTime) -> Money {
        self.spending.spent(At::from(now).day)
    }

    /// Whether `target` is where duplicates go: nothing is to be learnt of calls that go there themselves.
    pub fn leads_to(&self, target: &Target) -> bool {
        target.provider.index == self.target.provider.index && target.model == self.target.model
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Surroundings, check};
    use crate::routing::RoutingTable;

    const CONFIG: &str = "providers: {direct: {base_url: http://d/v1}, router: {base_url: http://r/v1}}
routes:
- name: r
  targets: [{provider: router}]
  probe: {target: direct/vendor/model, share: 0.25, budget_usd_per_day: 0.5}
";

    fn compile(text: &str, previous: Option<&RoutingTable>) -> RoutingTable {
        let config = check(text.as_bytes(), "f", &Surroundings::process()).into_result().unwrap();
        RoutingTable::compile(&config, previous).unwrap()
    }

    #[test]
    fn a_share_of_calls_is_chosen_by_their_seeds_alone() {
        let table = compile(CONFIG, None);
        let probe = table.routes()[0].probe.as_ref().unwrap();
        let chosen: Vec<u64> = (0..10_000).filter(|seed| probe.samples(*seed)).collect();
        assert!((2_300..2_700).contains(&chosen.len()), "{}", chosen.len());
        let again = compile(CONFIG, Some(&table));
        let probe = again.routes()[0].probe.as_ref().unwrap();
        assert!(chosen.iter().all(|seed| probe.samples(*seed)));
    }

    #[test]
    fn the_target_stands_among_all_but_in_no_route_and_a_reload_keeps_what_was_spent() {
        let table = compile(CONFIG, None);
        let route = &table.routes()[0];
        let probe = route.probe.as_ref().unwrap();
        assert_eq!((&*probe.target.provider.name, probe.target.model.as_deref()), ("direct", Some("vendor/model")));
        assert!(table.targets()[probe.target.index].probe && route.targets.iter().all(|target| !target.probe));
        let now = std::time::SystemTime::now();
        probe.spending.charge(crate::pricing::At::from(now).day, crate::chat::Money::parse("0.5").unwrap());
        assert!(probe.allows(now).is_err());
        let dearer = compile(&CONFIG.replace("0.5}", "0.6}"), Some(&table));
        let probe = dearer.routes()[0].probe.as_ref().unwrap();
        assert!(probe.allows(now).is_ok());
        assert_eq!(probe.spent(now).to_string(), "0.5");
    }
}
