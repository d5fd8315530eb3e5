//! An explanation for people.

use std::fmt::Write;

use super::explanation::{Explanation, RouteShown, TargetShown};
use crate::config::file::{RetryOn, Sticky, Strategy};

/// Routes that did not match and are shown.
const SHOWN: usize = 20;

/// Writes it out.
pub(super) fn render(explanation: &Explanation) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _infallible = write(&mut out, explanation);
    out
}

fn write(out: &mut String, e: &Explanation) -> std::fmt::Result {
    let call = &e.call;
    write!(out, "call     {} {} ({} in the {} dialect)", call.method, call.path, call.api, call.dialect)?;
    match &call.model {
        Some(model) => write!(out, ", model {model}")?,
        None => write!(out, ", no model")?,
    }
    writeln!(out, ", app {}", call.app)?;
    if let Some(provider) = &call.addressed_to {
        writeln!(out, "         the path names provider {provider}")?;
    }
    if !e.alias.is_empty() {
        writeln!(out, "alias    {}", e.alias.join(" -> "))?;
    }
    let hidden = e.not_matched.len().saturating_sub(SHOWN);
    if hidden > 0 {
        writeln!(out, "not      {hidden} earlier routes, and")?;
    }
    for not in e.not_matched.iter().skip(hidden) {
        writeln!(out, "not      {}: {}", not.route, not.because.join("; "))?;
    }
    if let Some(error) = &e.error {
        return writeln!(out, "nowhere  {error}");
    }
    if let Some(route) = &e.route {
        self::route(out, route)?;
    }
    for (n, target) in e.targets.iter().enumerate() {
        self::target(out, n, target)?;
    }
    e.passed_over.iter().try_for_each(|why| writeln!(out, "         passed over: {why}"))?;
    e.route.as_ref().map_or(Ok(()), |route| rules(out, route, e.targets.len()))
}

fn route(out: &mut String, route: &RouteShown) -> std::fmt::Result {
    let strategy = match route.strategy {
        Strategy::Fallback => "fallback",
        Strategy::Weighted => "weighted",
    };
    match route.implicit {
        true => write!(out, "route    {}", route.name)?,
        false => write!(out, "route    {}, {strategy}", route.name)?,
    }
    match &route.sticky {
        Some(Sticky::Header(name)) => write!(out, ", sticky by header {name}")?,
        Some(Sticky::Conversation) => write!(out, ", sticky by conversation")?,
        None => {}
    }
    if route.drawn {
        let lacks = if route.sticky.is_some() { "without that header " } else { "" };
        write!(out, "; {lacks}chance decides anew for each call, this is one draw")?;
    }
    writeln!(out)
}

fn target(out: &mut String, n: usize, target: &TargetShown) -> std::fmt::Result {
    let label = if n == 0 { "targets" } else { "" };
    write!(out, "{label:9}{}. {}", n + 1, target.provider)?;
    if let Some(preset) = target.preset.as_ref().filter(|preset| **preset != target.provider) {
        write!(out, " (preset {preset})")?;
    }
    if let Some(model) = &target.model {
        write!(out, ", model {model}")?;
    }
    write!(out, ": {}", target.reason)?;
    if let Some(share) = target.share {
        write!(out, " ({:.1}% of calls come here first)", share * 100.0)?;
    }
    writeln!(out, "\n            {}", target.url)?;
    writeln!(
        out,
        "            key {}; timeouts: connect {}, first byte {}, idle {}",
        target.key, target.connect_timeout, target.first_byte_timeout, target.idle_timeout
    )
}

fn rules(out: &mut String, route: &RouteShown, targets: usize) -> std::fmt::Result {
    let attempts = match (targets as u32).saturating_mul(route.attempts_per_target).min(route.max_attempts) {
        1 => "one attempt".to_owned(),
        n => format!("at most {n} attempts, {} per target", route.attempts_per_target),
    };
    write!(out, "rules    {attempts}, {} in all", route.total_timeout)?;
    if attempts != "one attempt" {
        let on: Vec<&str> = route.retry_on.iter().map(word).collect();
        let on = if on.is_empty() { "nothing".into() } else { on.join(", ") };
        write!(out, "; the next after {on}")?;
        if route.attempts_per_target > 1 {
            write!(out, "; up to {} apart, growing to {}", route.backoff, route.max_backoff)?;
        }
    }
    writeln!(out)?;
    write!(out, "         bodies up to {} bytes", route.max_body)?;
    if let Some(calls) = route.max_calls {
        write!(out, ", {calls} calls at a time")?;
    }
    writeln!(out)?;
    let Some(probe) = &route.probe else { return Ok(()) };
    write!(out, "probe    {} of calls go to {}", probe.share, probe.provider)?;
    if let Some(model) = &probe.model {
        write!(out, ", model {model}")?;
    }
    let tools = if probe.tools { "those with side effects too" } else { "none with tools or other side effects" };
    writeln!(out, " as well, for at most ${} a day; {tools}", probe.budget_usd_per_day)
}

fn word(on: &RetryOn) -> &'static str {
    match on {
        RetryOn::Connect => "no connection",
        RetryOn::Timeout => "no first byte in time",
        RetryOn::RateLimited => "429",
        RetryOn::ServerError => "5xx",
        RetryOn::Broken => "a broken answer",
        RetryOn::Unauthorized => "401 or 403",
        RetryOn::NotFound => "404",
    }
}
