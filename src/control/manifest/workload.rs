//! Where the pods are in an object of Kubernetes: its own, its template's, those of a list's items.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Fate, Outcome, Workload};
use crate::control::inject::{Decision, INJECT, Injector, Namespace, Owner};
use crate::control::patch;

/// Kinds that make pods, by group, and where the pod stands in them. Other groups have kinds of the same names.
const KINDS: &[(&str, &str, &[&str])] = &[
    ("", "Pod", &[]),
    ("", "PodTemplate", &["template"]),
    ("", "ReplicationController", &["spec", "template"]),
    ("apps", "Deployment", &["spec", "template"]),
    ("apps", "StatefulSet", &["spec", "template"]),
    ("apps", "DaemonSet", &["spec", "template"]),
    ("apps", "ReplicaSet", &["spec", "template"]),
    ("batch", "Job", &["spec", "template"]),
    ("batch", "CronJob", &["spec", "jobTemplate", "spec", "template"]),
];

/// What injection asks of the world.
pub(super) struct Surroundings<'a> {
    pub(super) injector: &'a Injector,
    /// Where objects go that name no namespace.
    pub(super) namespace: &'a str,
    /// A namespace by its name.
    pub(super) of: &'a dyn Fn(&str) -> Namespace,
}

/// The name, labels and annotations of an object that is a namespace.
pub(super) fn namespace(object: &Value) -> Option<(String, Namespace)> {
    if object.get("apiVersion")? != "v1" || object.get("kind")? != "Namespace" {
        return None;
    }
    let metadata = object.get("metadata")?;
    let name = text(metadata, "name").to_owned();
    let words = |key: &str| -> BTreeMap<String, String> {
        let entries = metadata.get(key).and_then(Value::as_object).into_iter().flatten();
        entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    };
    let (labels, annotations) = (words("labels"), words("annotations"));
    Some((name.clone(), Namespace { name, labels, annotations }))
}

/// Injects the pods of an object, and tells `outcome` of each.
pub(super) fn inject(object: &mut Value, surroundings: &Surroundings<'_>, outcome: &mut Outcome) {
    let kind = text(object, "kind").to_owned();
    let version = text(object, "apiVersion").to_owned();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    if group.is_empty() && kind.ends_with("List") {
        let items = object.get_mut("items").and_then(Value::as_array_mut);
        return items.into_iter().flatten().for_each(|item| inject(item, surroundings, outcome));
    }
    let Some((_, _, path)) = KINDS.iter().find(|(g, k, _)| *g == group && *k == kind) else { return };
    let metadata = object.get("metadata").cloned().unwrap_or_default();
    let named = |key: &str| text(&metadata, key).to_owned();
    let mut workload = Workload {
        kind,
        namespace: [named("namespace"), surroundings.namespace.to_owned()]
            .into_iter()
            .find(|n| !n.is_empty())
            .unwrap_or_default(),
        name: [named("name"), named("generateName")].into_iter().find(|n| !n.is_empty()).unwrap_or_default(),
        fate: Fate::Left(String::new()),
        warnings: Vec::new(),
    };
    let Some(pod) = path.iter().try_fold(&mut *object, |at, key| at.get_mut(key)).filter(|pod| pod.is_object()) else {
        workload.fate = Fate::Left(format!("there is no {}", path.join(".")));
        outcome.workloads.push(workload);
        return;
    };
    let owner = (!path.is_empty()).then(|| Owner { name: workload.name.clone() });
    let namespace = (surroundings.of)(&workload.namespace);
    match surroundings.injector.inject(pod, &namespace, owner.as_ref()) {
        Decision::Inject(injection) => {
            workload.fate = Fate::Injected(patch::diff(pod, &injection.pod));
            workload.warnings = injection.warnings;
            *pod = injection.pod;
        }
        Decision::Skip(skip) => {
            if !path.is_empty() && metadata.get("labels").is_some_and(|labels| labels.get(INJECT).is_some()) {
                let place = path.join(".");
                workload.warnings.push(format!(
                    "the label {INJECT} stands on the {} itself, where it does nothing; write it to {place}.metadata.labels",
                    workload.kind
                ));
            }
            workload.fate = Fate::Left(skip.to_string());
        }
        Decision::Refuse(refusal) => {
            outcome.problems.extend(refusal.problems.iter().map(|problem| format!("{workload}: {problem}")));
            workload.fate = Fate::Left("refused".into());
        }
    }
    outcome.workloads.push(workload);
}

fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    static NOTHING: Value = Value::Null;
    object.as_object().map_or(&NOTHING, |map: &Map<_, _>| map.get(key).unwrap_or(&NOTHING)).as_str().unwrap_or_default()
}
