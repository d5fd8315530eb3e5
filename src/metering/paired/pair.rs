//! One call and its duplicate. Each is a call of its own until it ends; then its side is told here.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::ledger::Ways;
use crate::chat::Money;
use crate::metering::meter::Meter;
use crate::pricing::{At, Refused, Spending};

/// Why no duplicate is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// It might do something twice.
    SideEffects,
    /// As many as may be are on their way, or there is no memory for its body.
    Busy,
    /// The direct target is out of service.
    DirectDown,
    /// The budget of the day is spent.
    OverBudget,
    /// Nobody can tell what an earlier one cost.
    Unpriced,
}

impl Skipped {
    fn as_str(self) -> &'static str {
        match self {
            Self::SideEffects => "side_effects",
            Self::Busy => "busy",
            Self::DirectDown => "direct_down",
            Self::OverBudget => "over_budget",
            Self::Unpriced => "unpriced",
        }
    }
}

impl From<Refused> for Skipped {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Spent => Self::OverBudget,
            Refused::Unpriced => Self::Unpriced,
        }
    }
}

/// A call that was chosen for a duplicate.
pub struct Pair {
    meter: Arc<Meter>,
    route: Arc<str>,
    request_id: Box<str>,
    spending: Arc<Spending>,
    told: Mutex<Told>,
}

/// What the sides have told.
#[derive(Default)]
struct Told {
    routed: Option<Side>,
    direct: Option<Side>,
    /// There is no duplicate.
    skipped: bool,
}

/// How one side ended.
#[derive(Debug, Clone)]
pub(in crate::metering) struct Side {
    pub(in crate::metering) provider: Arc<str>,
    pub(in crate::metering) model: Arc<str>,
    /// It ended well, at its first target.
    pub(in crate::metering) well: bool,
    /// Somebody may be charged for it.
    pub(in crate::metering) chargeable: bool,
    pub(in crate::metering) list: Option<Money>,
    pub(in crate::metering) measured: Measured,
}

/// What is compared.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::metering) struct Measured {
    pub(in crate::metering) ttft: Option<Duration>,
    pub(in crate::metering) duration: Option<Duration>,
    pub(in crate::metering) effective: Option<Money>,
}

/// A call's part in a pair.
pub(in crate::metering) struct Pairing {
    pub(in crate::metering) pair: Arc<Pair>,
    /// It is the duplicate.
    pub(in crate::metering) probe: bool,
}

impl Pair {
    pub(in crate::metering) fn new(
        meter: Arc<Meter>,
        route: Arc<str>,
        request_id: &str,
        spending: Arc<Spending>,
    ) -> Arc<Self> {
        Arc::new(Self { meter, route, request_id: request_id.into(), spending, told: Mutex::default() })
    }

    /// The id of the call that is duplicated.
    pub(in crate::metering) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// No duplicate is sent.
    pub fn skip(&self, why: Skipped) {
        self.told.lock().skipped = true;
        self.count(why.as_str());
    }

    /// One side has ended.
    pub(in crate::metering) fn tell(&self, probe: bool, at: At, side: Side) {
        let both = {
            let mut told = self.told.lock();
            if probe {
                self.charge(at, &side);
            }
            *if probe { &mut told.direct } else { &mut told.routed } = Some(side);
            if told.skipped || told.routed.is_none() || told.direct.is_none() {
                return;
            }
            (told.routed.take(), told.direct.take())
        };
        let (Some(routed), Some(direct)) = both else { return };
        self.estimate(at, &routed, &direct);
        let result = match (routed.well, direct.well) {
            (true, true) => "paired",
            (false, _) => "call_failed",
            (true, false) => "probe_failed",
        };
        if result == "paired" {
            let ways = Ways {
                route: Arc::clone(&self.route),
                direct: format!("{}/{}", direct.provider, direct.model).into(),
                provider: routed.provider,
                model: routed.model,
            };
            self.meter.paired.add(&self.meter.telemetry, ways, &routed.measured, &direct.measured);
        }
        self.count(result);
    }

    /// The budget pays for the duplicate as far as its cost is known; the list price stands in for what the account is
    /// charged.
    fn charge(&self, at: At, direct: &Side) {
        if let Some(amount) = direct.measured.effective.or(direct.list) {
            self.spending.charge(at.day, amount);
        }
    }

    /// A duplicate that told nothing of its cost is taken to have cost what the call itself would at list prices; where
    /// nobody knows that either, there are no more today.
    fn estimate(&self, at: At, routed: &Side, direct: &Side) {
        if !direct.chargeable || direct.measured.effective.or(direct.list).is_some() {
            return;
        }
        match routed.list.or(routed.measured.effective) {
            Some(amount) => self.spending.charge(at.day, amount),
            None => self.spending.stop(at.day),
        }
    }

    fn count(&self, result: &str) {
        self.meter.telemetry.metrics().paired_probes.with([&self.route, result]).inc();
    }
}
