//! Signals: stop, stop at once, and be replaced.
//!
//! On SIGTERM or SIGINT readiness goes off, listeners close, calls in flight go on for the grace time, then the process
//! exits with 0. A second signal does not wait. A process that has been replaced also waits for its clients' idle
//! connections: each is told with its next answer to close, so that no client finds one closed under it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};

use super::notify;
use crate::gateway::Gateway;

/// How often calls in flight are counted while the process waits for them.
const LOOK: Duration = Duration::from_millis(20);
/// So many looks in a row must find none: a call whose connection was just accepted has not been counted yet.
const QUIET_LOOKS: u32 = 5;

/// What stops the process.
pub(super) struct Stop {
    pub(super) gateway: Arc<Gateway>,
    /// The API's listener and its HTTP/2 connections.
    pub(super) api: watch::Sender<bool>,
    /// The admin listener, which only a replaced process closes.
    pub(super) admin: watch::Sender<bool>,
    /// Connections to the API's listener.
    pub(super) connections: Arc<AtomicUsize>,
    pub(super) grace: Duration,
    /// Another process has taken the listeners over.
    pub(super) replaced: Arc<Notify>,
}

#[async_trait]
impl ShutdownSignalWatch for Stop {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::error!("signals cannot be received");
            return ShutdownSignal::FastShutdown;
        };
        let replaced = tokio::select! {
            () = either(&mut terminate, &mut interrupt) => false,
            () = self.replaced.notified() => true,
        };
        self.gateway.stop();
        let _all_gone = self.api.send(true);
        if replaced {
            tracing::info!("replaced by another process: calls in flight may finish");
            let _all_gone = self.admin.send(true);
        } else {
            tracing::info!("stopping: calls in flight may finish");
            notify::stopping();
        }
        tokio::select! {
            () = self.drained(replaced) => {}
            () = either(&mut terminate, &mut interrupt) => tracing::warn!("stopping at once"),
        }
        match self.gateway.calls() {
            0 => tracing::info!("stopped"),
            calls => tracing::warn!(calls, "stopped; these calls were cut off"),
        }
        ShutdownSignal::GracefulTerminate
    }
}

impl Stop {
    /// Nothing is in flight any more, or the grace time is over.
    async fn drained(&self, connections_too: bool) {
        let deadline = Instant::now() + self.grace;
        let mut quiet = 0;
        while quiet < QUIET_LOOKS && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
            let connections = if connections_too { self.connections.load(Ordering::Acquire) } else { 0 };
            quiet = if self.gateway.calls() + connections == 0 { quiet + 1 } else { 0 };
        }
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
