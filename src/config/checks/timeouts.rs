//! Timeouts, retries and health: values that make no sense, alone or with those of other layers.

use super::super::file::{Config, Health, Provider, Retry, Timeouts};
use super::super::units::Span;
use super::{Report, Step, at};

pub(super) fn check(config: &Config, report: &mut Report<'_, '_>) {
    let defaults = &config.defaults;
    layer(report, &at!["defaults", "timeouts"], &defaults.timeouts, &[]);
    for (name, provider) in &config.providers {
        if let Some(timeouts) = &provider.timeouts {
            layer(report, &at!["providers", name, "timeouts"], timeouts, &[&defaults.timeouts]);
        }
    }
    for (r, route) in config.routes.iter().enumerate() {
        let Some(timeouts) = &route.timeouts else { continue };
        let of = |name: &String| config.providers.get(name).and_then(|p: &Provider| p.timeouts.as_ref());
        let first = route.targets.first().and_then(|t| of(&t.provider));
        let under: Vec<&Timeouts> = first.into_iter().chain([&defaults.timeouts]).collect();
        layer(report, &at!["routes", r, "timeouts"], timeouts, &under);
    }
    retry(report, &at!["defaults", "retry"], &defaults.retry, &Retry::default());
    for (r, route) in config.routes.iter().enumerate() {
        if let Some(own) = &route.retry {
            retry(report, &at!["routes", r, "retry"], own, &defaults.retry);
        }
    }
    health(report, &defaults.health);
}

/// One layer's timeouts, over what it inherits.
fn layer(report: &mut Report<'_, '_>, path: &[Step<'_>], own: &Timeouts, under: &[&Timeouts]) {
    let given = [("connect", own.connect), ("first_byte", own.first_byte), ("idle", own.idle), ("total", own.total)];
    let zero = Span::millis(0);
    for (key, span) in given {
        if span == Some(zero) {
            let advice = "there is no `never`: give a long time instead";
            report.error(&at![path; key], "0 means that every call times out at once", advice);
        }
    }
    let all = || std::iter::once(own).chain(under.iter().copied());
    let total = all().find_map(|t| t.total).unwrap_or(Timeouts::TOTAL);
    let first_byte = all().find_map(|t| t.first_byte).unwrap_or(Timeouts::FIRST_BYTE);
    let connect = all().find_map(|t| t.connect).unwrap_or(Timeouts::CONNECT);
    if total == zero
        || first_byte == zero
        || connect == zero
        || (own.total, own.first_byte, own.connect) == (None, None, None)
    {
        return;
    }
    let key = if own.total.is_some() { "total" } else { "first_byte" };
    if total <= first_byte && (own.total.is_some() || own.first_byte.is_some()) {
        report.warn(
            &at![path; key],
            format!(
                "`total` ({total}) ends the call before `first_byte` ({first_byte}) can: a target that stalls leaves \
                     no time for another"
            ),
            "set `first_byte` well below `total`",
        );
    } else if total <= connect && (own.total.is_some() || own.connect.is_some()) {
        let key = if own.total.is_some() { "total" } else { "connect" };
        let message = format!("`total` ({total}) ends the call before `connect` ({connect}) can");
        report.warn(&at![path; key], message, "set `connect` well below `total`");
    }
}

fn retry(report: &mut Report<'_, '_>, path: &[Step<'_>], own: &Retry, under: &Retry) {
    let per_target = own.attempts_per_target.or(under.attempts_per_target).unwrap_or(Retry::ATTEMPTS_PER_TARGET);
    let most = own.max_attempts.or(under.max_attempts).unwrap_or(Retry::MAX_ATTEMPTS);
    if per_target > most && (own.attempts_per_target.is_some() || own.max_attempts.is_some()) {
        let key = if own.attempts_per_target.is_some() { "attempts_per_target" } else { "max_attempts" };
        let message = format!("{per_target} attempts per target, but {most} in all: the first target takes them all");
        report.warn(&at![path; key], message, "raise `max_attempts` or lower `attempts_per_target`");
    }
    let backoff = own.backoff.or(under.backoff).unwrap_or(Retry::BACKOFF);
    let longest = own.max_backoff.or(under.max_backoff).unwrap_or(Retry::MAX_BACKOFF);
    if backoff > longest && (own.backoff.is_some() || own.max_backoff.is_some()) {
        let key = if own.backoff.is_some() { "backoff" } else { "max_backoff" };
        let message = format!("`backoff` ({backoff}) is longer than `max_backoff` ({longest}), which wins");
        report.warn(&at![path; key], message, "raise `max_backoff` or lower `backoff`");
    }
}

fn health(report: &mut Report<'_, '_>, health: &Health) {
    let (first, longest) = (health.eject.unwrap_or(Health::EJECT), health.max_eject.unwrap_or(Health::MAX_EJECT));
    if first > longest {
        let key = if health.max_eject.is_some() { "max_eject" } else { "eject" };
        let message = format!("the first ejection ({first}) is longer than the longest ({longest})");
        report.warn(&at!["defaults", "health", key], message, "raise `max_eject` or lower `eject`");
    }
}
