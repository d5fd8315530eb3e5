//! Faregate: an LLM gateway that runs beside every pod.
//!
//! # Layout
//!
//! A call flows `server` -> `gateway` -> `upstream` and back; everything else serves that path.
//!
//! - [`server`]: listeners, HTTP in, admin port, reload, shutdown.
//! - [`gateway`]: the life of a call: decode, attempts, relay, rescue.
//! - [`upstream`]: connections, pools, TLS, credentials, URLs.
//! - [`routing`]: configuration compiled to an immutable table; match, select, health.
//! - [`dialect`]: wire formats of LLM APIs; pure, no I/O.
//! - [`http1`]: the HTTP/1.1 codec; pure, no I/O.
//! - [`fetch`]: one blocking HTTP/1.1 request, for exporters and subcommands.
//! - [`chat`]: plain data that dialects share.
//! - [`config`]: as-typed configuration, validation, presets, JSON Schema.
//! - [`metering`]: the record of one call, reported on `Drop`.
//! - [`pricing`]: price cards, what a call costs, markup; exact, pure.
//! - [`telemetry`]: metric names, the registry, logs, traces.
//! - [`runbooks`]: the page of each alert.
//! - [`simulated`]: the built-in provider for demos, load tests and fire drills.
//! - [`distribution`]: how routing tables travel from a control plane to processes that serve calls.
//! - [`billing`]: one bill over all providers from usage records or counters, and advice on going direct.
//! - `control`: the sidecar's injection into pods of Kubernetes (cargo feature `control`).
//! - [`cli`]: the subcommands.
//!
//! Who may import whom is kept by `tests/architecture.rs`; ARCHITECTURE.md tells the story.

pub mod billing;
pub mod chat;
pub mod cli;
pub mod config;
#[cfg(feature = "control")]
pub mod control;
pub mod dialect;
pub mod distribution;
pub mod error;
pub mod fetch;
pub mod gateway;
pub mod http1;
pub mod metering;
pub mod pricing;
pub mod routing;
pub mod runbooks;
pub mod server;
pub mod simulated;
pub mod telemetry;
pub mod upstream;
pub mod wire;
