//! Health and metrics of the control plane, on a port of its own: plain HTTP, for kubelet and Prometheus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::watch;

use super::certificates::Certificates;
use super::http::{Handler, Whole, page, text};
use super::replicas::{self, Replicas};
use crate::runbooks;
use crate::telemetry::{CONTENT_TYPE, Telemetry};

/// Answers the admin port.
pub(super) struct Admin {
    pub(super) certificates: Certificates,
    /// What must have been seen once before questions can be answered, by its name.
    pub(super) synced: Vec<(&'static str, watch::Receiver<bool>)>,
    /// What this replica tells the leader.
    pub(super) replicas: Arc<Replicas>,
    pub(super) stopping: AtomicBool,
    pub(super) telemetry: Telemetry,
}

impl Admin {
    /// What is still missing; nothing once this replica can serve.
    fn missing(&self) -> Vec<&'static str> {
        let mut missing: Vec<_> =
            self.synced.iter().filter(|(_, synced)| !*synced.borrow()).map(|(name, _)| *name).collect();
        if !self.certificates.is_there() {
            missing.push("a certificate");
        }
        missing
    }

    fn ready(&self) -> Response<Whole> {
        if self.stopping.load(Ordering::Acquire) {
            return text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
        }
        let missing = self.missing();
        if missing.is_empty() {
            return text(StatusCode::OK, "ready\n");
        }
        text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready, still without {}\n", missing.join(", ")))
    }
}

impl Handler for Admin {
    async fn answer(&self, request: Request<Incoming>) -> Response<Whole> {
        let path = request.uri().path();
        let runbook = runbooks::at(path);
        if runbook.is_none() && !matches!(path, "/healthz" | "/readyz" | "/metrics" | replicas::PATH) {
            return text(StatusCode::NOT_FOUND, "here are /healthz, /readyz, /metrics, /sidecars and /runbooks/\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET here\n");
        }
        match path {
            "/metrics" => page(StatusCode::OK, CONTENT_TYPE, self.telemetry.exposition()),
            "/readyz" => self.ready(),
            replicas::PATH => {
                let report = serde_json::to_vec(&self.replicas.report()).unwrap_or_default();
                page(StatusCode::OK, "application/json", report)
            }
            _ => text(StatusCode::OK, runbook.unwrap_or("ok\n")),
        }
    }
}
