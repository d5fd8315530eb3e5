//! What can be seen of a running Faregate: metrics, usage records, logs, traces, admin pages, and their documents.

mod support;

#[path = "obs/admin.rs"]
mod admin;
#[path = "obs/documents.rs"]
mod documents;
#[path = "obs/logs.rs"]
mod logs;
#[path = "obs/metrics.rs"]
mod metrics;
#[path = "obs/outputs.rs"]
mod outputs;
#[path = "obs/records.rs"]
mod records;
#[path = "obs/status.rs"]
mod status;
#[path = "obs/traces.rs"]
mod traces;
