//! Namespaces as the API server tells of them: labels and annotations, kept here so that the webhook need not ask.
//!
//! Must not know what they mean to injection. Start with [`Namespaces`]; [`watch`] fills it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1;
use kube::api::PartialObjectMeta;
use kube::runtime::watcher;
use parking_lot::RwLock;
use tokio::sync::watch::{self, Receiver};

use super::inject::Namespace;
use super::watching::{self, Watched};
use crate::telemetry::Telemetry;

/// A namespace and its first pod may be made in one breath: so long is waited for the news of it.
const PATIENCE: Duration = Duration::from_secs(1);

/// All namespaces that are known.
pub struct Namespaces {
    all: RwLock<HashMap<String, Arc<Namespace>>>,
    /// How often something changed.
    changes: watch::Sender<u64>,
}

impl Default for Namespaces {
    fn default() -> Self {
        Self { all: RwLock::default(), changes: watch::Sender::new(0) }
    }
}

impl Namespaces {
    /// A namespace as it was last seen.
    pub fn get(&self, name: &str) -> Option<Arc<Namespace>> {
        self.all.read().get(name).cloned()
    }

    /// A namespace, waited for a moment where it was not seen yet.
    pub async fn wait_for(&self, name: &str) -> Option<Arc<Namespace>> {
        let mut changes = self.changes.subscribe();
        let seen = async {
            loop {
                if let Some(namespace) = self.get(name) {
                    return Some(namespace);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.unwrap_or(None)
    }

    /// Hears of changes.
    pub fn changes(&self) -> Receiver<u64> {
        self.changes.subscribe()
    }

    fn set(&self, namespace: Namespace) {
        let known = self.all.write().insert(namespace.name.clone(), Arc::new(namespace.clone()));
        if known.is_none_or(|known| *known != namespace) {
            self.changes.send_modify(|n| *n += 1);
        }
    }

    fn remove(&self, name: &str) {
        if self.all.write().remove(name).is_some() {
            self.changes.send_modify(|n| *n += 1);
        }
    }
}

/// Keeps `namespaces` up to date, for ever. `synced` turns true once all are known.
pub(super) async fn watch(
    client: kube::Client,
    namespaces: Arc<Namespaces>,
    synced: watch::Sender<bool>,
    telemetry: Telemetry,
) {
    let api = kube::Api::<PartialObjectMeta<v1::Namespace>>::all(client);
    let stream = watcher::watcher(api, watching::config());
    watching::follow("namespaces", stream, telemetry, |event| {
        match event {
            Watched::Set(object) => namespaces.set(namespace(object)),
            Watched::Gone(name) => namespaces.remove(&name.name),
            Watched::Synced => {
                let _nobody_waits = synced.send_replace(true);
            }
        }
        std::future::ready(())
    })
    .await;
}

fn namespace(object: PartialObjectMeta<v1::Namespace>) -> Namespace {
    let metadata = object.metadata;
    Namespace {
        name: metadata.name.unwrap_or_default(),
        labels: metadata.labels.unwrap_or_default(),
        // `kubectl apply` keeps the whole object in one of them.
        annotations: {
            let mut annotations = metadata.annotations.unwrap_or_default();
            annotations.retain(|name, _| name.starts_with("faregate.dev/"));
            annotations
        },
    }
}
