//! Times of calls under the names that OpenTelemetry's conventions for generative AI give them, where that is asked
//! for; beside Faregate's own, which say more.

use std::sync::OnceLock;
use std::time::Duration;

use super::exchange::Call;
use super::outcome::Outcome;
use super::target::{OUTCOMES, Series};
use crate::dialect::Operation;
use crate::telemetry::Metrics;
use crate::telemetry::cells::Histogram;

/// The well-known names of operations on a model.
const OPERATIONS: [&str; 3] = ["chat", "text_completion", "embeddings"];

/// Handles by provider and model, each by operation.
#[derive(Default)]
pub(super) struct GenAiSeries {
    duration: [[OnceLock<Histogram>; OUTCOMES]; OPERATIONS.len()],
    ttft: [OnceLock<Histogram>; OPERATIONS.len()],
    tpot: [OnceLock<Histogram>; OPERATIONS.len()],
}

/// The name of an operation in the conventions: the well-known one, else ours.
pub(super) fn operation_name(operation: Operation) -> &'static str {
    index(operation).and_then(|at| OPERATIONS.get(at)).copied().unwrap_or(operation.as_str())
}

fn index(operation: Operation) -> Option<usize> {
    match operation {
        Operation::Chat | Operation::Messages | Operation::Responses => Some(0),
        Operation::Completions => Some(1),
        Operation::Embeddings => Some(2),
        _ => None,
    }
}

impl Call {
    pub(super) fn count_gen_ai(&self, m: &Metrics, series: &Series, outcome: Outcome, duration: Duration) {
        let Some(at) = index(self.opened.operation) else { return };
        let (provider, model) = (&*series.provider, &*series.model);
        let handles = series.gen_ai.get_or_init(Box::default);
        let error = if outcome == Outcome::Ok { "" } else { outcome.as_str() };
        handles.duration[at][outcome.index()]
            .get_or_init(|| m.gen_ai_duration.with([OPERATIONS[at], provider, model, error]))
            .observe(duration);
        if let Some(ttft) = self.ttft() {
            let handle = handles.ttft[at].get_or_init(|| m.gen_ai_ttft.with([OPERATIONS[at], provider, model]));
            handle.observe(ttft);
        }
        if let Some(tpot) = self.time_per_output_token() {
            let handle = handles.tpot[at].get_or_init(|| m.gen_ai_tpot.with([OPERATIONS[at], provider, model]));
            handle.observe(tpot);
        }
    }
}
