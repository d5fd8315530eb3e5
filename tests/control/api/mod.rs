//! An API server for tests, on loopback: the kinds and verbs that the control plane uses, with resource versions, conflicts,
//! selectors, watches with bookmarks, status subresources, server-side apply, pruning by the definition of RoutingTable, and
//! RBAC as `deploy/kubernetes/control-rbac.yaml` grants it. Tests in Rust reach past HTTP into [`Api`] directly; those in
//! Python come as the operator ([`http`]); the control plane under test gets in by HTTP and RBAC only.
//!
//! - [`store`]: objects, versions, events.
//! - [`rbac`]: who may do what.
//! - [`http`]: requests to it.
//! - [`admission`]: what it asks webhooks before it takes an object from a user.

pub mod admission;
mod http;
pub mod rbac;
mod select;
mod store;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::watch;

use rbac::{Call, Rules};
pub use store::Kind;
use store::Store;

/// Namespaced and cluster-wide kinds: group, plural, kind, version, whether it is namespaced.
pub const NAMESPACES: Kind = Kind::new("", "v1", "namespaces", "Namespace", false);
pub const PODS: Kind = Kind::new("", "v1", "pods", "Pod", true);
pub const SECRETS: Kind = Kind::new("", "v1", "secrets", "Secret", true);
pub const CONFIG_MAPS: Kind = Kind::new("", "v1", "configmaps", "ConfigMap", true);
/// Where a Service is answered.
pub const ENDPOINTS: Kind = Kind::new("", "v1", "endpoints", "Endpoints", true);
pub const LEASES: Kind = Kind::new("coordination.k8s.io", "v1", "leases", "Lease", true);
pub const TABLES: Kind = Kind::new("faregate.dev", "v1alpha1", "routingtables", "RoutingTable", true);
pub const EVENTS: Kind = Kind::new("events.k8s.io", "v1", "events", "Event", true);
pub const MUTATING: Kind = Kind::new(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    false,
);
pub const VALIDATING: Kind = Kind::new(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    false,
);
/// Never kept: asked, and answered.
pub const TOKEN_REVIEWS: Kind = Kind::new("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", false);
const KINDS: [Kind; 11] =
    [NAMESPACES, PODS, SECRETS, CONFIG_MAPS, ENDPOINTS, LEASES, TABLES, EVENTS, MUTATING, VALIDATING, TOKEN_REVIEWS];

/// A running API server.
pub struct Api {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    store: Mutex<Store>,
    /// The version of the newest event.
    news: watch::Sender<u64>,
    /// Whether it answers at all.
    up: watch::Sender<bool>,
    rules: Rules,
    /// What was asked, with what RBAC said.
    calls: Mutex<Vec<(Call, bool)>>,
    /// Kinds that nobody has installed.
    absent: Mutex<Vec<Kind>>,
    lists: AtomicUsize,
}

impl Api {
    /// Starts one with the namespaces that any cluster has.
    pub fn start() -> Self {
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::default()),
            news: watch::Sender::new(0),
            up: watch::Sender::new(true),
            rules: Rules::granted(),
            calls: Mutex::default(),
            absent: Mutex::default(),
            lists: AtomicUsize::new(0),
        });
        let api = Self { address: http::serve(Arc::clone(&shared)), shared };
        for name in ["kube-system", "kube-node-lease", "faregate-system", "default"] {
            api.namespace(name, &[], &[]);
        }
        api
    }

    /// Writes the webhook configurations as an operator applies them.
    pub fn apply_webhooks(&self) {
        for object in documents("deploy/kubernetes/webhook.yaml") {
            let kind = if object["kind"] == MUTATING.kind { MUTATING } else { VALIDATING };
            self.put(kind, object);
        }
    }

    /// A kubeconfig that leads here.
    pub fn kubeconfig(&self, directory: &Path) -> std::path::PathBuf {
        let path = directory.join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\nclusters:\n- name: test\n  cluster: {{server: \"http://{}\"}}\n\
             contexts:\n- name: test\n  context: {{cluster: test, user: test}}\nusers:\n- name: test\n  user: {{token: test}}\n",
            self.address
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn namespace(&self, name: &str, labels: &[(&str, &str)], annotations: &[(&str, &str)]) {
        let map = |pairs: &[(&str, &str)]| -> Value {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value)));
            Value::Object(pairs.collect())
        };
        let metadata = json!({ "name": name, "labels": map(labels), "annotations": map(annotations) });
        self.put(NAMESPACES, json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata }));
    }

    /// Creates or replaces an object, past webhooks and RBAC.
    pub fn put(&self, kind: Kind, object: Value) -> Value {
        let mut store = self.shared.store.lock().unwrap();
        let done = match store.get(kind, &Kind::namespace_of(&object), &Kind::name_of(&object)) {
            None => store.create(kind, object),
            Some(_) => store.update(kind, object, false),
        };
        self.shared.news.send_replace(store.version());
        done.unwrap()
    }

    pub fn delete(&self, kind: Kind, namespace: &str, name: &str) {
        let mut store = self.shared.store.lock().unwrap();
        store.delete(kind, namespace, name).unwrap();
        self.shared.news.send_replace(store.version());
    }

    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Value> {
        self.shared.get(kind, namespace, name)
    }

    /// All of a kind in a namespace.
    pub fn all(&self, kind: Kind, namespace: &str) -> Vec<Value> {
        self.shared.store.lock().unwrap().all(kind, namespace)
    }

    /// A condition of a RoutingTable: status, reason, message.
    pub fn condition(&self, namespace: &str, name: &str, kind: &str) -> Option<(String, String, String)> {
        let table = self.get(TABLES, namespace, name)?;
        let conditions = table["status"]["conditions"].as_array()?.clone();
        let condition = conditions.into_iter().find(|condition| condition["type"] == kind)?;
        let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("reason"), text("message")))
    }

    /// Forgets old events, as an API server does: who comes with an old version must list again.
    pub fn compact(&self) {
        self.shared.store.lock().unwrap().compact();
    }

    /// A kind that is not installed (yet).
    pub fn set_absent(&self, kind: Kind, absent: bool) {
        let mut all = self.shared.absent.lock().unwrap();
        all.retain(|known| *known != kind);
        if absent {
            all.push(kind);
        }
    }

    /// Breaks all connections and takes none, until it is up again.
    pub fn set_up(&self, up: bool) {
        self.shared.up.send_replace(up);
    }

    /// Whole lists that were asked for so far.
    pub fn lists(&self) -> usize {
        self.shared.lists.load(Ordering::SeqCst)
    }

    /// Calls so far that RBAC refuses.
    pub fn refused(&self) -> Vec<Call> {
        let calls = self.shared.calls.lock().unwrap();
        calls.iter().filter(|(_, allowed)| !allowed).map(|(call, _)| call.clone()).collect()
    }

    /// Grants of RBAC that no call so far has needed.
    pub fn unused_grants(&self) -> Vec<String> {
        let calls = self.shared.calls.lock().unwrap();
        self.shared.rules.unused(&calls.iter().map(|(call, _)| call.clone()).collect::<Vec<_>>())
    }
}

/// The documents of a YAML file of the repository.
pub fn documents(path: &str) -> Vec<Value> {
    use serde::Deserialize;
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect()
}
