//! Base URLs: what stands in them, and what the author meant.

use super::super::file::{DialectName, Provider};
use super::super::presets::{Preset, Presets};
use super::{Report, Step, at, words};

/// Paths that are joined to a base URL and do not belong into it.
// No `/models`: some hosts mount their API there (`/models/chat/completions`).
const OPERATIONS: &[&str] = &["/chat/completions", "/completions", "/embeddings", "/responses", "/messages"];

pub(super) fn check(report: &mut Report<'_, '_>, path: &[Step<'_>], provider: &Provider, preset: Option<&Preset>) {
    let main = provider.dialect.unwrap_or_else(|| preset.map_or(DialectName::Openai, Preset::main_dialect));
    if let Some(base) = &provider.base_url {
        let at_base = at![path; "base_url"];
        one(report, &at_base, main, base, preset);
        if provider.endpoints.contains_key(&main) {
            let message = format!("has no effect: `endpoints.{}` wins", main.as_str());
            report.warn(&at_base, message, "keep one of them");
        }
    } else if provider.dialect.is_some() && preset.is_none_or(|p| !p.endpoints.contains_key(&main)) {
        let message = "says what `base_url` speaks, and there is none";
        report.warn(&at![path; "dialect"], message, "set `base_url`, or write the URL under `endpoints`");
    }
    for (dialect, url) in &provider.endpoints {
        one(report, &at![path; "endpoints", dialect.as_str()], *dialect, url, preset);
    }
}

fn one(report: &mut Report<'_, '_>, path: &[Step<'_>], dialect: DialectName, url: &str, preset: Option<&Preset>) {
    let bare = url.trim_end_matches('/');
    if let Some(left) = preset.and_then(|p| p.base_url.as_deref()).and_then(|form| placeholder(form, bare)) {
        return report.error(path, format!("`{left}` still stands where yours belongs"), "put your own value there");
    }
    if dialect == DialectName::Opaque {
        return;
    }
    if let Some(operation) = OPERATIONS.iter().find(|operation| bare.ends_with(**operation)) {
        let base = bare.strip_suffix(operation).unwrap_or(bare);
        let message = format!("holds `{operation}`, which is joined to it");
        return report.error(path, message, format!("write {base}"));
    }
    let Some(host) = host(bare) else { return };
    let known: Vec<&str> = addresses(host).filter(|(d, _)| *d == dialect).map(|(_, url)| url).collect();
    let no_path = bare.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
    if no_path && !known.is_empty() && !known.contains(&bare) {
        let message = "the base URL of this provider has a path";
        report.warn(path, message, format!("it is {}", words(known)));
    } else if no_path && known.is_empty() && dialect == DialectName::Anthropic {
        let message = "`/messages` is joined to the base URL, and this one has no version";
        report.warn(path, message, format!("most are of the form {bare}/v1"));
    }
}

/// Known base URLs at a host.
fn addresses(host: &str) -> impl Iterator<Item = (DialectName, &'static str)> {
    let all = Presets::builtin().iter().flat_map(|(_, preset)| &preset.endpoints);
    all.filter(move |(_, url)| self::host(url).is_some_and(|h| h.eq_ignore_ascii_case(host)))
        .map(|(dialect, url)| (*dialect, url.as_str()))
}

/// The host of a URL, without its port.
pub(super) fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => Some(host),
        _ => Some(authority),
    }
}

/// A word in capitals of the form that stands in the URL as it is.
fn placeholder<'f>(form: &'f str, url: &str) -> Option<&'f str> {
    let parts = |text: &'f str| text.split(|c: char| !c.is_ascii_uppercase() && c != '_').filter(|part| part.len() > 3);
    parts(form).find(|part| url.split(|c: char| !c.is_ascii_uppercase() && c != '_').any(|p| p == *part))
}
