//! Passive health of a target: what its calls say about it, and whether to send it more.
//!
//! Up -> (failures in a row, or too large a share of failures in the last minute) -> ejected for a time -> half-open:
//! one call at a time may probe -> success: up; failure: ejected for twice as long. A target that stays up for a
//! minute, and for as long as it was out, starts small again.
//!
//! The state stands in one word, `gate`: 0 is up; else the millisecond at which the ejection ends, and in the lowest
//! bit whether a probe is out. An up target costs one relaxed load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::policy::HealthPolicy;
use super::ring::Ring;

/// Time up after which former ejections are forgotten, at least.
const FORGET: u64 = 60_000;

/// Health of one provider and model. Tables share its record across reloads; the policy is each table's own.
#[derive(Debug, Clone)]
pub struct Health {
    policy: HealthPolicy,
    record: Arc<Record>,
}

/// Whether a target takes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthState {
    /// It does.
    Up,
    /// Not before this time, unless every other target is out too.
    Ejected {
        /// When the first probe may go out.
        until: Instant,
    },
    /// Half-open: one call at a time finds out.
    Probing,
}

/// The right to probe a half-open target. Dropped without a result (the target was not tried after all, or the client
/// went away), it lets the next call probe.
#[derive(Debug)]
pub struct Probe {
    gate: u64,
    /// Given back: the same gate may since belong to another call's probe.
    released: AtomicBool,
    record: Arc<Record>,
}

#[derive(Debug)]
struct Record {
    start: Instant,
    gate: AtomicU64,
    streak: AtomicU32,
    calls: Ring<12, 5000>,
    failures: Ring<12, 5000>,
    /// Guards changes of state, which are rare; never held while anything waits.
    history: Mutex<History>,
}

#[derive(Debug, Default, Clone, Copy)]
struct History {
    /// Ejections in a row.
    ejections: u32,
    /// Length of the last one, in milliseconds.
    last: u64,
    /// When the target came back from it.
    up_since: u64,
}

/// What the gate says at some time.
enum Gate {
    Up,
    Ejected { until: u64 },
    HalfOpen { probed: bool },
}

fn read(gate: u64, ms: u64) -> Gate {
    match (gate, gate >> 1) {
        (0, _) => Gate::Up,
        (_, until) if ms < until => Gate::Ejected { until },
        _ => Gate::HalfOpen { probed: gate & 1 == 1 },
    }
}

impl Health {
    /// Health under a policy; the record goes on where `previous` stands.
    pub(super) fn new(policy: HealthPolicy, previous: Option<&Health>) -> Self {
        let fresh = || {
            Arc::new(Record {
                start: Instant::now(),
                gate: AtomicU64::new(0),
                streak: AtomicU32::new(0),
                calls: Ring::default(),
                failures: Ring::default(),
                history: Mutex::default(),
            })
        };
        Self { policy, record: previous.map_or_else(fresh, |p| Arc::clone(&p.record)) }
    }

    /// Counts a finished attempt. Success means that the target is fine, not that the caller was: an answer that
    /// refuses a bad request is a success.
    ///
    /// While a target is out, only the outcome of a probe counts: other calls began before the ejection, or were
    /// sent because nothing else was left.
    pub fn record(&self, ok: bool, now: Instant) {
        let record = &*self.record;
        let ms = record.ms(now);
        if record.gate.load(Relaxed) != 0 {
            let mut history = record.history.lock();
            match read(record.gate.load(Relaxed), ms) {
                Gate::HalfOpen { probed: true } if ok => record.recover(&mut history, ms),
                Gate::HalfOpen { probed: true } => record.eject(&mut history, &self.policy, ms),
                Gate::Up | Gate::Ejected { .. } | Gate::HalfOpen { .. } => {}
            }
            return;
        }
        record.calls.add(ms);
        if ok {
            if record.streak.load(Relaxed) != 0 {
                record.streak.store(0, Relaxed);
            }
            return;
        }
        record.failures.add(ms);
        let streak = record.streak.fetch_add(1, Relaxed).saturating_add(1);
        if self.policy.is_too_much(streak, || (record.failures.sum(ms), record.calls.sum(ms))) {
            let mut history = record.history.lock();
            if record.gate.load(Relaxed) == 0 {
                record.eject(&mut history, &self.policy, ms);
            }
        }
    }

    /// Whether the target takes calls.
    pub fn state(&self, now: Instant) -> HealthState {
        match read(self.record.gate.load(Relaxed), self.record.ms(now)) {
            Gate::Up => HealthState::Up,
            Gate::Ejected { until } => HealthState::Ejected { until: self.record.start + Duration::from_millis(until) },
            Gate::HalfOpen { .. } => HealthState::Probing,
        }
    }

    /// Whether the target takes calls without restriction: one relaxed load, no clock.
    pub fn is_up(&self) -> bool {
        self.record.gate.load(Relaxed) == 0
    }

    /// The right to probe, when the target is half-open and nobody else has it.
    pub(super) fn try_probe(&self, now: Instant) -> Option<Probe> {
        let gate = self.record.gate.load(Relaxed);
        match read(gate, self.record.ms(now)) {
            Gate::HalfOpen { probed: false } => {
                self.record.gate.compare_exchange(gate, gate | 1, Relaxed, Relaxed).ok()?;
                Some(Probe { gate: gate | 1, released: AtomicBool::new(false), record: Arc::clone(&self.record) })
            }
            _ => None,
        }
    }
}

impl Probe {
    /// Lets another call probe. Once the outcome has been recorded this changes nothing: the gate has moved on.
    pub(super) fn release(&self) {
        if !self.released.swap(true, Relaxed) {
            let _ = self.record.gate.compare_exchange(self.gate, self.gate & !1, Relaxed, Relaxed);
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.release();
    }
}

impl HealthPolicy {
    fn is_too_much(&self, streak: u32, window: impl FnOnce() -> (u64, u64)) -> bool {
        if self.consecutive_failures > 0 && streak >= self.consecutive_failures {
            return true;
        }
        if self.error_rate <= 0.0 {
            return false;
        }
        let (failures, calls) = window();
        calls >= Self::ENOUGH && failures as f64 >= self.error_rate * calls as f64
    }

    /// Length in milliseconds of an ejection that follows `before` others in a row.
    fn length(&self, before: u32) -> u64 {
        let longest = u64::try_from(self.max_eject.as_millis()).unwrap_or(u64::MAX);
        let first = u64::try_from(self.eject.as_millis()).unwrap_or(u64::MAX);
        first.max(1).saturating_mul(1u64.checked_shl(before).unwrap_or(u64::MAX)).min(longest.max(1))
    }
}

impl Record {
    fn ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64
    }

    fn eject(&self, history: &mut History, policy: &HealthPolicy, ms: u64) {
        let stayed_up = self.gate.load(Relaxed) == 0 && ms.saturating_sub(history.up_since) >= history.last.max(FORGET);
        if stayed_up {
            history.ejections = 0;
        }
        history.last = policy.length(history.ejections);
        history.ejections = history.ejections.saturating_add(1);
        // Never 0, which means up: a length is at least 1. The top bit is lost only after 292 million years.
        self.gate.store(ms.saturating_add(history.last) << 1, Relaxed);
    }

    fn recover(&self, history: &mut History, ms: u64) {
        history.up_since = ms;
        self.streak.store(0, Relaxed);
        self.calls.clear();
        self.failures.clear();
        self.gate.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests;
