//! Every metric's name, label and bucket, once; the registry; logs; traces to a collector.
//!
//! Knows nothing of calls, routes or configuration: `metering` decides what is counted and when, `server` exposes it.
//! Start with [`table`], then [`Telemetry`].

pub mod cells;
mod collector;
mod every;
pub mod family;
pub mod lines;
pub mod logs;
mod metrics;
pub mod names;
pub mod otlp;
pub mod output;
mod process;
mod reference;
pub mod table;

pub use collector::CollectorError;
pub use every::Every;
pub use metrics::{COMMIT, CONTENT_TYPE, Metrics, TargetUp, Telemetry};
pub use reference::reference;
