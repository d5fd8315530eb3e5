//! `probe`: duplicates of a route's calls, sent to a direct target.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::formats::Name;
use super::super::prices::Amount;
use super::provider::Provider;

/// Duplicates of some calls, sent to a direct target to compare with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Where duplicates go: the name of a provider, or `provider/model`. Without a model: as asked (after aliases).
    #[schemars(with = "Name")]
    pub target: String,
    /// Share of the route's calls that are duplicated, above 0 and at most 1. Default 0.01.
    #[serde(default = "Probe::share")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f64,
    /// Dollars that duplicates may cost a day (UTC), by this process. Default 1.00.
    #[serde(default = "Probe::budget")]
    pub budget_usd_per_day: Amount,
    /// Duplicate calls that have side effects too: tools, functions, MCP servers, web search, stored and background
    /// responses. They then happen twice.
    #[serde(default)]
    pub tools: bool,
}

impl Probe {
    fn share() -> f64 {
        0.01
    }

    fn budget() -> Amount {
        Amount("1.00".into())
    }

    /// The provider and the model that the target names. A provider's name may hold a `/` itself.
    pub fn provider_and_model<'p>(&'p self, providers: &BTreeMap<String, Provider>) -> (&'p str, Option<&'p str>) {
        let target = self.target.as_str();
        if providers.contains_key(target) {
            return (target, None);
        }
        let known = target.match_indices('/').find(|(at, _)| providers.contains_key(&target[..*at]));
        let cut = known.map(|(at, _)| at).or_else(|| target.find('/'));
        cut.map_or((target, None), |at| (&target[..at], Some(&target[at + 1..]).filter(|model| !model.is_empty())))
    }
}
