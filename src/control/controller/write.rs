//! Statuses are written by the leader, each when it changed, and not more often than once in a while: ten thousand sidecars
//! that take a table within a second are a few writes.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::status::{Facts, status};
use super::{Controller, Key, resource};
use crate::control::crd;
use crate::control::snapshots::{Programmed, Scope};
use crate::control::tables::Origin;
use crate::telemetry::cells::Gauge;

/// Who owns the status.
const MANAGER: &str = "faregate-control";
/// What happens shortly one after the other is told at once.
const GATHER: Duration = Duration::from_millis(200);

impl Controller {
    /// Writes statuses for as long as this replica leads, the same one at most once in `pause`; for ever.
    pub(in crate::control) async fn write(self: Arc<Self>, mut leads: watch::Receiver<bool>, pause: Duration) {
        let mut progress = self.snapshots.progress();
        let mut synced = self.synced();
        drop(synced.wait_for(|synced| *synced).await);
        loop {
            tokio::time::sleep(GATHER).await;
            progress.mark_unchanged();
            self.show();
            if *leads.borrow_and_update() {
                let written = self.write_all().await;
                tokio::time::sleep(if written { pause } else { GATHER }).await;
            }
            tokio::select! {
                () = self.changed.notified() => {}
                _ = progress.changed() => {}
                () = self.replicas.changed() => {}
                changed = leads.changed() => if changed.is_err() { return },
                // An attempt that failed is made again.
                () = tokio::time::sleep(pause.max(GATHER) * 10) => {}
            }
        }
    }

    /// Writes every status that is another than the API server's; says whether there was any.
    async fn write_all(&self) -> bool {
        let wanted = self.wanted();
        for ((namespace, _, name), status) in &wanted {
            let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &resource());
            let patch = json!({
                "apiVersion": format!("{}/{}", crd::GROUP, crd::VERSION), "kind": crd::KIND,
                "metadata": { "name": name }, "status": status,
            });
            match api.patch_status(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(patch)).await {
                Ok(_) => {}
                // Deleted meanwhile.
                Err(kube::Error::Api(error)) if error.code == 404 => {}
                Err(error) => {
                    self.telemetry.metrics().control_api_errors.with(["status"]).inc();
                    tracing::warn!(namespace, name, %error, "the status of a RoutingTable cannot be written");
                }
            }
        }
        !wanted.is_empty()
    }

    /// The statuses that should be other than they are.
    fn wanted(&self) -> Vec<(Key, Value)> {
        let state = self.state.lock();
        let resources = state.tables.iter().filter(|((_, origin, _), _)| *origin == Origin::RoutingTable);
        let all = resources.map(|(key, table)| {
            let (namespace, origin, name) = key;
            let scope = self.scope(namespace);
            let unused = self.known.beside(*origin, namespace, name);
            let in_force = self.in_force(&scope);
            let (sidecars, silent) =
                if unused.is_none() { self.replicas.programmed(&scope) } else { (Programmed::default(), 0) };
            let facts = Facts {
                generation: table.generation,
                candidate: &table.candidate,
                shadowed: if unused.is_none() { self.known.shadowed(namespace) } else { Vec::new() },
                unused,
                in_force,
                sidecars,
                silent,
                now: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            };
            (key.clone(), status(&facts, &table.status), &table.status)
        });
        all.filter(|(_, wanted, status)| wanted != *status).map(|(key, wanted, _)| (key, wanted)).collect()
    }

    /// The hash of the table that is handed out in a scope.
    fn in_force(&self, scope: &Scope) -> Option<String> {
        let namespace = if let Scope::Namespace(name) = scope { name } else { "" };
        let published = self.snapshots.current(namespace).filter(|published| published.scope == *scope);
        published.map(|published| published.snapshot.hash.to_string())
    }

    /// The tables as metrics.
    fn show(&self) {
        let state = self.state.lock();
        let rows: Vec<(&Key, &str)> = state
            .tables
            .iter()
            .map(|(key, table)| {
                let (namespace, origin, name) = key;
                let used = self.known.used(namespace).is_some_and(|(o, n)| o == *origin && n == *name);
                let state = match (used, table.candidate.snapshot.is_some()) {
                    (false, _) => "unused",
                    (true, true) => "accepted",
                    (true, false) => "refused",
                };
                (key, state)
            })
            .collect();
        let gauges = rows.iter().map(|((namespace, origin, name), state)| {
            let gauge = Gauge::default();
            gauge.set(1);
            ([namespace.as_str(), origin.as_str(), name.as_str(), *state], gauge)
        });
        self.telemetry.metrics().control_tables.replace(gauges);
    }
}
