//! What the metrics add up to since the process started, for people who look at one process: read from the registry when
//! somebody asks, so that nothing is counted twice and no call pays for it.
//!
//! What is unknown is absent here and never zero. Start with [`Totals::of`].

use std::collections::BTreeMap;

use crate::chat::Money;
use crate::pricing;
use crate::telemetry::Metrics;
use crate::telemetry::cells::{Counter, Histogram};

/// Counts by outcome.
pub type Outcomes = BTreeMap<String, u64>;

/// All of them, at one moment.
#[derive(Debug, Default)]
pub struct Totals {
    /// Calls accepted and not finished, by dialect.
    pub in_flight: BTreeMap<String, i64>,
    /// Calls finished, by route and outcome.
    pub calls: BTreeMap<String, Outcomes>,
    /// Later targets that were tried, by route.
    pub fallbacks: BTreeMap<String, u64>,
    /// Tries, by provider, then by model.
    pub attempts: BTreeMap<String, BTreeMap<String, Outcomes>>,
    /// Time to first token, by route and provider, then by model.
    pub ttft: BTreeMap<(String, String), BTreeMap<String, Buckets>>,
    /// From accepted to the last byte, over all calls.
    pub duration: Buckets,
    /// Time inside Faregate, by phase.
    pub overhead: BTreeMap<String, Buckets>,
    /// What was used and what it cost, by provider and model.
    pub served: BTreeMap<(String, String), Served>,
}

/// How many durations fell into each bucket.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buckets {
    /// Upper bounds, in seconds.
    pub bounds: &'static [f64],
    /// One number for each bound, and a last one for what is over all; empty when nothing was measured.
    pub counts: Vec<u64>,
}

/// What a provider's model used and cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Served {
    /// Tokens by class.
    pub tokens: BTreeMap<String, u64>,
    /// Answered calls whose usage nobody knows.
    pub usage_unknown: u64,
    /// Answered calls without an effective cost; they are missing from the three sums.
    pub unpriced: u64,
    /// At the list price, where any call had one.
    pub list: Option<Money>,
    /// As the account is charged.
    pub billed: Option<Money>,
    /// Billed, and fees.
    pub effective: Option<Money>,
    /// List and effective cost of the calls of which both are known.
    pub comparable: Option<(Money, Money)>,
}

impl Served {
    /// Effective over list less one, in millionths; none without a list price above zero.
    pub fn markup(&self) -> Option<i64> {
        self.comparable.and_then(|(list, effective)| pricing::markup(list, effective))
    }

    /// This and another, as one.
    pub fn add(&mut self, other: &Self) {
        for (class, count) in &other.tokens {
            *self.tokens.entry(class.clone()).or_default() += count;
        }
        self.usage_unknown += other.usage_unknown;
        self.unpriced += other.unpriced;
        for (mine, theirs) in
            [(&mut self.list, other.list), (&mut self.billed, other.billed), (&mut self.effective, other.effective)]
        {
            *mine = sum(*mine, theirs);
        }
        if let Some((list, effective)) = other.comparable {
            let (l, e) = self.comparable.get_or_insert_default();
            *l += list;
            *e += effective;
        }
    }
}

impl Buckets {
    /// These and others of the same metric, as one.
    pub fn add(&mut self, other: &Self) {
        if self.counts.is_empty() {
            *self = other.clone();
            return;
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }
}

impl Totals {
    /// What these metrics add up to now.
    pub fn of(metrics: &Metrics) -> Self {
        let mut it = Self::default();
        for (labels, gauge) in metrics.in_flight.rows() {
            if let [dialect] = labels.as_slice() {
                *it.in_flight.entry(dialect.clone()).or_default() += gauge.get();
            }
        }
        it.count_calls(metrics);
        it.add_times(metrics);
        it.add_usage(metrics);
        it.add_money(metrics);
        it
    }

    fn count_calls(&mut self, metrics: &Metrics) {
        for (labels, count) in metrics.requests.rows() {
            if let [_, route, .., outcome] = labels.as_slice() {
                add_outcome(self.calls.entry(route.clone()).or_default(), outcome, &count);
            }
        }
        for (labels, count) in metrics.fallbacks.rows() {
            if let [route, ..] = labels.as_slice() {
                *self.fallbacks.entry(route.clone()).or_default() += count.get();
            }
        }
        for (labels, count) in metrics.attempts.rows() {
            if let [provider, model, outcome] = labels.as_slice() {
                let models = self.attempts.entry(provider.clone()).or_default();
                add_outcome(models.entry(model.clone()).or_default(), outcome, &count);
            }
        }
    }

    fn add_times(&mut self, metrics: &Metrics) {
        for (labels, times) in metrics.ttft.rows() {
            if let [route, provider, model] = labels.as_slice() {
                let models = self.ttft.entry((route.clone(), provider.clone())).or_default();
                models.entry(model.clone()).or_default().add(&buckets(&times));
            }
        }
        for (_, times) in metrics.duration.rows() {
            self.duration.add(&buckets(&times));
        }
        for (labels, times) in metrics.overhead.rows() {
            if let [phase] = labels.as_slice() {
                self.overhead.entry(phase.clone()).or_default().add(&buckets(&times));
            }
        }
    }

    fn add_usage(&mut self, metrics: &Metrics) {
        for (labels, count) in metrics.tokens.rows() {
            if let [_, provider, model, class] = labels.as_slice() {
                *self.served(provider, model).tokens.entry(class.clone()).or_default() += count.get();
            }
        }
        for (labels, count) in metrics.usage_unknown.rows() {
            if let [provider, model] = labels.as_slice() {
                self.served(provider, model).usage_unknown += count.get();
            }
        }
        for (labels, count) in metrics.unpriced_calls.rows() {
            if let [provider, model, _] = labels.as_slice() {
                self.served(provider, model).unpriced += count.get();
            }
        }
    }

    fn add_money(&mut self, metrics: &Metrics) {
        for (labels, dollars) in metrics.cost.rows() {
            if let [_, _, provider, model, basis] = labels.as_slice() {
                let served = self.served(provider, model);
                let sum_of = match basis.as_str() {
                    "list" => &mut served.list,
                    "billed" => &mut served.billed,
                    _ => &mut served.effective,
                };
                *sum_of = sum(*sum_of, Some(money(dollars.pico())));
            }
        }
        for (labels, dollars) in metrics.comparable_cost.rows() {
            if let [_, provider, model, basis] = labels.as_slice() {
                let (list, effective) = self.served(provider, model).comparable.get_or_insert_default();
                match basis.as_str() {
                    "list" => *list += money(dollars.pico()),
                    "effective" => *effective += money(dollars.pico()),
                    _ => {}
                }
            }
        }
    }

    fn served(&mut self, provider: &str, model: &str) -> &mut Served {
        self.served.entry((provider.to_owned(), model.to_owned())).or_default()
    }
}

fn add_outcome(outcomes: &mut Outcomes, outcome: &str, count: &Counter) {
    *outcomes.entry(outcome.to_owned()).or_default() += count.get();
}

fn buckets(times: &Histogram) -> Buckets {
    let (bounds, counts) = times.buckets();
    Buckets { bounds, counts }
}

fn sum(one: Option<Money>, other: Option<Money>) -> Option<Money> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

fn money(pico: u64) -> Money {
    Money::from_atto(i128::from(pico) * 1_000_000)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::Telemetry;

    #[test]
    fn sums_are_exact_and_what_nobody_counted_is_absent() -> prometheus::Result<()> {
        let telemetry = Telemetry::new()?;
        let m = telemetry.metrics();
        for (app, basis, pico) in [("a", "list", 1), ("b", "list", 2_000_000_000_000), ("a", "effective", 3)] {
            m.cost.with([app, "r", "p", "m", basis]).add(pico);
        }
        for (basis, pico) in [("list", 100), ("effective", 115)] {
            m.comparable_cost.with(["a", "p", "m", basis]).add(pico);
        }
        m.comparable_cost.with(["a", "free", "m", "list"]).add(0);
        m.unpriced_calls.with(["q", "m", "no_price"]).inc();
        m.overhead.with(["request"]).observe(Duration::from_micros(20));
        for stream in ["true", "false"] {
            m.duration.with(["r", "p", "m", stream]).observe(Duration::from_secs(1));
        }
        let totals = Totals::of(m);
        let key = |provider: &str| (provider.to_owned(), "m".to_owned());
        let served = &totals.served[&key("p")];
        assert_eq!(served.list.map(|list| list.to_string()).as_deref(), Some("2.000000000001"));
        assert_eq!((served.billed, served.markup()), (None, Some(150_000)));
        assert_eq!(totals.served[&key("free")].markup(), None, "undefined over a list price of zero");
        let unpriced = &totals.served[&key("q")];
        assert_eq!((unpriced.unpriced, unpriced.list, unpriced.markup()), (1, None, None));
        let mut both = served.clone();
        both.add(unpriced);
        assert_eq!((both.unpriced, both.list), (1, served.list));
        assert_eq!(totals.overhead["request"].counts.iter().sum::<u64>(), 1);
        assert_eq!(totals.overhead.get("response"), None);
        assert_eq!(totals.duration.counts.iter().sum::<u64>(), 2);
        Ok(())
    }
}
