//! The attempts of a call: when each began, was connected, sent and ended, and how much of that time was our own.
//!
//! Times come from whoever reports them. Start with [`Call::begin_attempt`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::exchange::Call;
use super::outcome::Outcome;
use super::random;
use super::target::{Series, TargetMeter};
use crate::telemetry::names::NameId;

/// One try at one target.
pub(super) struct Attempt {
    pub(super) target: Arc<TargetMeter>,
    /// What it is counted under where the target names no model.
    pub(super) model: NameId,
    /// Its metric handles, once it has ended.
    pub(super) series: Option<Arc<Series>>,
    pub(super) span_id: u64,
    /// Host and port that it goes to.
    pub(super) server: Option<(Arc<str>, u16)>,
    pub(super) started: Instant,
    /// Since when this process has been at work on it, not yet counted as overhead.
    busy_since: Instant,
    pub(super) sent: Option<Instant>,
    pub(super) status: Option<u16>,
    /// How and after what time it ended; `None` while it runs.
    pub(super) ended: Option<(Outcome, Duration)>,
}

impl Call {
    /// The attempt that runs, if one does.
    pub(super) fn running(&mut self) -> Option<&mut Attempt> {
        self.attempts.last_mut().filter(|attempt| attempt.ended.is_none())
    }

    /// The model that a target gets.
    pub(super) fn model_sent<'a>(&'a self, target: &'a TargetMeter) -> Option<&'a str> {
        if self.passed_through {
            return self.asked.as_deref();
        }
        target.model().or(self.renamed.as_deref()).or(self.asked.as_deref())
    }

    pub(super) fn begin_attempt(&mut self, target: &Arc<TargetMeter>, now: Instant) {
        self.end_attempt(Outcome::Internal, now);
        let asked = self.renamed.as_deref().or(self.asked.as_deref());
        let model = match (&target.model, asked) {
            (None, Some(asked)) => self.meter.models.find(asked).unwrap_or(NameId::OTHER),
            _ => NameId::OTHER,
        };
        if self.attempts.is_empty() {
            // Before the first attempt: reading the body's facts, selecting. Between attempts there may be waits.
            self.request_overhead = self.body_complete.map(|complete| now.saturating_duration_since(complete));
        }
        // Content of a failed attempt never reached the client.
        (self.first_content, self.last_content) = (None, None);
        let attempt = Attempt {
            target: Arc::clone(target),
            model,
            series: None,
            span_id: if self.meter.spans.is_some() { random::nonzero() } else { 0 },
            server: None,
            started: now,
            busy_since: now,
            sent: None,
            status: None,
            ended: None,
        };
        self.count_fallback(&attempt);
        self.attempts.push(attempt);
    }

    pub(super) fn attempt_connected(&mut self, reused: bool, connect: Duration, now: Option<Instant>) {
        let meter = Arc::clone(&self.meter);
        let Some(attempt) = self.running() else { return };
        // Once sent, the time went by in waiting for an answer on a kept connection that turned out to be dead.
        let unanswered = attempt.sent.take().is_some();
        let mut busy = Duration::ZERO;
        if let Some(now) = now {
            if !unanswered {
                busy = now.saturating_duration_since(attempt.busy_since).saturating_sub(connect);
            }
            attempt.busy_since = now;
        }
        let m = meter.telemetry.metrics();
        attempt.target.connections(m, reused).inc();
        if !reused {
            attempt.target.connect(m).observe(connect);
        }
        self.add_request_overhead(busy);
    }

    pub(super) fn request_sent(&mut self, waited: Duration, now: Instant) {
        let Some(attempt) = self.running() else { return };
        attempt.sent = Some(now);
        let busy = now.saturating_duration_since(attempt.busy_since).saturating_sub(waited);
        self.add_request_overhead(busy);
    }

    fn add_request_overhead(&mut self, busy: Duration) {
        if let Some(sum) = &mut self.request_overhead {
            *sum = sum.saturating_add(busy);
        }
    }

    pub(super) fn content(&mut self, now: Instant) {
        self.first_content.get_or_insert(now);
        self.last_content = Some(now);
    }

    pub(super) fn end_attempt(&mut self, outcome: Outcome, now: Instant) {
        let Some(attempt) = self.running() else { return };
        attempt.ended = Some((outcome, now.saturating_duration_since(attempt.started)));
        self.count_attempt(outcome);
    }
}
