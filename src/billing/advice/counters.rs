//! Advice from the counters of a Prometheus: money by provider and model, mean times, fallbacks. Who served behind a
//! router is not counted.

use super::market::Market;
use super::road::{Advisor, Part};
use super::times::Times;
use crate::billing::bill::Dimension;
use crate::billing::filter::Filter;
use crate::billing::prometheus::{Client, CounterError, calls, fallbacks, mean_ttft};

/// Asks for what [`Advisor`] sorts out of records.
///
/// # Errors
/// Why it is not known.
pub fn from_counters(client: &Client, filter: &Filter, market: Market) -> Result<Advisor, CounterError> {
    if !filter.apps.is_empty() {
        return Err(CounterError::Apps);
    }
    let statement = calls(client, filter, &[Dimension::Provider, Dimension::Model])?;
    let mut advisor = Advisor::new(market);
    if let Some((first, last)) = statement.bill.span() {
        advisor.seen(first);
        advisor.seen(last);
    }
    for group in statement.bill.groups() {
        let [Some(provider), Some(model)] = group.names.as_slice() else { continue };
        let Some(road) = advisor.road(provider, model) else { continue };
        let (tally, sums) = (&group.tally, &group.tally.comparable);
        road.calls += tally.calls;
        let part = Part { calls: tally.calls, compared: sums.calls, list: sums.list, effective: sums.effective };
        road.servers.entry(None).or_default().merge(&part);
    }
    for (provider, model, count, mean) in mean_ttft(client, filter)? {
        if let Some(road) = advisor.road(&provider, &model) {
            road.ttft.merge(&Times::of_mean(count, mean));
        }
    }
    // A fallback tells that a call went on to a router, not what that call cost: its average share is left out.
    for (failed, provider, model, count) in fallbacks(client, filter)? {
        let Some(road) = advisor.road(&provider, &model) else { continue };
        let Some(all) = road.servers.get_mut(&None).filter(|all| all.calls > 0) else { continue };
        let share = |amount: crate::chat::Money| {
            crate::chat::Money::from_atto(amount.atto() / i128::from(all.calls) * i128::from(count.min(all.calls)))
        };
        let part = Part {
            calls: count.min(all.calls),
            compared: count.min(all.compared),
            list: share(all.list),
            effective: share(all.effective),
        };
        all.calls -= part.calls;
        all.compared -= part.compared;
        all.list = all.list - part.list;
        all.effective = all.effective - part.effective;
        road.rescued.entry(failed.into()).or_default().merge(&part);
    }
    Ok(advisor)
}
