//! Pods that should have the sidecar and have none, and pods whose sidecar is not what they would get now: made while the
//! webhook was away, before their namespace asked for it, or before the settings changed. Pods that ask and are left as they
//! are by a rule are counted apart.
//!
//! What a pod would get, the injector of the webhook says. Pods are seen by one watch of the leader's, and of each is kept
//! only what the injector looks at. Start with [`Watchdog::run`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ApiResource;
use kube::core::{NotUsed, Object};
use kube::runtime::watcher;
use kube::{Api, Client};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::inject::{INJECT, Injector, Namespace, SIDECAR};
use super::namespaces::Namespaces;
use super::watching::{self, Name, Watched};
use crate::telemetry::Telemetry;
use crate::telemetry::cells::Gauge;

/// Pods that run or will.
const FIELDS: &str = "status.phase!=Succeeded,status.phase!=Failed";
/// Pods are counted at most so often.
const PAUSE: Duration = Duration::from_secs(1);
/// So many pods are named at once in the log; all are counted.
const NAMED: usize = 10;

/// Counts pods.
pub(super) struct Watchdog {
    pub(super) client: Client,
    pub(super) injector: Arc<ArcSwap<Injector>>,
    pub(super) namespaces: Arc<Namespaces>,
    pub(super) telemetry: Telemetry,
}

/// Pods that are seen.
#[derive(Default)]
struct Seen {
    pods: Mutex<HashMap<Name, Sighting>>,
    changed: Notify,
}

/// A pod as far as injection looks at it.
struct Sighting {
    pod: Value,
    /// What it was injected by; `None` where the sidecar is not there.
    template: Option<String>,
}

/// A pod as it comes.
type Seeing = Object<Spec, NotUsed>;

/// What injection looks at in a spec, and whether the sidecar is there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    host_network: Option<bool>,
    os: Value,
    node_selector: Value,
    affinity: Option<Affinity>,
    init_containers: Option<Vec<Container>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Affinity {
    node_affinity: Value,
}

#[derive(Debug, Clone, Deserialize)]
struct Container {
    name: String,
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
            self.show(&Counts::default());
        }
    }

    async fn watch(&self, seen: &Seen) {
        let config = watching::config().labels(&format!("{INJECT}!=false")).fields(FIELDS);
        let pods = Api::<Seeing>::all_with(self.client.clone(), &ApiResource::erase::<Pod>(&()));
        watching::follow("pods", watcher::watcher(pods, config), self.telemetry.clone(), |event| {
            match event {
                // One that is on its way out is nobody's business any more.
                Watched::Set(pod) if pod.metadata.deletion_timestamp.is_some() => {
                    drop(seen.pods.lock().remove(&Name::of(&pod)));
                }
                Watched::Set(pod) => drop(seen.pods.lock().insert(Name::of(&pod), sighting(pod))),
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
        let mut told = HashSet::new();
        loop {
            tokio::select! {
                () = seen.changed.notified() => {}
                _ = namespaces.changed() => {}
                // Settings may have changed.
                _ = look.tick() => {}
            }
            let injector = self.injector.load_full();
            let counts = count(&seen.pods.lock(), &injector, &|name| self.namespaces.get(name));
            self.show(&counts);
            tell(&counts.without, &told);
            told = counts.without;
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn show(&self, counts: &Counts) {
        let gauge = |value: i64| {
            let gauge = Gauge::default();
            gauge.set(value);
            gauge
        };
        let of = |count: fn(&Count) -> i64| {
            counts.namespaces.iter().map(move |(name, of)| ([name.as_str()], gauge(count(of))))
        };
        let metrics = self.telemetry.metrics();
        metrics.control_uninjected_pods.replace(of(|count| count.uninjected));
        metrics.control_outdated_pods.replace(of(|count| count.outdated));
        let declined = counts.declined.iter();
        let declined = declined.map(|((namespace, reason), count)| ([namespace.as_str(), *reason], gauge(*count)));
        metrics.control_declined_pods.replace(declined);
    }
}

/// Names those in the log that were not told of yet.
fn tell(without: &HashSet<Name>, told: &HashSet<Name>) {
    let news = without.difference(told).count();
    for Name { namespace, name } in without.difference(told).take(NAMED) {
        tracing::warn!(
            namespace,
            pod = name,
            "a pod asks for the sidecar and has none; it gets one when it is made anew"
        );
    }
    if news > NAMED {
        tracing::warn!("and {} more", news - NAMED);
    }
}

/// What is wrong, and where.
#[derive(Debug, Default)]
struct Counts {
    /// The namespaces in which any pod asks, or has the sidecar.
    namespaces: BTreeMap<String, Count>,
    /// Those that ask in vain, by namespace and reason.
    declined: BTreeMap<(String, &'static str), i64>,
    /// The uninjected.
    without: HashSet<Name>,
}

/// What is wrong in one namespace.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    uninjected: i64,
    outdated: i64,
}

fn count(
    pods: &HashMap<Name, Sighting>,
    injector: &Injector,
    namespace: &dyn Fn(&str) -> Option<Arc<Namespace>>,
) -> Counts {
    let mut counts = Counts::default();
    for (name, Sighting { pod, template }) in pods {
        let Some(namespace) = namespace(&name.namespace) else { continue };
        let skip = injector.skips(pod, &namespace);
        if let (None, Some(skip)) = (template, &skip) {
            if !skip.is_wanted() {
                *counts.declined.entry((name.namespace.clone(), skip.label())).or_default() += 1;
            }
            continue;
        }
        let count = counts.namespaces.entry(name.namespace.clone()).or_default();
        match template {
            None => {
                count.uninjected += 1;
                counts.without.insert(name.clone());
            }
            // One that asks no more keeps what it has until it is made anew.
            Some(has) if skip.is_none() && injector.template(pod, &namespace).is_some_and(|now| now != *has) => {
                count.outdated += 1
            }
            Some(_) => {}
        }
    }
    counts
}

/// What is kept of a pod.
fn sighting(pod: Seeing) -> Sighting {
    let (metadata, spec) = (pod.metadata, pod.spec);
    let mut annotations = metadata.annotations.unwrap_or_default();
    annotations.retain(|name, _| name.starts_with("faregate.dev/") || name == "kubernetes.io/config.mirror");
    let pod = json!({
        "metadata": {
            "labels": metadata.labels.unwrap_or_default(),
            "annotations": annotations,
            "ownerReferences": metadata.owner_references.unwrap_or_default(),
        },
        "spec": {
            "hostNetwork": spec.host_network,
            "os": spec.os,
            "nodeSelector": spec.node_selector,
            "affinity": { "nodeAffinity": spec.affinity.unwrap_or_default().node_affinity },
        },
    });
    let is_there = spec.init_containers.iter().flatten().any(|container| container.name == SIDECAR);
    let template = Injector::template_of(&pod).filter(|_| is_there);
    Sighting { pod, template }
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

    /// As the API server tells of it.
    fn seen(pod: &Value) -> Sighting {
        let mut whole = json!({ "apiVersion": "v1", "kind": "Pod" });
        for key in ["metadata", "spec"] {
            whole[key] = pod[key].clone();
        }
        sighting(serde_json::from_value(whole).unwrap())
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
            Decision::Inject(injection) => injection.pod,
            other => panic!("{other:?}"),
        };
        let with = |pod: &Value, pointer: &str, value: Value| {
            let mut pod = pod.clone();
            pod.pointer_mut(pointer).unwrap().as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
            pod
        };
        let asks = |value: &str| with(&plain, "/metadata/labels", json!({ INJECT: value }));
        let on_linux_nodes = |operator: &str, values: Value| {
            let terms = json!([{ "matchExpressions": [{ "key": "kubernetes.io/os", "operator": operator, "values": values }] }]);
            let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } });
            with(&plain, "/spec", json!({ "affinity": { "nodeAffinity": required } }))
        };
        let mut stripped = injected("now:1");
        stripped["spec"]["initContainers"] = json!([]);
        let pods: HashMap<Name, Sighting> = [
            ("shop", "none", plain.clone()),
            ("shop", "current", injected("now:1")),
            ("shop", "old", injected("before:1")),
            ("shop", "says-that-it-has-it", stripped),
            ("shop", "in-words-that-mean-nothing", asks("yes")),
            ("shop", "says-no", asks("false")),
            (
                "shop",
                "by-selector",
                with(&plain, "/spec", json!({ "nodeSelector": { "kubernetes.io/os": "windows" } })),
            ),
            ("shop", "by-os", with(&plain, "/spec", json!({ "os": { "name": "windows" } }))),
            ("shop", "by-affinity", on_linux_nodes("In", json!(["windows"]))),
            ("shop", "not-on-linux", on_linux_nodes("NotIn", json!(["linux"]))),
            ("shop", "on-either", on_linux_nodes("In", json!(["windows", "linux"]))),
            ("shop", "on-its-node", with(&plain, "/spec", json!({ "hostNetwork": true }))),
            (
                "shop",
                "of-its-node",
                with(&plain, "/metadata", json!({ "annotations": { "kubernetes.io/config.mirror": "x" } })),
            ),
            ("bank", "not-asked", plain.clone()),
            ("bank", "asks", asks("true")),
            ("faregate-system", "ours", plain.clone()),
            ("unknown", "nobody-knows", asks("true")),
        ]
        .into_iter()
        .map(|(namespace, name, pod)| (named(namespace, name), seen(&pod)))
        .collect();
        let counts = count(&pods, &injector("now:1"), &of);
        let expected = BTreeMap::from([
            ("bank".to_owned(), Count { uninjected: 1, outdated: 0 }),
            ("shop".to_owned(), Count { uninjected: 4, outdated: 1 }),
        ]);
        assert_eq!(counts.namespaces, expected);
        let without = |namespace: &str| {
            let mut names: Vec<_> =
                counts.without.iter().filter(|n| n.namespace == namespace).map(|n| &*n.name).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(without("shop"), ["in-words-that-mean-nothing", "none", "on-either", "says-that-it-has-it"]);
        let declined = [
            ("faregate-system", "namespace", 1),
            ("shop", "host_network", 1),
            ("shop", "static", 1),
            ("shop", "windows", 4),
        ];
        assert!(counts.declined.iter().map(|((n, r), c)| (n.as_str(), *r, *c)).eq(declined), "{:?}", counts.declined);
        // The webhook does the same with each of them: one answer for both.
        for (name, namespace, pod) in pods.iter().filter_map(|(n, s)| Some((n, of(&n.namespace)?, &s.pod))) {
            let whole = with(pod, "/spec", json!({ "containers": [{ "name": "a" }] }));
            let skipped = match injector("now:1").inject(&whole, &namespace, None) {
                Decision::Skip(skip) => Some(skip),
                Decision::Inject(_) | Decision::Refuse(_) => None,
            };
            assert_eq!(injector("now:1").skips(pod, &namespace), skipped, "{name:?}");
        }
    }
}
