//! The sums over pairs, by where both ways lead, and the metrics that show them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::pair::Measured;
use super::statistics::{Difference, Sums};
use crate::chat::Money;
use crate::pricing::markup;
use crate::telemetry::Telemetry;
use crate::telemetry::cells::{Counter, Reading};

/// Where the two ways lead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ways {
    pub(super) route: Arc<str>,
    pub(super) provider: Arc<str>,
    pub(super) model: Arc<str>,
    /// Provider and model: `provider/model`.
    pub(super) direct: Arc<str>,
}

/// All pairs of this process.
#[derive(Default)]
pub struct Ledger {
    rows: Mutex<BTreeMap<Ways, Row>>,
}

struct Row {
    pairs: u64,
    ttft: Sides<Duration>,
    duration: Sides<Duration>,
    money: Sides<Money>,
}

/// One measure on both sides, and the metrics that show it.
struct Sides<A> {
    sums: Sums,
    sides: [A; 2],
    calls: Counter,
    shown: [Reading; 2],
    squared: Reading,
}

/// What is measured: time or money.
trait Amount: Copy + Default {
    /// Differences are added up in so many parts of what metrics show, in which their squares have room.
    const PARTS: f64;
    fn plus(self, more: Self) -> Self;
    /// In those parts.
    fn less(self, other: Self) -> i128;
    /// In seconds or dollars.
    fn shown(self) -> f64;
}

impl Amount for Duration {
    const PARTS: f64 = 1e9;

    fn plus(self, more: Self) -> Self {
        self.saturating_add(more)
    }

    fn less(self, other: Self) -> i128 {
        let nanos = |time: Self| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        nanos(self) - nanos(other)
    }

    fn shown(self) -> f64 {
        self.as_secs_f64()
    }
}

impl Amount for Money {
    const PARTS: f64 = 1e12;

    fn plus(self, more: Self) -> Self {
        self + more
    }

    fn less(self, other: Self) -> i128 {
        (self - other).pico()
    }

    fn shown(self) -> f64 {
        self.pico() as f64 / Self::PARTS
    }
}

/// The pairs of one route, model and direct target.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The route.
    pub route: Arc<str>,
    /// Where the route's calls went.
    pub provider: Arc<str>,
    /// The model there, as metrics name it.
    pub model: Arc<str>,
    /// Where the duplicates went: `provider/model`.
    pub direct: Arc<str>,
    /// Pairs that ended well on both sides.
    pub pairs: u64,
    /// Streams: request sent to first content.
    pub ttft: Option<TimeCompared>,
    /// Request sent to the answer's last byte.
    pub duration: Option<TimeCompared>,
    /// Effective cost.
    pub cost: Option<MoneyCompared>,
}

/// A time on both sides, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeCompared {
    /// Mean of the route's calls.
    pub routed: f64,
    /// Mean of the duplicates.
    pub direct: f64,
    /// Mean of the difference.
    pub difference: Difference,
}

/// Money on both sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MoneyCompared {
    /// Sum of the route's calls, to the last digit.
    pub routed: Money,
    /// Sum of the duplicates.
    pub direct: Money,
    /// What the route takes on top, in millionths of the direct cost; `None` where that is zero.
    pub markup: Option<i64>,
    /// Mean of the difference per call, in dollars.
    pub difference: Difference,
}

impl Ledger {
    /// Adds a pair.
    pub(super) fn add(&self, telemetry: &Telemetry, ways: Ways, routed: &Measured, direct: &Measured) {
        let mut rows = self.rows.lock();
        let row = rows.entry(ways).or_insert_with_key(|ways| Row::new(telemetry, ways));
        row.pairs += 1;
        row.ttft.add(routed.ttft, direct.ttft);
        row.duration.add(routed.duration, direct.duration);
        row.money.add(routed.effective, direct.effective);
    }

    /// All there is, in order of the names.
    pub fn compared(&self) -> Vec<Compared> {
        let rows = self.rows.lock();
        let shown = rows.iter().map(|(ways, row)| Compared {
            route: Arc::clone(&ways.route),
            provider: Arc::clone(&ways.provider),
            model: Arc::clone(&ways.model),
            direct: Arc::clone(&ways.direct),
            pairs: row.pairs,
            ttft: row.ttft.compared(),
            duration: row.duration.compared(),
            cost: row.money.compared(),
        });
        shown.collect()
    }
}

impl Row {
    fn new(telemetry: &Telemetry, ways: &Ways) -> Self {
        let m = telemetry.metrics();
        let [route, provider, model, direct] = [&*ways.route, &*ways.provider, &*ways.model, &*ways.direct];
        let calls = |measure| m.paired_calls.with([route, provider, model, direct, measure]);
        let seconds = |measure, side| m.paired_seconds.with([route, provider, model, direct, measure, side]);
        let times = |measure| {
            let squared = m.paired_seconds_squared.with([route, provider, model, direct, measure]);
            Sides::new(calls(measure), SIDES.map(|side| seconds(measure, side)), squared)
        };
        let dollars = SIDES.map(|side| m.paired_cost.with([route, provider, model, direct, side]));
        let squared = m.paired_cost_squared.with([route, provider, model, direct]);
        Self {
            pairs: 0,
            ttft: times("ttft"),
            duration: times("duration"),
            money: Sides::new(calls("cost"), dollars, squared),
        }
    }
}

const SIDES: [&str; 2] = ["routed", "direct"];

impl<A: Amount> Sides<A> {
    fn new(calls: Counter, shown: [Reading; 2], squared: Reading) -> Self {
        Self { sums: Sums::default(), sides: Default::default(), calls, shown, squared }
    }

    /// Adds a pair of which both sides are known.
    fn add(&mut self, routed: Option<A>, direct: Option<A>) {
        let (Some(routed), Some(direct)) = (routed, direct) else { return };
        self.sums.add(routed.less(direct));
        for ((sum, shown), more) in self.sides.iter_mut().zip(&self.shown).zip([routed, direct]) {
            *sum = sum.plus(more);
            shown.set(sum.shown());
        }
        self.squared.set(self.sums.squares(A::PARTS));
        self.calls.inc();
    }

    fn difference(&self) -> Option<Difference> {
        self.sums.difference(A::PARTS)
    }
}

impl Sides<Duration> {
    fn compared(&self) -> Option<TimeCompared> {
        let difference = self.difference()?;
        let [routed, direct] = self.sides.map(|sum| sum.as_secs_f64() / self.sums.pairs as f64);
        Some(TimeCompared { routed, direct, difference })
    }
}

impl Sides<Money> {
    fn compared(&self) -> Option<MoneyCompared> {
        let difference = self.difference()?;
        let [routed, direct] = self.sides;
        Some(MoneyCompared { routed, direct, markup: markup(direct, routed), difference })
    }
}
