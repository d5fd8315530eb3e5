//! Signals: stop, and stop at once.
//!
//! On SIGTERM or SIGINT listeners close, calls in flight go on for the grace time, then the process exits with 0. A
//! second signal does not wait. Readiness is off from the first moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};

use crate::gateway::Gateway;

/// How often calls in flight are counted while the process waits for them.
const LOOK: Duration = Duration::from_millis(20);

/// What stops the process.
pub(super) struct Stop {
    pub(super) gateway: Arc<Gateway>,
    pub(super) listeners: watch::Sender<bool>,
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
        tokio::select! {
            () = either(&mut terminate, &mut interrupt) => tracing::info!("stopping: calls in flight may finish"),
            () = self.replaced.notified() => tracing::info!("replaced by another process: calls in flight may finish"),
        }
        self.gateway.stop();
        let _all_gone = self.listeners.send(true);
        let deadline = Instant::now() + self.grace;
        let drained = async {
            // One look later at least: a call whose connection was just accepted has not been counted yet.
            tokio::time::sleep(LOOK).await;
            while self.gateway.calls() > 0 && Instant::now() < deadline {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = drained => {}
            () = either(&mut terminate, &mut interrupt) => tracing::warn!("stopping at once"),
        }
        match self.gateway.calls() {
            0 => tracing::info!("stopped"),
            calls => tracing::warn!(calls, "stopped; these calls were cut off"),
        }
        ShutdownSignal::GracefulTerminate
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
