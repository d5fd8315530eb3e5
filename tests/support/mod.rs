//! What the integration tests stand on: the real binary, a scripted upstream, a client that speaks bytes.
//!
//! Nothing here waits for a time to pass: tests wait for events, each wait with a bound ([`PATIENCE`]) that only a
//! broken program reaches. Start with [`Faregate::start`] and [`Upstream::start`]; `table` writes the usual
//! configurations.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

mod client;
mod gate;
pub mod h2;
mod http;
mod metrics;
mod peer;
mod process;
mod prometheus;
mod records;
pub mod table;
pub mod tls;
mod upstream;

pub use client::{Client, Response, get, post};
pub use gate::{Gate, eventually};
pub use http::{Head, decode_chunked};
pub use metrics::Metrics;
pub use peer::{Peer, Request};
pub use process::{Faregate, Setup};
pub use prometheus::{Prometheus, promtool};
pub use records::{Record, attempt_outcomes};
pub use upstream::{Blackhole, Upstream, refusing};

use std::time::Duration;

/// No wait is longer. Far beyond what anything takes, also on a slow machine under load.
pub const PATIENCE: Duration = Duration::from_secs(30);
