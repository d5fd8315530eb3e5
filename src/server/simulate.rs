//! The simulated provider's place in this process: a listener on loopback, opened when a table first needs it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::h1::Handler;
use super::listen::Bound;
use crate::config::file::Simulate;
use crate::gateway::{Answer, Downstream, End};
use crate::http1::RequestHead;
use crate::routing::Provider;
use crate::simulated;

/// Where simulated providers live.
#[derive(Default)]
pub(super) struct SimulatedHost {
    listener: Mutex<Option<(SocketAddr, Option<Bound>)>>,
    opened: Notify,
    settings: ArcSwap<HashMap<String, Simulate>>,
}

impl SimulatedHost {
    /// The listener's address; opens it when called first.
    ///
    /// # Errors
    /// There is no port to be had.
    pub(super) fn address(&self) -> Result<SocketAddr, String> {
        let mut listener = self.listener.lock();
        if let Some((address, _)) = &*listener {
            return Ok(*address);
        }
        let bound = Bound::open((Ipv4Addr::LOCALHOST, 0).into()).map_err(|error| error.to_string())?;
        let address = bound.address;
        *listener = Some((address, Some(bound)));
        self.opened.notify_one();
        Ok(address)
    }

    /// Takes over the settings of a table's simulated providers.
    pub(super) fn configure(&self, providers: &[Arc<Provider>]) {
        let settings: HashMap<String, Simulate> = providers
            .iter()
            .filter_map(|provider| Some((provider.name.to_string(), provider.simulated.clone()?)))
            .collect();
        if *self.settings.load_full() != settings {
            self.settings.store(Arc::new(settings));
        }
    }

    /// Waits until there is a listener, and takes it.
    pub(super) async fn bound(&self) -> Bound {
        loop {
            if let Some((_, bound)) = &mut *self.listener.lock()
                && let Some(bound) = bound.take()
            {
                return bound;
            }
            self.opened.notified().await;
        }
    }
}

/// Answers calls to simulated providers.
pub(super) struct Simulated(pub(super) Arc<SimulatedHost>);

impl Handler for Simulated {
    async fn call<D: Downstream>(&self, head: &RequestHead, down: &mut D, _: Instant) {
        let bare = head.path().trim_start_matches('/');
        let (name, _) = bare.split_once('/').unwrap_or((bare, ""));
        let settings = self.0.settings.load_full();
        match settings.get(name) {
            Some(settings) => simulated::serve(settings, head, &bare[name.len()..], down).await,
            None => {
                let body = bytes::Bytes::from_static(b"{\"error\":{\"message\":\"no such simulated provider\"}}");
                down.start(&Answer::json(404, &body));
                let _gone = down.send(&[body], End::Now(None)).await;
            }
        }
    }
}
