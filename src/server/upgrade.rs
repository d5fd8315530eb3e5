//! The two ends of an upgrade in a process's life: relieving the one before it, and being relieved by the next.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};

use super::handover::{Offer, Old};
use super::listen::Bound;
use super::notify;
use crate::config::file::Server;

/// What is needed to take over and to hand over.
pub(super) struct Upgrade {
    old: Option<Old>,
    /// The socket, and the listeners that go over it.
    offer: Option<(PathBuf, TcpListener, TcpListener)>,
    replaced: Arc<Notify>,
    stops: watch::Receiver<bool>,
}

impl Upgrade {
    pub(super) fn new(
        server: &Server,
        [api, admin]: [&Bound; 2],
        old: Option<Old>,
        replaced: Arc<Notify>,
        stops: watch::Receiver<bool>,
    ) -> Self {
        let listeners = || Some((api.listener().try_clone().ok()?, admin.listener().try_clone().ok()?));
        let offer = server.upgrade_socket.clone().and_then(|path| {
            let (api, admin) = listeners()?;
            Some((path, api, admin))
        });
        Self { old, offer, replaced, stops }
    }

    /// Waits until this process serves, relieves the old one, and waits for the next. Ends when this process stops,
    /// and closes its copies of the listeners.
    pub(super) async fn run(mut self, serving: Arc<Notify>) {
        // Before anything else: unhandled, this signal would end the process.
        let Ok(asked) = signal(SignalKind::user_defined2()) else { return };
        serving.notified().await;
        if let Some(old) = self.old.take() {
            match tokio::task::spawn_blocking(move || old.relieve()).await {
                Ok(Ok(())) => tracing::info!("taken over from the process before"),
                Ok(Err(error)) => tracing::warn!(%error, "the process before did not say that it goes"),
                Err(_) => {}
            }
        }
        notify::ready();
        let offer = self.offer.take().and_then(|(path, api, admin)| {
            let offer = Offer::open(&path, api, admin);
            let failed = |error: &_| tracing::error!(%error, socket = %path.display(), "server.upgrade_socket");
            offer.inspect_err(failed).ok()
        });
        let taken = async {
            match &offer {
                Some(offer) => offer.taken().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = taken => self.replaced.notify_one(),
            () = start_next_on_signal(asked, offer.is_some()) => {}
            _ = self.stops.wait_for(|stop| *stop) => {}
        }
    }
}

/// SIGUSR2: starts a process of this program, with the same arguments, that takes over.
async fn start_next_on_signal(mut asked: Signal, offered: bool) {
    while asked.recv().await.is_some() {
        if !offered {
            tracing::error!("SIGUSR2: no process can take over without `server.upgrade_socket`");
            continue;
        }
        match start_next() {
            Ok(pid) => tracing::info!(pid, "started the process that is to take over"),
            Err(error) => tracing::error!(%error, "the process that is to take over cannot be started"),
        }
    }
}

fn start_next() -> std::io::Result<u32> {
    let mut args = std::env::args_os();
    let program = args.next().ok_or(std::io::ErrorKind::NotFound)?;
    let args = args.filter(|arg| arg != "--upgrade");
    let mut next = std::process::Command::new(program).args(args).arg("--upgrade").spawn()?;
    let pid = next.id();
    // Whoever starts a process must hear of its end.
    std::thread::Builder::new().name("next".into()).spawn(move || match next.wait() {
        Ok(status) if !status.success() => tracing::error!(pid, %status, "the process that was to take over failed"),
        _ => {}
    })?;
    Ok(pid)
}
