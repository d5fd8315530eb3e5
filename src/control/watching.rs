//! A watch on the API server, followed for ever: what is there, what changed, what is gone.
//!
//! One list at first and one after the API server lost track, else changes only; after an error a pause that grows to
//! half a minute, jittered, so that replicas do not come back together. What a list no longer holds is gone, also when nobody
//! saw it go. Must not know what is watched. Start with [`follow`].

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;

use futures_util::{Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::utils::WatchStreamExt;
use kube::runtime::watcher::{self, Event};

use crate::telemetry::Telemetry;

/// A watch ends after so long and goes on from where it was: below the five minutes after which the API server would end
/// it in its own way.
const WATCH_SECONDS: u32 = 240;

/// The name of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    /// Its namespace; empty where it has none.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Name {
    pub(super) fn of(object: &impl ResourceExt) -> Self {
        Self { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }
}

/// News.
pub(super) enum Watched<K> {
    /// An object is there, as new or as before.
    Set(K),
    /// An object is gone.
    Gone(Name),
    /// All that was there when the watch began has been told.
    Synced,
}

/// How all watches are made.
pub(super) fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

/// Follows a watch. `what` names it in metrics and logs.
pub(super) async fn follow<K, F>(
    what: &'static str,
    stream: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    telemetry: Telemetry,
    mut tell: impl FnMut(Watched<K>) -> F,
) where
    K: ResourceExt + Clone + Send + 'static,
    F: Future<Output = ()>,
{
    let mut stream = pin!(stream.default_backoff());
    let mut there: HashSet<Name> = HashSet::new();
    let mut listed: HashSet<Name> = HashSet::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.insert(Name::of(&object));
                there.insert(Name::of(&object));
                tell(Watched::Set(object)).await;
            }
            Ok(Event::InitDone) => {
                let gone: Vec<Name> = there.difference(&listed).cloned().collect();
                there = std::mem::take(&mut listed);
                for name in gone {
                    tell(Watched::Gone(name)).await;
                }
                tell(Watched::Synced).await;
            }
            Ok(Event::Apply(object)) => {
                there.insert(Name::of(&object));
                tell(Watched::Set(object)).await;
            }
            Ok(Event::Delete(object)) => {
                let name = Name::of(&object);
                there.remove(&name);
                tell(Watched::Gone(name)).await;
            }
            // Such as the kind RoutingTable, where nobody has installed it: there is none, until there is.
            Err(watcher::Error::InitialListFailed(kube::Error::Api(status))) if status.code == 404 => {
                tracing::info!("{what}: there is no such kind in this cluster");
                if there.is_empty() {
                    tell(Watched::Synced).await;
                }
            }
            Err(error) => {
                telemetry.metrics().control_api_errors.with([what]).inc();
                tracing::warn!(%error, "watching {what} failed; trying again");
            }
        }
    }
}
