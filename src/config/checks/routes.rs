//! Routes by themselves: names, conditions, limits.

use std::collections::BTreeMap;

use super::super::file::{Config, Match, Route};
use super::super::units::Size;
use super::{Report, Step, at, headers, words};

pub(super) fn check(config: &Config, report: &mut Report<'_, '_>) {
    let mut names = BTreeMap::new();
    for (r, route) in config.routes.iter().enumerate() {
        let path = at!["routes", r];
        if let Some(first) = names.insert(&route.name, r) {
            let line = report.line(&at!["routes", first, "name"]);
            let message = format!("another route is called `{}` too, in line {line}", route.name);
            report.error(&at![path; "name"], message, "names tell routes apart in metrics and logs: change one");
        }
        if route.name.starts_with("implicit:") {
            let message = "names that start with `implicit:` stand for calls that no route matches";
            report.error(&at![path; "name"], message, "choose another name");
        }
        conditions(config, report, &at![path; "match"], &route.matches);
        limits(config, report, &path, route);
    }
}

fn conditions(config: &Config, report: &mut Report<'_, '_>, path: &[Step<'_>], matches: &Match) {
    headers::of_route(report, &at![path; "headers"], &matches.headers);
    let lists =
        [("model", matches.model.0.is_empty()), ("api", matches.api.is_empty()), ("app", matches.app.0.is_empty())];
    for (key, empty) in lists {
        if empty && report.has(&at![path; key]) {
            report.warn(&at![path; key], "an empty list is no condition: every call passes", "fill it, or take it out");
        }
    }
    if let Some(prefix) = matches.path_prefix.as_deref().filter(|p| p.contains(['*', '{', '['])) {
        let bare = prefix.split(['*', '{', '[']).next().unwrap_or_default();
        let message = "a prefix is no glob: its signs are taken as they are";
        report.warn(&at![path; "path_prefix"], message, format!("write {bare}"));
    }
    apps(config, report, path, &matches.app.0);
}

/// With inbound keys on, an app is the name of a key and nothing else.
fn apps(config: &Config, report: &mut Report<'_, '_>, path: &[Step<'_>], apps: &[String]) {
    let keys = &config.server.keys;
    for (a, app) in apps.iter().enumerate() {
        let Ok(glob) = globset::Glob::new(app) else { continue };
        let is_glob = app.contains(['*', '?', '[', '{', '\\']);
        let matcher = is_glob.then(|| glob.compile_matcher());
        let known = |name: &str| matcher.as_ref().map_or(name == app, |m| m.is_match(name));
        if !keys.is_empty() && !keys.iter().any(|key| known(&key.name)) {
            let message = format!("no inbound key is called `{app}`, and an app is the name of its key");
            let names = words(keys.iter().map(|k| k.name.as_str()).take(8));
            report.warn(&at![path; "app", a], message, format!("the keys' names are {names}"));
        }
    }
}

fn limits(config: &Config, report: &mut Report<'_, '_>, path: &[Step<'_>], route: &Route) {
    let most = config.server.limits.body;
    match route.max_body {
        Some(Size(0)) => {
            report.error(
                &at![path; "max_body"],
                "no call with a body could pass",
                "leave it out for the server's limit",
            );
        }
        Some(size) if size > most => {
            let message = format!("has no effect: `server.limits.body` ({} bytes) comes first", most.0);
            report.warn(&at![path; "max_body"], message, "raise `server.limits.body`");
        }
        _ => {}
    }
}
