//! Model aliases: loops, and names that lead nowhere.

use std::collections::BTreeSet;

use super::super::file::Config;
use super::{Report, at};

pub(super) fn check(config: &Config, report: &mut Report<'_, '_>) {
    for (alias, name) in &config.aliases {
        let path = at!["aliases", alias];
        if alias.is_empty() || name.is_empty() {
            report.error(&path, "an alias and its name cannot be empty", "");
        } else if let Some(chain) = circle(config, alias) {
            report.error(&path, format!("leads back to itself: {chain}"), "let one of them name a real model");
        }
        if alias.contains('*') {
            report.warn(&path, "an alias is one name: `*` is no glob here", "use a route with `match: {model: ...}`");
        }
        if name.contains('*') {
            report.warn(&path, "an alias stands for one model: `*` is no glob here", "name the model");
        }
    }
    // Routes see a model after aliases, so a name that is an alias never reaches them.
    for (r, route) in config.routes.iter().enumerate() {
        for (m, model) in route.matches.model.0.iter().enumerate() {
            let Some(stands_for) = config.aliases.get(model) else { continue };
            let message = format!("`{model}` is an alias for `{stands_for}`: no route ever sees it");
            let advice = format!("match on `{stands_for}`, or take the alias out");
            report.warn(&at!["routes", r, "match", "model", m], message, advice);
        }
    }
}

/// The chain of aliases, where it comes back to its start.
fn circle(config: &Config, alias: &str) -> Option<String> {
    let mut chain = vec![alias];
    let mut seen = BTreeSet::from([alias]);
    let mut at = alias;
    while let Some(next) = config.aliases.get(at) {
        if next == alias {
            chain.push(next);
            let more = chain.len().saturating_sub(6);
            let shown: Vec<&str> = chain.iter().skip(more).copied().collect();
            let start = if more > 0 { format!("{alias} -> ... -> ") } else { String::new() };
            return Some(start + &shown.join(" -> "));
        }
        // A circle further on is that one's finding.
        if !seen.insert(next) {
            return None;
        }
        chain.push(next);
        at = next;
    }
    None
}
