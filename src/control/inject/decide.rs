//! Whether a pod is injected: asked for by label, and possible.

use std::fmt;

use serde_json::Value;

use super::pod::Pod;
use super::settings::Settings;
use super::{INJECT, Namespace};

/// Namespaces in which nothing is ever injected, besides Faregate's own.
const EXCLUDED: [&str; 2] = ["kube-system", "kube-node-lease"];
/// Labels of nodes with their operating system, the newer one first.
const OS_LABELS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];
/// Where a pod says which nodes it may run on, besides its nodeSelector: each of these terms is enough.
const NODE_TERMS: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";

/// Why a pod is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// Neither the namespace nor the pod asks for it.
    NotAsked,
    /// The pod's own label says no.
    OptedOut,
    /// Nothing is injected in this namespace.
    Excluded(String),
    /// The pod shares its node's network: the sidecar's ports would be the node's.
    HostNetwork,
    /// The pod runs on Windows, for which there is no sidecar.
    Windows,
    /// A static pod, which the API server cannot change.
    Static,
}

impl Skip {
    /// Whether the pod's owner wants it so.
    pub fn is_wanted(&self) -> bool {
        matches!(self, Self::NotAsked | Self::OptedOut)
    }

    /// As metrics say it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotAsked => "not_asked",
            Self::OptedOut => "opted_out",
            Self::Excluded(_) => "namespace",
            Self::HostNetwork => "host_network",
            Self::Windows => "windows",
            Self::Static => "static",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => write!(
                f,
                "not asked for: neither the namespace has the label {INJECT}=enabled nor the pod the label {INJECT}=true"
            ),
            Self::OptedOut => write!(f, "its label {INJECT}=false says no"),
            Self::Excluded(namespace) => write!(f, "nothing is injected in the namespace {namespace}"),
            Self::HostNetwork => f.write_str("it has hostNetwork: the sidecar's ports would be its node's"),
            Self::Windows => f.write_str("it runs on Windows, for which there is no sidecar"),
            Self::Static => f.write_str("it is a static pod, which only its node can change"),
        }
    }
}

/// What the labels say.
pub(super) enum Wish {
    Inject,
    Skip(Skip),
    /// A label that means nothing.
    Unclear(String),
}

/// Whether to inject a pod: the one answer to that, for manifests, the webhook and whoever counts pods. Of a pod's spec, it
/// looks at `hostNetwork`, `os`, `nodeSelector` and `affinity` alone.
pub(super) fn decide(pod: &Pod, namespace: &Namespace, settings: &Settings) -> Wish {
    let asked = match pod.at("/metadata/labels/faregate.dev~1inject").map(|label| label.as_str().ok_or(label)) {
        Some(Ok("true")) => true,
        Some(Ok("false")) => return Wish::Skip(Skip::OptedOut),
        Some(Err(label)) => return Wish::Unclear(format!("label {INJECT}: {label} is no text; put it in quotes")),
        Some(Ok(other)) => return Wish::Unclear(format!("label {INJECT}: `{other}` is neither `true` nor `false`")),
        None => namespace.labels.get(INJECT).is_some_and(|value| value == "enabled"),
    };
    if !asked {
        return Wish::Skip(Skip::NotAsked);
    }
    let excluded = settings.excluded_namespaces.iter().chain([&settings.namespace]).map(String::as_str);
    if excluded.chain(EXCLUDED).any(|name| name == namespace.name) {
        return Wish::Skip(Skip::Excluded(namespace.name.clone()));
    }
    if pod.at("/spec/hostNetwork").is_some_and(|value| value == true) {
        return Wish::Skip(Skip::HostNetwork);
    }
    if is_windows(pod) {
        return Wish::Skip(Skip::Windows);
    }
    if pod.annotations().contains_key("kubernetes.io/config.mirror") {
        return Wish::Skip(Skip::Static);
    }
    Wish::Inject
}

/// Whether a pod says that it runs on Windows: by its `os`, or because no node of Linux is one that it may run on.
fn is_windows(pod: &Pod) -> bool {
    let selected = pod.at("/spec/nodeSelector").and_then(Value::as_object);
    let selects = |label: &&str| selected.and_then(|selector| selector.get(*label)?.as_str()) == Some("windows");
    let terms = pod.at(NODE_TERMS).and_then(Value::as_array).filter(|terms| !terms.is_empty());
    pod.text("/spec/os/name") == Some("windows")
        || OS_LABELS.iter().any(selects)
        || terms.is_some_and(|terms| terms.iter().all(excludes_linux))
}

/// Whether a term of node affinity leaves no node of Linux; all of its expressions must hold.
fn excludes_linux(term: &Value) -> bool {
    let expressions = term.get("matchExpressions").and_then(Value::as_array);
    expressions.into_iter().flatten().any(|expression| {
        let text = |key: &str| expression.get(key).and_then(Value::as_str).unwrap_or_default();
        let values = expression.get("values").and_then(Value::as_array);
        let has = |os: &str| values.into_iter().flatten().any(|value| value == os);
        OS_LABELS.contains(&text("key"))
            && match text("operator") {
                "In" => has("windows") && !has("linux"),
                "NotIn" => has("linux"),
                _ => false,
            }
    })
}
