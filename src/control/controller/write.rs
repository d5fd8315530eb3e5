//! Statuses and Events are written by the leader, each when there is news, and not more often than once in a while: ten
//! thousand sidecars that take a table within a second are a few writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::events::{Told, Verdict, event, verdicts};
use super::status::{Facts, status};
use super::{Controller, Key, State, resource};
use crate::control::crd;
use crate::control::snapshots::{Programmed, Scope};
use crate::control::tables::Origin;
use crate::telemetry::Every;
use crate::telemetry::cells::Gauge;

/// Who owns the status.
const MANAGER: &str = "faregate-control";
/// What happens shortly one after the other is told at once.
const GATHER: Duration = Duration::from_millis(200);

/// What is to be written of a table.
struct News {
    key: Key,
    uid: Option<String>,
    version: String,
    /// Where it is another than the API server's; ConfigMaps have none.
    status: Option<Value>,
    /// To be said in Events.
    verdicts: Vec<Verdict>,
}

impl Controller {
    /// Writes statuses and Events for as long as this replica leads, the same one at most once in `pause`; for ever.
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
            } else {
                self.state.lock().told.clear();
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

    /// Writes all that there is to write; says whether there was any.
    async fn write_all(&self) -> bool {
        let news = self.news();
        for about in &news {
            if let Some(status) = &about.status {
                self.write_status(&about.key, status).await;
            }
            for verdict in &about.verdicts {
                self.tell(about, verdict).await;
            }
        }
        !news.is_empty()
    }

    async fn write_status(&self, (namespace, _, name): &Key, status: &Value) {
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

    async fn tell(&self, News { key, uid, version, .. }: &News, verdict: &Verdict) {
        let (namespace, origin, name) = key;
        let api_version = match origin {
            Origin::RoutingTable => format!("{}/{}", crd::GROUP, crd::VERSION),
            Origin::ConfigMap => "v1".into(),
        };
        let object = ObjectReference {
            api_version: Some(api_version),
            kind: Some(origin.as_str().into()),
            namespace: Some(namespace.clone()),
            name: Some(name.clone()),
            uid: uid.clone(),
            ..ObjectReference::default()
        };
        let event = event(object, version, self.replicas.identity(), verdict);
        let api = Api::<Event>::namespaced(self.client.clone(), namespace);
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => {}
            // Said by an earlier leader.
            Err(kube::Error::Api(error)) if error.code == 409 => {}
            Err(error) => {
                static SAID: Every = Every::minutes(1);
                self.telemetry.metrics().control_api_errors.with(["events"]).inc();
                if let Some(more) = SAID.ready() {
                    tracing::warn!(namespace, name, %error, more, "an Event cannot be written");
                }
                return;
            }
        }
        if let Some(told) = self.state.lock().told.get_mut(key) {
            told.note(verdict.clone());
        }
    }

    /// What there is to write.
    fn news(&self) -> Vec<News> {
        let mut state = self.state.lock();
        let State { tables, told, .. } = &mut *state;
        let all = tables.iter().map(|(key, table)| {
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
            let now = Instant::now();
            let told = told.entry(key.clone()).or_insert_with(|| Told::new(&facts, &table.status, now));
            let verdicts = told.news(verdicts(&facts), now);
            let status = (*origin == Origin::RoutingTable).then(|| status(&facts, &table.status));
            let status = status.filter(|wanted| *wanted != table.status);
            News { key: key.clone(), uid: table.uid.clone(), version: table.version.clone(), status, verdicts }
        });
        all.filter(|news| news.status.is_some() || !news.verdicts.is_empty()).collect()
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
