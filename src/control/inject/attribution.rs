//! Whose calls they are: the `app` of a pod, `NAMESPACE/WORKLOAD`.
//!
//! The workload and not the pod, whose name would make a time series of its own in every metric; scrapers know the pod.
//! The namespace comes by the Downward API, since a manifest may not name it.

use serde_json::Value;

use super::annotations::Plan;
use super::pod::Pod;

/// What a pod's template belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub name: String,
}

/// The app's name, with `$(...)` where Kubernetes fills something in.
pub(super) fn app(plan: &Plan, pod: &Pod, owner: Option<&Owner>) -> String {
    if let Some(app) = &plan.app {
        return app.clone();
    }
    let label = |name: &str| pod.labels().remove(name).filter(|value| !value.is_empty());
    let workload = owner
        .map(|owner| owner.name.clone())
        .filter(|name| is_a_name(name))
        .or_else(|| controller(pod))
        .or_else(|| label("app.kubernetes.io/name"))
        .or_else(|| label("app"))
        .filter(|name| is_a_name(name));
    match workload {
        Some(workload) => format!("$(FAREGATE_NAMESPACE)/{workload}"),
        None => "$(FAREGATE_NAMESPACE)/$(FAREGATE_POD)".into(),
    }
}

/// Nothing in it that Kubernetes would expand, and not what a `generateName` is: a beginning.
fn is_a_name(text: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    !text.is_empty() && text.bytes().all(known) && !text.ends_with('-')
}

/// The workload that made a pod, by its owner's name: a Deployment's ReplicaSet has a hash at its end, which the pod has
/// as a label too; a CronJob's Job has a time.
fn controller(pod: &Pod) -> Option<String> {
    let owners = pod.at("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner.get("controller") == Some(&Value::Bool(true)))?;
    let text = |key: &str| owner.get(key).and_then(Value::as_str);
    let (kind, name) = (text("kind")?, text("name")?);
    let hash = pod.labels().remove("pod-template-hash");
    let workload = match (kind, hash, name.rsplit_once('-')) {
        ("ReplicaSet", Some(hash), Some((workload, end))) if end == hash => workload,
        ("Job", _, Some((workload, end))) if end.len() >= 8 && end.bytes().all(|b| b.is_ascii_digit()) => workload,
        _ => name,
    };
    Some(workload.to_owned())
}
