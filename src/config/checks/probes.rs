//! Probes of routes: their target, share and budget.

use super::super::advice;
use super::super::file::{Api, Config, Credentials, CredentialsWord, DialectName, Probe, Route};
use super::targets::spoken;
use super::{Report, Step, at, words};

pub(super) fn check(config: &Config, report: &mut Report<'_, '_>) {
    for (r, route) in config.routes.iter().enumerate() {
        let Some(probe) = &route.probe else { continue };
        let path = at!["routes", r, "probe"];
        target(config, report, &at![path; "target"], route, probe);
        if probe.share <= 0.0 {
            let message = "no call would be duplicated: a share is above 0 and at most 1";
            report.error(&at![path; "share"], message, "such as 0.01, or take `probe` out");
        }
        let mantissa = probe.budget_usd_per_day.0.split(['e', 'E']).next().unwrap_or_default();
        if !mantissa.contains(|digit| ('1'..='9').contains(&digit)) {
            let message = "no call would be duplicated: the budget is above 0";
            report.error(&at![path; "budget_usd_per_day"], message, "such as 1.00, or take `probe` out");
        }
    }
}

fn target(config: &Config, report: &mut Report<'_, '_>, path: &[Step<'_>], route: &Route, probe: &Probe) {
    let (name, model) = probe.provider_and_model(&config.providers);
    let Some(provider) = config.providers.get(name) else {
        let names = || config.providers.keys().map(String::as_str);
        let advice = match advice::nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the providers are {}", words(names()).replace(" or ", " and ")),
        };
        return report.error(path, format!("no provider is called `{name}`"), advice);
    };
    if model.is_some_and(|model| model.contains('*')) {
        let message = "the model that a duplicate is asked for is one name: `*` is no glob here";
        report.warn(path, message, "leave it out to ask for the client's model");
    }
    if matches!(provider.credentials, Some(Credentials::Word(CredentialsWord::Client))) {
        let message = format!("`{name}` is called with the client's own key, which no duplicate may spend");
        report.error(path, message, "name a provider with a key of its own");
    }
    let same = |t: &super::super::file::Target| t.provider == name && t.model.as_deref() == model;
    if !route.targets.is_empty() && route.targets.iter().all(same) {
        let message = "the route itself leads there: there is nothing to compare";
        report.error(path, message, "name the provider that the route's calls would go to directly");
    }
    let direct = spoken(name, provider);
    let wanted = dialects(config, route);
    // A provider without an address has its own finding.
    if direct.is_empty() || wanted.is_empty() {
        return;
    }
    let lacking: Vec<&str> =
        wanted.iter().filter(|dialect| !direct.contains(dialect)).map(|dialect| dialect.as_str()).collect();
    let message =
        format!("`{name}` does not speak the dialect of this route's calls: {}", words(lacking.iter().copied()));
    let advice = "name a provider that does, or give this one an `endpoints` entry for that dialect";
    if lacking.len() == wanted.len() {
        report.error(path, message.replace(" or ", " and "), advice);
    } else if !lacking.is_empty() {
        report.warn(path, format!("{message}: such calls are not duplicated"), advice);
    }
}

/// What the route's calls are written in: as its APIs say, else all that its targets speak.
fn dialects(config: &Config, route: &Route) -> Vec<DialectName> {
    let of_api = |api: &Api| match api {
        Api::Chat | Api::Responses | Api::Completions | Api::Embeddings => Some(DialectName::Openai),
        Api::Messages => Some(DialectName::Anthropic),
        Api::Other => None,
    };
    let mut all: Vec<DialectName> = if route.matches.api.is_empty() {
        let providers = route.targets.iter().filter_map(|t| Some((&t.provider, config.providers.get(&t.provider)?)));
        providers.flat_map(|(name, provider)| spoken(name, provider)).collect()
    } else {
        route.matches.api.iter().filter_map(of_api).collect()
    };
    all.retain(|dialect| *dialect != DialectName::Opaque);
    all.sort_unstable();
    all.dedup();
    all
}
