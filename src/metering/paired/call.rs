//! What a call tells its pair, and what is counted of a duplicate instead of a call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ledger::Compared;
use super::pair::{Measured, Pair, Pairing, Side};
use crate::metering::exchange::{Call, Exchange, Opened};
use crate::metering::meter::Meter;
use crate::metering::outcome::Outcome;
use crate::metering::request_id::RequestId;
use crate::metering::target::TargetMeter;
use crate::pricing::{Assessment, At, Basis, Spending};
use crate::telemetry::names::NameId;

/// Who calls, in the usage record of a duplicate.
const APP: &str = "faregate-probe";

impl Exchange {
    /// The call was chosen for a duplicate, which `spending` pays for.
    pub fn begin_pair(&mut self, target: &TargetMeter, spending: &Arc<Spending>) -> Arc<Pair> {
        let meter = Arc::clone(&self.call.meter);
        let pair = Pair::new(meter, Arc::clone(&target.route), self.request_id(), Arc::clone(spending));
        self.call.pairing = Some(Pairing { pair: Arc::clone(&pair), probe: false });
        pair
    }

    /// The provider has said everything, whether or not the client has it yet.
    pub fn answer_complete(&mut self, at: Instant) {
        self.call.answer_complete = Some(at);
    }
}

impl Meter {
    /// Begins the record of a duplicate. It has an id of its own and belongs to no trace.
    pub fn open_probe(self: &Arc<Self>, pair: &Arc<Pair>, of: Opened) -> Exchange {
        let opened = Opened { request_id: RequestId::new(), trace: None, trace_state: None, ..of };
        let mut exchange = Exchange::new(Arc::clone(self), opened);
        let call = &mut *exchange.call;
        call.trace = None;
        (call.app, call.app_name) = (NameId::OTHER, Some(APP.into()));
        call.pairing = Some(Pairing { pair: Arc::clone(pair), probe: true });
        exchange
    }

    /// All pairs so far.
    pub fn compared(&self) -> Vec<Compared> {
        self.paired.compared()
    }

    /// Calls of a route that were chosen for a duplicate, by what became of it.
    pub fn probes_of(&self, route: &str) -> Vec<(String, u64)> {
        let rows = self.telemetry.metrics().paired_probes.rows();
        let of = |(labels, count): &(Vec<String>, crate::telemetry::cells::Counter)| {
            let [of, result] = labels.as_slice() else { return None };
            (of == route).then(|| (result.clone(), count.get()))
        };
        let mut all: Vec<_> = rows.iter().filter_map(of).collect();
        all.sort_unstable();
        all
    }
}

impl Call {
    /// Whether it is a duplicate, and no client's.
    pub(in crate::metering) fn is_probe(&self) -> bool {
        self.pairing.as_ref().is_some_and(|pairing| pairing.probe)
    }

    /// The call that it duplicates.
    pub(in crate::metering) fn probe_of(&self) -> Option<&str> {
        self.pairing.as_ref().filter(|pairing| pairing.probe).map(|pairing| pairing.pair.request_id())
    }

    /// Counts a duplicate, and what it cost.
    pub(in crate::metering) fn count_probe(&self, assessed: Option<&Assessment>) {
        let Some(attempt) = self.attempts.last() else { return };
        let series = attempt.target.series(&self.meter.models, attempt.model);
        let m = self.meter.telemetry.metrics();
        m.paired_probe_calls.with([&series.route, &series.provider, &series.model]).inc();
        let Some(it) = assessed else { return };
        let costs = [it.list.ok(), it.billed.ok().map(|billed| billed.amount), it.effective.ok()];
        for (basis, amount) in Basis::ALL.into_iter().zip(costs) {
            let Some(amount) = amount else { continue };
            let labels = [&*series.route, &*series.provider, &*series.model, basis.as_str()];
            m.paired_probe_cost.with(labels).add(u64::try_from(amount.pico()).unwrap_or(0));
        }
    }

    /// Tells the pair, where there is one, how this side ended.
    pub(in crate::metering) fn tell_pair(&self, outcome: Outcome, assessed: Option<&Assessment>) {
        let (Some(pairing), Some(attempt)) = (&self.pairing, self.attempts.last()) else { return };
        let series = attempt.target.series(&self.meter.models, attempt.model);
        let answered = attempt.status.is_none_or(|status| (200..300).contains(&status));
        let side = Side {
            provider: Arc::clone(&series.provider),
            model: Arc::clone(&series.model),
            well: outcome == Outcome::Ok && self.attempts.len() == 1,
            chargeable: attempt.sent.is_some() && answered,
            list: assessed.and_then(|it| it.list.ok()),
            measured: Measured {
                ttft: self.ttft(),
                duration: self.answer_time(),
                effective: assessed.and_then(|it| it.effective.ok()),
            },
        };
        pairing.pair.tell(pairing.probe, At::from(self.opened.request_id.at()), side);
    }

    /// From the request sent to the provider's last byte.
    pub(in crate::metering) fn answer_time(&self) -> Option<Duration> {
        self.answer_complete?.checked_duration_since(self.attempts.last()?.sent?)
    }
}
