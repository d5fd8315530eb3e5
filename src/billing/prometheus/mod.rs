//! A bill from the counters of a Prometheus that scrapes Faregate.
//!
//! Prometheus interpolates (`increase()`), counts in binary floats, and knows neither which calls were not charged nor
//! where a billed cost is known from. It tells what happened where no usage records are kept.
//!
//! Start with [`bill`]; `query` says what is asked, `client` how.

mod answer;
mod client;
mod query;

use std::collections::BTreeMap;

use super::bill::{Bill, Dimension, PROBES, PROBING_APP, REQUESTS, TOKENS, marked};
use super::filter::Filter;
use super::moment::{Moment, Period};
use super::record::slot;
use super::report::{Origin, Statement};
use super::tally::Tally;
use crate::chat::Money;
use crate::pricing::Day;
use answer::Sample;
use query::Range;

pub use client::{Client, ClientError};

/// Most days that a bill by day may have: each is asked for apart.
const MOST_DAYS: usize = 400;

/// Why there is no bill.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// Prometheus cannot be asked, or answers with an error.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The time has no beginning or no end.
    #[error("counters are asked for a time with a beginning and an end")]
    Open,
    /// What counters do not hold.
    #[error("counters do not hold who served a call behind a router; read usage records for --by {0}")]
    Dimension(&'static str),
    /// Fallbacks are counted without the app that called.
    #[error("counters do not tell fallbacks by app; leave --app out, or read usage records")]
    Apps,
    /// More days than can be asked for one by one.
    #[error("{0} days by day are too many to ask for; leave `day` out, or ask for at most {MOST_DAYS}")]
    Days(usize),
    /// Nothing was counted.
    #[error(
        "it has no faregate_requests_total from {0} to {1}; does it scrape the admin port (/metrics) of Faregate, and \
         does it keep its data for so long?"
    )]
    Nothing(Moment, Moment),
}

/// Names that calls have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Names {
    app: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    /// Duplicates that were sent to compare with.
    probes: bool,
}

/// Asks for the sums of a bill.
///
/// # Errors
/// Why there is none.
pub fn bill(client: &Client, filter: &Filter, by: &[Dimension]) -> Result<Statement, CounterError> {
    gather(client, filter, by, true)
}

/// The same of clients' calls alone.
///
/// # Errors
/// Why there is none.
pub(super) fn calls(client: &Client, filter: &Filter, by: &[Dimension]) -> Result<Statement, CounterError> {
    gather(client, filter, by, false)
}

fn gather(client: &Client, filter: &Filter, by: &[Dimension], probes: bool) -> Result<Statement, CounterError> {
    let (Some(since), Some(until)) = (filter.period.since, filter.period.until) else { return Err(CounterError::Open) };
    // In the rows of FOCUS, who served is told where it is known.
    let focus = by.contains(&Dimension::Measure);
    if let Some(unknown) = by.iter().find(|dimension| **dimension == Dimension::ServedBy && !focus) {
        return Err(CounterError::Dimension(unknown.as_str()));
    }
    let unpriced = !by.contains(&Dimension::App) && filter.apps.is_empty();
    let (mut bill, mut counted) = (Bill::new(by), false);
    let pieces = if by.contains(&Dimension::Day) { days(since, until)? } else { vec![(since, until)] };
    for (from, to) in pieces {
        let range = Range { from, to };
        let day = from.day().to_string();
        let mut sums = sums(client, range, unpriced)?;
        if probes {
            sums.extend(duplicates(client, range)?);
        }
        for (names, tally) in sums {
            counted = true;
            // A series that did not grow tells of calls at another time.
            let calls = tally.calls + tally.unpriced_calls() > 0 || tally.billed > Money::ZERO;
            if !calls || !filter.names(names.app.as_deref(), names.provider.as_deref(), names.model.as_deref()) {
                continue;
            }
            let probes = |name: &Option<String>| name.as_ref().map(|name| format!("{name}{PROBES}"));
            let marked = marked(by).filter(|_| names.probes);
            let named = match marked {
                Some(Dimension::Model) => probes(&names.model),
                Some(_) => probes(&names.provider),
                None => None,
            };
            let value = |dimension: &Dimension| match dimension {
                _ if Some(*dimension) == marked && named.is_some() => named.as_deref(),
                Dimension::Provider => names.provider.as_deref(),
                Dimension::Model => names.model.as_deref(),
                Dimension::App => names.app.as_deref(),
                Dimension::Day => Some(day.as_str()),
                Dimension::ServedBy => None,
                Dimension::Measure if tally.charged == 0 => None,
                Dimension::Measure => Some(if tally.metered > 0 { TOKENS } else { REQUESTS }),
            };
            bill.add_tally(&by.iter().map(value).collect::<Vec<_>>(), &tally);
        }
    }
    if !counted {
        return Err(CounterError::Nothing(since, until));
    }
    bill.seen(since);
    bill.seen(until);
    let period = Period { since: Some(since), until: Some(until) };
    Ok(Statement { bill, origin: Origin::Counters { unpriced }, period })
}

/// The time in pieces of one day each, in UTC.
fn days(since: Moment, until: Moment) -> Result<Vec<(Moment, Moment)>, CounterError> {
    let count = usize::try_from(until.day().since(since.day())).unwrap_or(0) + 1;
    if count > MOST_DAYS {
        return Err(CounterError::Days(count));
    }
    let starts = (0_i32..).map(|n| Day(since.day().0 + n));
    let pieces = starts.map(|day| (Moment::from(day).max(since), Moment::from(Day(day.0 + 1)).min(until)));
    Ok(pieces.take(count).filter(|(from, to)| from < to).collect())
}

/// Streams' time to first token by provider and model: how many, and their mean in milliseconds.
///
/// # Errors
/// Prometheus cannot be asked.
pub(super) fn mean_ttft(client: &Client, filter: &Filter) -> Result<Vec<(String, String, u64, f64)>, CounterError> {
    let mut sums: BTreeMap<(String, String), (f64, f64)> = BTreeMap::new();
    for (part, metric) in ["faregate_time_to_first_token_seconds_sum", "faregate_time_to_first_token_seconds_count"]
        .into_iter()
        .enumerate()
    {
        for sample in grown(client, metric, &["provider", "model"], whole(filter)?)? {
            let (Some(provider), Some(model)) = (sample.label("provider"), sample.label("model")) else { continue };
            if filter.names(None, Some(provider), Some(model)) {
                let sum = sums.entry((provider.to_owned(), model.to_owned())).or_default();
                *if part == 0 { &mut sum.0 } else { &mut sum.1 } += sample.float();
            }
        }
    }
    let calls = sums.into_iter().filter(|(_, (_, count))| *count > 0.0);
    Ok(calls
        .map(|((provider, model), (sum, count))| (provider, model, count.round() as u64, 1_000.0 * sum / count))
        .collect())
}

/// How often a target was tried after another one had failed: the provider that failed, then provider and model.
///
/// # Errors
/// Prometheus cannot be asked.
pub(super) fn fallbacks(client: &Client, filter: &Filter) -> Result<Vec<(String, String, String, u64)>, CounterError> {
    let mut all: BTreeMap<(String, String, String), u64> = BTreeMap::new();
    for sample in grown(client, "faregate_fallbacks_total", &["from", "to"], whole(filter)?)? {
        let (Some(from), Some(to)) = (sample.label("from"), sample.label("to")) else { continue };
        let ((failed, _), (provider, model)) = (halves(from), halves(to));
        if failed != provider && filter.names(None, Some(provider), Some(model)) {
            *all.entry((failed.to_owned(), provider.to_owned(), model.to_owned())).or_default() += sample.count();
        }
    }
    Ok(all.into_iter().map(|((failed, provider, model), count)| (failed, provider, model, count)).collect())
}

/// The provider and the model of a target.
fn halves(target: &str) -> (&str, &str) {
    target.split_once('/').unwrap_or((target, ""))
}

fn whole(filter: &Filter) -> Result<Range, CounterError> {
    let (from, to) = filter.period.since.zip(filter.period.until).ok_or(CounterError::Open)?;
    Ok(Range { from, to })
}

/// How much a counter grew in a time, by labels; what made its series apart from what came later.
fn grown(client: &Client, metric: &str, labels: &[&str], range: Range) -> Result<Vec<Sample>, ClientError> {
    let mut samples = client.query(&query::increase(metric, labels, range), range.to)?;
    samples.extend(client.query(&query::births(metric, labels, range), range.to)?);
    Ok(samples)
}

/// The sums of one piece of time.
fn sums(client: &Client, range: Range, unpriced: bool) -> Result<BTreeMap<Names, Tally>, ClientError> {
    let mut sums: BTreeMap<Names, Tally> = BTreeMap::new();
    let mut each = |metric: &str, labels: &[&str], add: &mut dyn FnMut(&mut Tally, &Sample)| {
        for sample in grown(client, metric, labels, range)? {
            let label = |name| sample.label(name).filter(|value| *value != "none").map(str::to_owned);
            let names = Names { app: label("app"), provider: label("provider"), model: label("model"), probes: false };
            add(sums.entry(names).or_default(), &sample);
        }
        Ok::<(), ClientError>(())
    };
    each("faregate_requests_total", &["app", "provider", "model"], &mut |tally, sample| {
        tally.calls += sample.count();
    })?;
    each("faregate_cost_usd_total", &["app", "provider", "model", "basis"], &mut |tally, sample| {
        *basis(sample, &mut tally.list, &mut tally.billed, &mut tally.effective) += sample.money();
        match sample.label("basis") {
            Some("list") => tally.listed = 1,
            _ => tally.charged = 1,
        }
    })?;
    each("faregate_comparable_cost_usd_total", &["app", "provider", "model", "basis"], &mut |tally, sample| {
        let sums = &mut tally.comparable;
        *basis(sample, &mut sums.list, &mut sums.billed, &mut sums.effective) += sample.money();
        sums.calls = 1;
    })?;
    each("faregate_tokens_total", &["app", "provider", "model", "class"], &mut |tally, sample| {
        if let Some(sum) = slot(&mut tally.tokens, sample.label("class").unwrap_or_default()) {
            *sum += sample.count();
            tally.metered = 1;
        }
    })?;
    if unpriced {
        each("faregate_unpriced_calls_total", &["provider", "model", "reason"], &mut |tally, sample| {
            tally.add_unpriced(sample.label("reason").unwrap_or("unknown"), sample.count());
        })?;
    }
    // How many of the calls a sum is made of is not counted: all that is known is that there are some.
    for tally in sums.values_mut() {
        let calls = tally.calls.max(1);
        for known in [&mut tally.listed, &mut tally.charged, &mut tally.comparable.calls, &mut tally.metered] {
            *known *= calls;
        }
    }
    Ok(sums)
}

/// What duplicates cost, which stands in counters of its own.
fn duplicates(client: &Client, range: Range) -> Result<BTreeMap<Names, Tally>, ClientError> {
    let mut sums: BTreeMap<Names, Tally> = BTreeMap::new();
    let names = |sample: &Sample| Names {
        app: Some(PROBING_APP.into()),
        provider: sample.label("provider").map(str::to_owned),
        model: sample.label("model").map(str::to_owned),
        probes: true,
    };
    for sample in grown(client, "faregate_paired_probe_calls_total", &["provider", "model"], range)? {
        sums.entry(names(&sample)).or_default().calls += sample.count();
    }
    for sample in grown(client, "faregate_paired_probe_cost_usd_total", &["provider", "model", "basis"], range)? {
        let tally = sums.entry(names(&sample)).or_default();
        *basis(&sample, &mut tally.list, &mut tally.billed, &mut tally.effective) += sample.money();
        let known = tally.calls.max(1);
        if sample.label("basis") == Some("list") {
            tally.listed = known;
        } else {
            tally.charged = known;
        }
    }
    Ok(sums)
}

/// The sum that a sample belongs to.
fn basis<'t>(sample: &Sample, list: &'t mut Money, billed: &'t mut Money, effective: &'t mut Money) -> &'t mut Money {
    match sample.label("basis") {
        Some("list") => list,
        Some("billed") => billed,
        _ => effective,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_but_the_first_and_the_last() {
        let at = |text| Moment::parse(text).expect("a moment");
        let pieces = days(at("2026-11-24T12:00:00Z"), at("2026-11-26T00:00:00Z")).expect("few days");
        let shown: Vec<String> = pieces.iter().map(|(from, to)| format!("{from} {to}")).collect();
        assert_eq!(shown, ["2026-11-24T12:00:00Z 2026-11-25T00:00:00Z", "2026-11-25T00:00:00Z 2026-11-26T00:00:00Z"]);
        assert!(matches!(days(at("2020-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")), Err(CounterError::Days(2_193))));
    }
}
