//! What a call cost: the answer's own statement and the provider's terms become list, billed and effective cost.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use ahash::RandomState;
use parking_lot::RwLock;

use super::exchange::Call;
use super::target::{AppSeries, Series};
use crate::chat::{Money, ServiceTier, StatedCost, UsageReport};
use crate::pricing::{Assessment, At, Basis, Sale, Seller, Terms, Unpriced};
use crate::telemetry::Metrics;
use crate::telemetry::cells::{Counter, Dollars};

/// Most resolved terms that are kept for one target; beyond, they are resolved for each call.
const KEPT: usize = 1_000;

/// What an answer says of money, and of what decides the price.
#[derive(Debug, Clone, Default)]
pub struct Charge {
    /// What the call cost, where the provider states it.
    pub stated: Option<StatedCost>,
    /// The tier of service.
    pub tier: ServiceTier,
    /// Who served behind a router.
    pub served_by: Option<Box<str>>,
}

/// What the calls of one target are priced by, resolved once for each model and server.
#[derive(Default)]
pub(super) struct Prices {
    seller: Option<Arc<Seller>>,
    state: RandomState,
    resolved: RwLock<HashMap<u64, Arc<Resolved>, RandomState>>,
}

struct Resolved {
    sent: Box<str>,
    served: Option<Box<str>>,
    served_by: Option<Box<str>>,
    terms: Terms,
}

impl Prices {
    pub(super) fn of(seller: Option<Arc<Seller>>) -> Self {
        Self { seller, ..Self::default() }
    }

    /// Prices one call; `None` where nobody said who sells.
    fn assess(
        &self,
        sent: &str,
        served: Option<&str>,
        by: Option<&str>,
        sale: &Sale<'_>,
    ) -> Option<(Assessment, Option<u64>)> {
        let seller = self.seller.as_ref()?;
        let key = self.state.hash_one((sent, served, by));
        let fits = |r: &Resolved| *r.sent == *sent && r.served.as_deref() == served && r.served_by.as_deref() == by;
        let found = self.resolved.read().get(&key).filter(|resolved| fits(resolved)).map(Arc::clone);
        let resolved = found.unwrap_or_else(|| {
            let terms = seller.terms(sent, served, by);
            let (served, served_by) = (served.map(Into::into), by.map(Into::into));
            let resolved = Arc::new(Resolved { sent: sent.into(), served, served_by, terms });
            let mut kept = self.resolved.write();
            if kept.len() < KEPT {
                kept.insert(key, Arc::clone(&resolved));
            }
            resolved
        });
        let terms = &resolved.terms;
        let card = terms.card.card(sale.at, sale.tier).or_else(|| terms.list.card(sale.at, sale.tier));
        let taken = card.and_then(|card| card.taken).map(crate::pricing::Day::unix_seconds);
        Some((terms.assess(sale), taken))
    }
}

/// Handles of money by route, provider, model and app.
#[derive(Default)]
pub(super) struct CostSeries {
    cost: [OnceLock<Dollars>; 3],
    comparable: [OnceLock<Dollars>; 3],
}

/// Handles of unpriced calls, by provider and model.
#[derive(Default)]
pub(super) struct UnpricedSeries([OnceLock<Counter>; 3]);

impl Call {
    /// What the call cost, where it could cost anything.
    pub(super) fn assess(&self) -> Option<(Assessment, Option<u64>)> {
        let target = &self.attempts.last()?.target;
        let estimated = matches!(self.usage, UsageReport::Estimated(_));
        let sale = Sale {
            usage: self.usage.usage().filter(|_| !estimated),
            stated: self.charge.stated,
            at: At::from(self.opened.request_id.at()),
            tier: self.charge.tier,
        };
        if !self.should_report_usage() && sale.usage.is_none() && sale.stated.is_none() {
            return None;
        }
        let sent = self.model_sent(target).unwrap_or_default();
        let by = self.charge.served_by.as_deref();
        let (assessment, taken) = target.prices.assess(sent, self.served.as_deref(), by, &sale)?;
        Some((if estimated { assessment.for_estimate() } else { assessment }, taken))
    }

    /// [`Call::assess`], found once: the client may have been told before the call ends.
    pub(super) fn assessed(&mut self) -> Option<&(Assessment, Option<u64>)> {
        if self.assessed.is_none() {
            self.assessed = Some(self.assess());
        }
        self.assessed.as_ref().and_then(Option::as_ref)
    }

    pub(super) fn count_cost(
        &self,
        m: &Metrics,
        series: &Series,
        app: &AppSeries,
        assessed: &(Assessment, Option<u64>),
    ) {
        let (it, taken) = assessed;
        let costs = [it.list.ok(), it.billed.ok().map(|billed| billed.amount), it.effective.ok()];
        let comparable = costs[0].is_some() && costs[2].is_some();
        for (at, basis) in Basis::ALL.into_iter().enumerate() {
            let Some(amount) = costs[at] else { continue };
            app.money.cost[at]
                .get_or_init(|| m.cost.with([&app.app, &series.route, &series.provider, &series.model, basis.as_str()]))
                .add(pico(amount));
            if comparable {
                app.money.comparable[at]
                    .get_or_init(|| m.comparable_cost.with([&app.app, &series.provider, &series.model, basis.as_str()]))
                    .add(pico(amount));
            }
        }
        if let Some(why) = it.effective.err() {
            let at = match why {
                Unpriced::Usage => 1,
                Unpriced::Estimated => 2,
                _ => 0,
            };
            series.unpriced.0[at]
                .get_or_init(|| m.unpriced_calls.with([&series.provider, &series.model, why.reason()]))
                .inc();
        }
        if let Some(taken) = taken {
            let taken = i64::try_from(*taken).unwrap_or(0);
            series.card_taken.get_or_init(|| m.price_card_age.with([&series.provider])).set(taken);
        }
    }
}

/// An amount as metrics count it, rounded to 1e-12 dollars; nothing where it is negative.
fn pico(amount: Money) -> u64 {
    u64::try_from(amount.pico()).unwrap_or(0)
}

/// The money of a usage record. Amounts are in dollars, to the last digit; what is not known is null.
#[derive(Debug)]
pub struct CostRecord {
    /// At the list price.
    pub list: Option<Money>,
    /// What the account is charged.
    pub billed: Option<Money>,
    /// Billed, and fees on top.
    pub effective: Option<Money>,
    /// Where billed is known from: `reported`, `card` or `list`.
    pub cost_source: Option<&'static str>,
    /// Why there is no effective cost.
    pub unpriced: Option<String>,
}

impl CostRecord {
    pub(super) fn of(it: &Assessment) -> Self {
        Self {
            list: it.list.ok(),
            billed: it.billed.ok().map(|billed| billed.amount),
            effective: it.effective.ok(),
            cost_source: it.billed.ok().map(|billed| billed.source.as_str()),
            unpriced: it.effective.err().map(|why| why.to_string()),
        }
    }
}
