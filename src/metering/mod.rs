//! The record of one call, reported when it is dropped: metrics, usage record, log line, spans.
//!
//! Knows nothing of sockets, routing or wire formats: the gateway tells an [`Exchange`] what happens, in order, and
//! however the call ends, `Drop` reports it exactly once. Start with [`Meter::open`], then [`Exchange`]; what is
//! counted where stands in `settle`, and what is compared with duplicates of calls in `paired`.

mod attempt;
mod clock;
mod cost;
mod exchange;
mod gen_ai;
mod line;
mod meter;
mod outcome;
mod paired;
mod passed;
mod random;
mod record;
mod request_id;
mod requested;
mod router;
mod settle;
mod spans;
mod target;
mod totals;
mod trace;

#[cfg(test)]
mod tests;

pub use cost::{Charge, CostRecord};
pub use exchange::{Exchange, Opened, SoFar};
pub use meter::{Meter, MeterError, MeterOptions, TraceOptions};
pub use outcome::Outcome;
pub use paired::{Compared, Difference, MoneyCompared, Pair, Skipped, TimeCompared};
pub use record::{AttemptRecord, Overhead, Record, UsageState};
pub use request_id::RequestId;
pub use router::RouterRecord;
pub use target::TargetMeter;
pub use totals::{Buckets, Served, Totals};
pub use trace::TraceParent;
