//! Whether a pod is injected: asked for by label, and possible.

use std::fmt;

use super::pod::Pod;
use super::{INJECT, Namespace};

/// Namespaces in which nothing is ever injected, besides Faregate's own.
const EXCLUDED: [&str; 2] = ["kube-system", "kube-node-lease"];

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

/// Whether to inject a pod.
pub(super) fn decide(pod: &Pod, namespace: &Namespace, own_namespace: &str) -> Wish {
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
    if EXCLUDED.contains(&namespace.name.as_str()) || namespace.name == own_namespace {
        return Wish::Skip(Skip::Excluded(namespace.name.clone()));
    }
    if pod.at("/spec/hostNetwork").is_some_and(|value| value == true) {
        return Wish::Skip(Skip::HostNetwork);
    }
    let os = ["/spec/os/name", "/spec/nodeSelector/kubernetes.io~1os", "/spec/nodeSelector/beta.kubernetes.io~1os"];
    if os.iter().any(|pointer| pod.text(pointer) == Some("windows")) {
        return Wish::Skip(Skip::Windows);
    }
    if pod.annotations().contains_key("kubernetes.io/config.mirror") {
        return Wish::Skip(Skip::Static);
    }
    Wish::Inject
}
