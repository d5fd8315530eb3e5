//! The end of a call: what was reported becomes metrics, a usage record, a log line.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::Attempt;
use super::cost::CostRecord;
use super::exchange::Call;
use super::outcome::Outcome;
use super::record::Record;
use super::requested::Asked;
use super::target::{NONE, TargetMeter, dialect_index};
use crate::chat::UsageReport;
use crate::dialect::Operation;
use crate::pricing::Assessment;
use crate::telemetry::Metrics;
use crate::telemetry::logs::CALL_TARGET;
use crate::telemetry::names::NameId;

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Call {
    pub(super) fn settle(&mut self) {
        let now = self.last_sent.unwrap_or_else(Instant::now);
        let unfinished = if self.is_probe() { Outcome::Internal } else { Outcome::ClientDisconnected };
        let (outcome, status) = self.ended.unwrap_or((unfinished, 0));
        self.end_attempt(outcome, now);
        let meter = Arc::clone(&self.meter);
        let duration = now.saturating_duration_since(self.opened.accepted);
        let assessed = self.assessed().copied();
        if self.is_probe() {
            self.count_probe(assessed.as_ref().map(|(assessment, _)| assessment));
        } else {
            self.count(meter.telemetry.metrics(), outcome, duration, assessed.as_ref());
            meter.in_flight[dialect_index(self.opened.dialect)].add(-1);
            self.export(outcome, status, now);
        }
        if self.pairing.is_some() {
            self.tell_pair(outcome, assessed.as_ref().map(|(assessment, _)| assessment));
        }
        if meter.records.is_none() && meter.record_logs.is_none() && !meter.log_calls {
            return;
        }
        let cost = assessed.map(|(assessment, _)| CostRecord::of(&assessment));
        let record = Record::of(self, outcome, (status != 0).then_some(status), duration, cost);
        LINE.with_borrow_mut(|line| {
            if let Some(records) = &meter.records {
                line.clear();
                record.write(line);
                records.push(line);
            }
            if let Some(logs) = &meter.record_logs {
                line.clear();
                record.write_log(line);
                logs.push(line);
            }
        });
        if meter.log_calls && record.probe_of.is_none() {
            log(&record);
        }
    }

    fn count(&self, m: &Metrics, outcome: Outcome, duration: Duration, assessed: Option<&(Assessment, Option<u64>)>) {
        let meter = &*self.meter;
        let last = self.attempts.last();
        let series = match (last, &self.route) {
            (Some(Attempt { series: Some(series), .. }), _) => Arc::clone(series),
            (Some(attempt), _) => attempt.target.series(&meter.models, attempt.model),
            (None, Some(route)) => TargetMeter::new(route, NONE, NONE).series(&meter.models, NameId::OTHER),
            (None, None) => meter.nowhere.series(&meter.models, NameId::OTHER),
        };
        let app = series.app(&meter.apps, self.app, self.app == meter.default_app);
        let asked = Asked { model: self.asked.as_deref(), dialect: self.opened.dialect, stream: self.stream, outcome };
        app.count(m, &series, asked, &meter.configured);
        series.duration(m, self.stream).observe(duration);
        if let Some(inside) = self.request_overhead.filter(|_| last.is_some_and(|attempt| attempt.sent.is_some())) {
            meter.overhead_request.observe(inside);
        }
        if let Some(inside) = self.response_overhead {
            meter.overhead_response.observe(inside);
        }
        if let Some(ttft) = self.ttft() {
            series.ttft(m).observe(ttft);
        }
        if let Some(tpot) = self.time_per_output_token() {
            series.tpot(m).observe(tpot);
        }
        self.count_router(m, &series);
        if meter.gen_ai && last.is_some() {
            self.count_gen_ai(m, &series, outcome, duration);
        }
        if let Some(assessed) = assessed {
            self.count_cost(m, &series, &app, assessed);
        }
        match &self.usage {
            UsageReport::Reported(usage) => app.add_tokens(m, &series, usage),
            UsageReport::Inconsistent(usage) => {
                app.add_tokens(m, &series, usage);
                m.usage_inconsistent.with([&series.provider]).inc();
            }
            UsageReport::Unknown if self.should_report_usage() => {
                series.usage_unknown(m).inc();
            }
            // An estimate is in the record, and in no sum.
            UsageReport::Unknown | UsageReport::Estimated(_) => {}
        }
    }

    /// Streams only: from the request sent to the first content.
    pub(super) fn ttft(&self) -> Option<Duration> {
        let sent = self.attempts.last()?.sent?;
        self.first_content.filter(|_| self.stream)?.checked_duration_since(sent)
    }

    /// Streams only: what the client saw, from its request accepted to the first content.
    pub(super) fn client_ttft(&self) -> Option<Duration> {
        self.first_content.filter(|_| self.stream)?.checked_duration_since(self.opened.accepted)
    }

    /// Streams of more than one output token. Where reasoning is reported apart nobody can say whether it was part of
    /// the streamed content, so that the quotient would mean nothing.
    pub(super) fn time_per_output_token(&self) -> Option<Duration> {
        let reported = self.usage.usage().filter(|_| !matches!(self.usage, UsageReport::Estimated(_)));
        let usage = reported.filter(|usage| self.stream && usage.reasoning == 0)?;
        let gaps = u32::try_from(usage.total_output()).ok()?.checked_sub(1).filter(|gaps| *gaps > 0)?;
        Some(self.last_content?.checked_duration_since(self.first_content?)? / gaps)
    }

    pub(super) fn should_report_usage(&self) -> bool {
        let operation = matches!(
            self.opened.operation,
            Operation::Chat
                | Operation::Responses
                | Operation::Completions
                | Operation::Embeddings
                | Operation::Rerank
                | Operation::Messages
        );
        operation && self.attempts.last().and_then(|attempt| attempt.status).is_some_and(|s| (200..300).contains(&s))
    }

    /// Counts the attempt that has just ended.
    pub(super) fn count_attempt(&mut self, outcome: Outcome) {
        let meter = Arc::clone(&self.meter);
        // A name that a provider serves is a name; until then it is whatever a client made up.
        let served = (outcome == Outcome::Ok).then(|| self.renamed.as_deref().or(self.asked.as_deref())).flatten();
        let admitted = served.map(|name| meter.models.admit(name));
        let probe = self.is_probe();
        let Some(attempt) = self.attempts.last_mut() else { return };
        if let Some(admitted) = admitted.filter(|_| attempt.target.model.is_none()) {
            attempt.model = admitted;
        }
        let series = attempt.target.series(&meter.models, attempt.model);
        if !probe {
            series.attempts(meter.telemetry.metrics(), outcome).inc();
        }
        attempt.series = Some(series);
    }

    /// Counts that `next` follows a failed attempt at another target.
    pub(super) fn count_fallback(&self, next: &Attempt) {
        let Some(failed) = self.attempts.last() else { return };
        let (Some((reason, _)), false) = (failed.ended, same_target(failed, next)) else { return };
        let (from, to) = (self.label(failed), self.label(next));
        let m = self.meter.telemetry.metrics();
        m.fallbacks.with([&next.target.route, &from, &to, reason.as_str()]).inc();
    }

    fn label(&self, attempt: &Attempt) -> String {
        let model = attempt.target.series(&self.meter.models, attempt.model);
        format!("{}/{}", attempt.target.provider, model.model)
    }
}

fn same_target(a: &Attempt, b: &Attempt) -> bool {
    Arc::ptr_eq(&a.target, &b.target) || (a.target.provider == b.target.provider && a.target.model == b.target.model)
}

fn log(record: &Record<'_>) {
    tracing::info!(
        target: CALL_TARGET,
        request_id = record.request_id,
        app = %record.app,
        dialect = record.dialect,
        operation = record.operation,
        stream = record.stream,
        route = record.route,
        provider = record.provider,
        model_asked = record.model_asked,
        model_sent = record.model_sent,
        outcome = record.outcome,
        status = record.status,
        attempts = record.attempts.len(),
        ttft_ms = record.ttft.map(millis),
        duration_ms = millis(record.duration),
        trace_id = record.trace_id.map(|id| format!("{id:032x}")),
        "call"
    );
}

/// Milliseconds with three decimals.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
