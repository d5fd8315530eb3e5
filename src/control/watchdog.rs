//! Pods that should have the sidecar and have none, and pods whose sidecar is not what they would get now: made while the
//! webhook was away, or before the settings changed.
//!
//! Pods are seen by their metadata alone, by one watch of the leader's. That shows neither an operating system (a pod of
//! Windows counts until its label says no) nor whether a container is there, but the annotation that tells what was
//! injected. Start with [`Watchdog::run`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::inject::{INJECT, Injector, Namespace};
use super::namespaces::Namespaces;
use super::watching::{self, Name, Watched};
use crate::telemetry::Telemetry;
use crate::telemetry::cells::Gauge;

/// Pods that run or will, and not on their node's network.
const FIELDS: &str = "status.phase!=Succeeded,status.phase!=Failed,spec.hostNetwork!=true";
/// Pods are counted at most so often.
const PAUSE: Duration = Duration::from_secs(1);

/// Counts pods.
pub(super) struct Watchdog {
    pub(super) client: Client,
    pub(super) injector: Arc<ArcSwap<Injector>>,
    pub(super) namespaces: Arc<Namespaces>,
    pub(super) telemetry: Telemetry,
}

/// Pods that are seen, each with the part of its metadata that injection looks at.
#[derive(Default)]
struct Seen {
    pods: Mutex<HashMap<Name, Value>>,
    changed: Notify,
}

impl Watchdog {
    /// Counts for as long as this replica leads; for ever.
    pub(super) async fn run(self, mut leads: watch::Receiver<bool>) {
        while leads.wait_for(|leads| *leads).await.is_ok() {
            let seen = Seen::default();
            tokio::select! {
                () = self.watch(&seen) => {}
                () = self.count(&seen) => {}
                _ = leads.wait_for(|leads| !*leads) => {}
            }
            // The next leader counts; what this one knew is old.
            let metrics = self.telemetry.metrics();
            metrics.control_uninjected_pods.replace([]);
            metrics.control_outdated_pods.replace([]);
        }
    }

    async fn watch(&self, seen: &Seen) {
        let config = watching::config().labels(&format!("{INJECT}!=false")).fields(FIELDS);
        let stream = watcher::watcher(Api::<PartialObjectMeta<Pod>>::all(self.client.clone()), config);
        watching::follow("pods", stream, self.telemetry.clone(), |event| {
            match event {
                Watched::Set(pod) => drop(seen.pods.lock().insert(Name::of(&pod), trimmed(pod))),
                Watched::Gone(name) => drop(seen.pods.lock().remove(&name)),
                Watched::Synced => {}
            }
            seen.changed.notify_one();
            std::future::ready(())
        })
        .await;
    }

    async fn count(&self, seen: &Seen) {
        let mut namespaces = self.namespaces.changes();
        let mut look = tokio::time::interval(PAUSE * 30);
        loop {
            tokio::select! {
                () = seen.changed.notified() => {}
                _ = namespaces.changed() => {}
                // Settings may have changed.
                _ = look.tick() => {}
            }
            let injector = self.injector.load_full();
            let counts = count(&seen.pods.lock(), &injector, &|name| self.namespaces.get(name));
            let rows = |of: fn(&Count) -> i64| {
                counts.iter().map(move |(namespace, count)| {
                    let gauge = Gauge::default();
                    gauge.set(of(count));
                    ([namespace.as_str()], gauge)
                })
            };
            let metrics = self.telemetry.metrics();
            metrics.control_uninjected_pods.replace(rows(|count| count.uninjected));
            metrics.control_outdated_pods.replace(rows(|count| count.outdated));
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What is wrong in one namespace.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    uninjected: i64,
    outdated: i64,
}

/// Counts the pods of every namespace in which any asks.
fn count(
    pods: &HashMap<Name, Value>,
    injector: &Injector,
    namespace: &dyn Fn(&str) -> Option<Arc<Namespace>>,
) -> BTreeMap<String, Count> {
    let mut counts = BTreeMap::<String, Count>::new();
    for (name, pod) in pods {
        let Some(namespace) = namespace(&name.namespace) else { continue };
        let (has, asks) = (Injector::template_of(pod), injector.is_asked(pod, &namespace));
        if !asks && has.is_none() {
            continue;
        }
        let count = counts.entry(name.namespace.clone()).or_default();
        match has {
            None => count.uninjected += 1,
            // One that asks no more keeps what it has until it is made anew.
            Some(has) if asks && injector.template(pod, &namespace).is_some_and(|now| now != has) => {
                count.outdated += 1
            }
            Some(_) => {}
        }
    }
    counts
}

/// A pod as far as injection looks at its metadata.
fn trimmed(pod: PartialObjectMeta<Pod>) -> Value {
    let metadata = pod.metadata;
    let mut annotations = metadata.annotations.unwrap_or_default();
    annotations.retain(|name, _| name.starts_with("faregate.dev/") || name == "kubernetes.io/config.mirror");
    json!({ "metadata": {
        "labels": metadata.labels.unwrap_or_default(),
        "annotations": annotations,
        "ownerReferences": metadata.owner_references.unwrap_or_default(),
    } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::inject::{Decision, Settings};

    fn injector(image: &str) -> Injector {
        Injector::new(Settings { image: image.into(), ..Settings::default() }).unwrap()
    }

    fn named(namespace: &str, name: &str) -> Name {
        Name { namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn pods_are_held_against_what_they_would_get_now() {
        let label = |value: &str| BTreeMap::from([(INJECT.to_owned(), value.to_owned())]);
        let namespaces = ["shop", "bank", "faregate-system"].map(|name| {
            let labels = if name == "bank" { BTreeMap::new() } else { label("enabled") };
            (name, Arc::new(Namespace { name: name.into(), labels, ..Namespace::default() }))
        });
        let namespaces = HashMap::from(namespaces);
        let of = |name: &str| namespaces.get(name).cloned();
        let plain = json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "a" }] } });
        let injected = |image: &str| match injector(image).inject(&plain, &of("shop").unwrap(), None) {
            Decision::Inject(injection) => json!({ "metadata": injection.pod["metadata"] }),
            other => panic!("{other:?}"),
        };
        let mut asks = plain.clone();
        asks["metadata"]["labels"][INJECT] = json!("true");
        let pods = HashMap::from([
            (named("shop", "none"), plain.clone()),
            (named("shop", "current"), injected("now:1")),
            (named("shop", "old"), injected("before:1")),
            (named("bank", "not-asked"), plain.clone()),
            (named("bank", "asks"), asks),
            (named("faregate-system", "ours"), plain.clone()),
            (named("unknown", "nobody-knows"), plain.clone()),
        ]);
        let expected = BTreeMap::from([
            ("bank".to_owned(), Count { uninjected: 1, outdated: 0 }),
            ("shop".to_owned(), Count { uninjected: 1, outdated: 1 }),
        ]);
        assert_eq!(count(&pods, &injector("now:1"), &of), expected);
    }
}
