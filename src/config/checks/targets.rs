//! Targets of routes: weights, order, what their providers speak, how many of them one call can try.

use super::super::file::{Api, Config, DialectName, Provider, Retry, RetryOn, Route, Strategy, Target};
use super::super::resolve;
use super::{Report, Step, at, words};

pub(super) fn check(config: &Config, report: &mut Report<'_, '_>) {
    for (r, route) in config.routes.iter().enumerate() {
        let path = at!["routes", r];
        if route.targets.is_empty() {
            report.error(&at![path; "targets"], "a route needs at least one target", "such as {provider: openai}");
            continue;
        }
        names(report, &path, route);
        weights(report, &path, route);
        twins(report, &path, route);
        attempts(config, report, &path, route);
        dialects(config, report, &path, route);
    }
}

fn names(report: &mut Report<'_, '_>, path: &[Step<'_>], route: &Route) {
    for (t, target) in route.targets.iter().enumerate() {
        if target.model.as_ref().is_some_and(|m| m.contains('*')) {
            let message = "the model that a target is asked for is one name: `*` is no glob here";
            report.warn(&at![path; "targets", t, "model"], message, "leave it out to ask for the client's model");
        }
    }
}

fn weights(report: &mut Report<'_, '_>, path: &[Step<'_>], route: &Route) {
    if route.strategy == Strategy::Fallback {
        for t in 0..route.targets.len() {
            let path = at![path; "targets", t, "weight"];
            if report.has(&path) {
                let advice = "set `strategy: weighted`, or order the targets by their place or `priority`";
                report.warn(&path, "has no effect with strategy `fallback`", advice);
            }
        }
        if route.sticky.is_some() {
            let advice = "set `strategy: weighted`, or take it out";
            report.warn(&at![path; "sticky"], "has no effect with strategy `fallback`", advice);
        }
        return;
    }
    let first = route.targets.iter().map(|t| t.priority).min().unwrap_or_default();
    let group: Vec<&Target> = route.targets.iter().filter(|t| t.priority == first).collect();
    if group.iter().all(|t| t.weight == 0) {
        let message = "all weights of the first targets are 0: they are tried in order of the file";
        report.warn(&at![path; "targets"], message, "give at least one of them a weight");
    } else if group.len() == 1 {
        let message = "only one target has the lowest priority: there is nothing to weigh";
        report.warn(&at![path; "strategy"], message, "give the targets that share calls the same priority");
    }
}

fn twins(report: &mut Report<'_, '_>, path: &[Step<'_>], route: &Route) {
    for (t, target) in route.targets.iter().enumerate() {
        let same = |o: &Target| o.provider == target.provider && o.model == target.model;
        if let Some(first) = route.targets[..t].iter().position(same) {
            let line = report.line(&at![path; "targets", first]);
            let message = format!("is the same target as the one in line {line}");
            report.warn(&at![path; "targets", t], message, "to try one target again, set `retry.attempts_per_target`");
        }
    }
}

fn attempts(config: &Config, report: &mut Report<'_, '_>, path: &[Step<'_>], route: &Route) {
    let count = route.targets.len();
    if count < 2 {
        return;
    }
    let own = route.retry.as_ref();
    let defaults = &config.defaults.retry;
    let on: Option<&Vec<RetryOn>> = own.and_then(|r| r.on.as_ref()).or(defaults.on.as_ref());
    let most = own.and_then(|r| r.max_attempts).or(defaults.max_attempts).unwrap_or(Retry::MAX_ATTEMPTS);
    let place = |key: &'static str| match own {
        Some(_) => at![path; "retry", key],
        None => at![path; "targets"],
    };
    if on.is_some_and(Vec::is_empty) {
        let message = format!("`retry.on` is empty: one of the {count} targets is tried, and then no other");
        report.warn(&place("on"), message, "name the outcomes that go on to the next target");
    } else if (most as usize) < count {
        let message = format!("`retry.max_attempts` is {most}: one call tries at most {most} of the {count} targets");
        report.warn(&place("max_attempts"), message, format!("set `retry.max_attempts: {count}` or take targets out"));
    }
}

/// APIs whose calls a route names and its targets do not speak: at run time such targets are passed over.
fn dialects(config: &Config, report: &mut Report<'_, '_>, path: &[Step<'_>], route: &Route) {
    let targets: Vec<(usize, &str, &Provider)> = route
        .targets
        .iter()
        .enumerate()
        .filter_map(|(t, target)| Some((t, target.provider.as_str(), config.providers.get(&target.provider)?)))
        .collect();
    // A provider that is missing altogether, or that has no address, has its own finding.
    let lost = |(_, name, provider): &(usize, &str, &Provider)| spoken(name, provider).is_empty();
    if targets.len() < route.targets.len() || targets.iter().any(lost) {
        return;
    }
    for (a, api) in route.matches.api.iter().enumerate() {
        let (wanted, word) = match api {
            Api::Chat => (DialectName::Openai, "chat"),
            Api::Responses => (DialectName::Openai, "responses"),
            Api::Completions => (DialectName::Openai, "completions"),
            Api::Embeddings => (DialectName::Openai, "embeddings"),
            Api::Messages => (DialectName::Anthropic, "messages"),
            Api::Other => continue,
        };
        let silent: Vec<_> = targets.iter().filter(|(_, name, p)| !spoken(name, p).contains(&wanted)).collect();
        if silent.len() == targets.len() {
            let names = words(silent.iter().map(|(_, name, _)| *name)).replace(" or ", " and ");
            let message = format!("no target of this route takes calls of the `{word}` API: {names} cannot");
            let advice = "add a target that does, or an `endpoints` entry to the provider";
            report.error(&at![path; "match", "api", a], message, advice);
            continue;
        }
        for (t, name, _) in silent {
            let message =
                format!("is passed over for calls of the `{word}` API, which provider `{name}` does not take");
            report.warn(&at![path; "targets", *t], message, "give the provider an `endpoints` entry for that dialect");
        }
    }
}

/// What a provider speaks.
pub(super) fn spoken(name: &str, provider: &Provider) -> Vec<DialectName> {
    let preset = resolve::preset_of(name, provider).map(|(_, preset)| preset);
    resolve::endpoints(provider, preset).into_keys().collect()
}
