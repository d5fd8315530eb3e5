//! What runs beside the calls, on a thread of its own: the admin listener, reloads, and files that are read again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

use super::admin::Admin;
use super::follow;
use super::h1::{Manners, serve_connection};
use super::listen::{Accepting, Bound};
use super::reload::Reloader;
use super::upgrade::Upgrade;
use super::watch::FileWatch;

/// How often keys are looked at for a change, and idle connections for their age.
const TEND: Duration = Duration::from_secs(2);

pub(super) struct ControlParts {
    pub(super) bound: Bound,
    pub(super) stops: watch::Receiver<bool>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) manners: Arc<Manners>,
    pub(super) serving: Arc<Notify>,
    pub(super) upgrade: Upgrade,
}

/// The admin listener, reload and what else is not on a call's way, on a thread of its own.
pub(super) struct ControlService(pub(super) Option<ControlParts>);

#[async_trait]
impl Service for ControlService {
    async fn start_service(&mut self, _: Option<ListenFds>, _: ShutdownWatch, _: usize) {
        let Some(ControlParts { bound, stops, reloader, manners, serving, upgrade }) = self.0.take() else { return };
        tokio::spawn(on_file_change(reloader.clone()));
        tokio::spawn(on_hangup(reloader.clone()));
        tokio::spawn(tend(reloader.clone()));
        tokio::spawn(upgrade.run(serving));
        if let Some(control) = reloader.control.clone() {
            tokio::spawn(follow::run(control, reloader.clone()));
        }
        let serve = move |stream| {
            let handler = Arc::new(Admin::new(reloader.clone(), &stream));
            serve_connection(handler, stream, manners.clone())
        };
        // Metrics and health are served to the end, unless another process serves them already.
        bound.accept(Accepting { tls: None, max: 0, stop: stops, open: Arc::default(), workers: None }, serve).await;
    }

    fn name(&self) -> &str {
        "control"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

async fn on_file_change(reloader: Arc<Reloader>) {
    let files = || reloader.files.lock().clone();
    let mut watch = FileWatch::new(files());
    // What changed between the first reading and the watch would be seen by neither.
    if reloader.source().path().is_some() {
        reloader.reload_if_new("file changed").await;
    }
    loop {
        let changed = tokio::select! {
            changed = watch.changed() => changed,
            () = reloader.files_changed.notified() => {
                watch.set(files());
                continue;
            }
        };
        if changed.iter().any(|path| Some(&**path) == reloader.source().path()) {
            reloader.reload_if_new("file changed").await;
        } else if changed.iter().any(|path| reloader.prices.lock().contains(path)) {
            let _logged = reloader.reload("prices changed").await;
        } else {
            tracing::info!(?changed, "files changed: keys and certificates are read again");
            refresh(&reloader).await;
        }
    }
}

async fn on_hangup(reloader: Arc<Reloader>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        reloader.gateway.meter.reopen();
        let _logged = reloader.reload("SIGHUP").await;
    }
}

async fn tend(reloader: Arc<Reloader>) {
    loop {
        tokio::time::sleep(TEND).await;
        refresh(&reloader).await;
    }
}

async fn refresh(reloader: &Arc<Reloader>) {
    let reloader = reloader.clone();
    let _done = tokio::task::spawn_blocking(move || reloader.refresh()).await;
}
