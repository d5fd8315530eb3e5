//! From the tables that stand in the cluster to those that sidecars get: watches RoutingTables and labelled ConfigMaps,
//! publishes what is good, and says in the status of each what became of it.
//!
//! The tables of Faregate's own namespace serve the cluster, those of another namespace serve that. A bad table changes
//! nothing but its status: the last good one stays. Nothing is published before everything was seen once, so that no
//! sidecar gets the cluster's table for the moment before its own is known.
//!
//! - [`status`]: what the status of a table says. Pure.
//! - [`events`]: what Events say of it, for ConfigMaps too. Pure.
//! - [`write`]: who writes both, and when.
//!
//! Must not know how tables travel. Start with [`Controller::run`].

mod events;
mod status;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use self::events::Told;
use super::crd;
use super::replicas::Replicas;
use super::snapshots::{Scope, Snapshots};
use super::tables::{self, Candidate, Known, Origin};
use super::watching::{self, Watched};
use crate::telemetry::Telemetry;

/// The controller.
pub(super) struct Controller {
    pub(super) client: Client,
    /// Faregate's own namespace, whose table is the cluster's.
    pub(super) namespace: String,
    pub(super) snapshots: Arc<Snapshots>,
    pub(super) replicas: Arc<Replicas>,
    pub(super) known: Arc<Known>,
    pub(super) telemetry: Telemetry,
    state: Mutex<State>,
    /// Something changed that a status may have to tell.
    changed: Notify,
    /// Everything was seen once.
    synced: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    tables: BTreeMap<Key, Table>,
    /// What Events have said of each, by this process.
    told: BTreeMap<Key, Told>,
    /// The watches that have seen everything once.
    seen: BTreeSet<Origin>,
}

/// An object with a table: namespace, what it is, name.
type Key = (String, Origin, String);

/// A table as it was last seen.
struct Table {
    candidate: Candidate,
    uid: Option<String>,
    /// The object's when it got this table; what is changed of it besides does not count.
    version: String,
    generation: Option<i64>,
    /// Its status, as the API server has it.
    status: Value,
}

impl Controller {
    /// Nothing is known yet.
    pub(super) fn new(
        client: Client,
        namespace: String,
        snapshots: Arc<Snapshots>,
        replicas: Arc<Replicas>,
        known: Arc<Known>,
        telemetry: Telemetry,
    ) -> Arc<Self> {
        let (state, synced) = (Mutex::default(), watch::Sender::new(false));
        Arc::new(Self {
            client,
            namespace,
            snapshots,
            replicas,
            known,
            telemetry,
            state,
            changed: Notify::new(),
            synced,
        })
    }

    /// Turns true once every table was seen.
    pub(super) fn synced(&self) -> watch::Receiver<bool> {
        self.synced.subscribe()
    }

    /// Watches and publishes, for ever. [`Controller::write`] is run beside it.
    pub(super) async fn run(self: Arc<Self>) {
        let resources = Api::<DynamicObject>::all_with(self.client.clone(), &resource());
        let resources = watcher::watcher(resources, watching::config());
        let maps = Api::<ConfigMap>::all(self.client.clone());
        let maps = watcher::watcher(maps, watching::config().labels(&format!("{}=true", tables::LABEL)));
        tokio::join!(
            watching::follow("routing_tables", resources, self.telemetry.clone(), |event| {
                self.take(Origin::RoutingTable, event);
                std::future::ready(())
            }),
            watching::follow("config_maps", maps, self.telemetry.clone(), |event| {
                self.take(Origin::ConfigMap, event);
                std::future::ready(())
            }),
        );
    }

    fn take<K: ResourceExt + Serialize>(&self, origin: Origin, event: Watched<K>) {
        match event {
            Watched::Set(object) => self.set(origin, &object),
            Watched::Gone(name) => {
                self.known.remove(&name.namespace, origin, &name.name);
                let mut state = self.state.lock();
                let key = (name.namespace, origin, name.name);
                state.tables.remove(&key);
                state.told.remove(&key);
                self.apply(&state, &key.0);
            }
            Watched::Synced => {
                let mut state = self.state.lock();
                let before = is_synced(&state);
                state.seen.insert(origin);
                if is_synced(&state) && !before {
                    let namespaces: BTreeSet<&String> = state.tables.keys().map(|(namespace, ..)| namespace).collect();
                    namespaces.into_iter().for_each(|namespace| self.apply(&state, namespace));
                    let _nobody_waits = self.synced.send_replace(true);
                }
            }
        }
        self.changed.notify_one();
    }

    fn set<K: ResourceExt + Serialize>(&self, origin: Origin, object: &K) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let (generation, value) = (object.meta().generation, serde_json::to_value(object).unwrap_or_default());
        let key = (namespace.clone(), origin, name.clone());
        let status = value.get("status").cloned().unwrap_or_default();
        // A status that was written is news without being another table.
        if let Some(table) = self.state.lock().tables.get_mut(&key)
            && origin == Origin::RoutingTable
            && table.generation == generation
            && generation.is_some()
            // One that was deleted and made anew unseen begins at the same generation.
            && table.uid == object.uid()
        {
            table.status = status;
            return;
        }
        let candidate = tables::read(origin, &value);
        for error in &candidate.errors {
            tracing::warn!(namespace, name, kind = origin.as_str(), %error, "a routing table is refused");
        }
        self.known.insert(&namespace, origin, &name);
        let mut state = self.state.lock();
        let (uid, version) = (object.uid(), object.resource_version().unwrap_or_default());
        let before = state.tables.get(&key).filter(|before| before.candidate.is_same(&candidate) && before.uid == uid);
        let version = before.map_or(version, |before| before.version.clone());
        state.tables.insert(key, Table { candidate, uid, version, generation, status });
        self.apply(&state, &namespace);
    }

    /// Publishes what a namespace's objects say, once all are known.
    fn apply(&self, state: &State, namespace: &str) {
        if !is_synced(state) {
            return;
        }
        let scope = self.scope(namespace);
        let Some((origin, name)) = self.known.used(namespace) else {
            if self.snapshots.withdraw(&scope) {
                tracing::info!(namespace, "the routing table is gone");
            }
            return;
        };
        let table = state.tables.get(&(namespace.to_owned(), origin, name.clone()));
        match table.map(|table| &table.candidate.snapshot) {
            Some(Some(snapshot)) => {
                let hash = &*snapshot.hash;
                if self.snapshots.publish(scope, snapshot.clone()) {
                    tracing::info!(namespace, name, kind = origin.as_str(), hash, "a routing table was published");
                }
            }
            // The last good one stays; where none is known, nothing stands in for it.
            Some(None) if scope != Scope::Cluster => self.snapshots.hold(namespace),
            Some(None) | None => {}
        }
    }

    /// For whom the tables of a namespace are.
    fn scope(&self, namespace: &str) -> Scope {
        if namespace == self.namespace { Scope::Cluster } else { Scope::Namespace(namespace.to_owned()) }
    }
}

fn is_synced(state: &State) -> bool {
    state.seen.len() == 2
}

/// The kind `RoutingTable`, as the client asks for it.
fn resource() -> ApiResource {
    ApiResource {
        group: crd::GROUP.into(),
        version: crd::VERSION.into(),
        api_version: format!("{}/{}", crd::GROUP, crd::VERSION),
        kind: crd::KIND.into(),
        plural: crd::PLURAL.into(),
    }
}
