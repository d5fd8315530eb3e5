//! A pod as JSON, kept as it came: access to the parts that injection reads and changes, nothing else is touched.
//!
//! [`Pod::problems`] tells whether those parts have the shape that Kubernetes wants, so that the rest of the injection need
//! not ask again.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Lists of containers that injection looks at. Ephemeral ones are added to running pods only.
const CONTAINERS: [&str; 2] = ["initContainers", "containers"];

/// A pod, or the template of one.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    value: Value,
}

impl Pod {
    /// Takes a pod, of whatever shape.
    pub(super) fn new(value: &Value) -> Self {
        Self { value: value.clone() }
    }

    /// Where its parts have not the shape that Kubernetes wants.
    pub(super) fn problems(&self) -> Vec<String> {
        let value = &self.value;
        let mut problems = Vec::new();
        if value.get("metadata").is_some_and(|metadata| !metadata.is_null() && !metadata.is_object()) {
            problems.push("metadata: is no mapping".into());
        }
        for key in ["labels", "annotations"] {
            words(value.pointer(&format!("/metadata/{key}")), &format!("metadata.{key}"), &mut problems);
        }
        let Some(spec) = value.get("spec").and_then(Value::as_object) else {
            problems.push("spec: is missing, or no mapping".into());
            return problems;
        };
        for key in CONTAINERS {
            for (container, place) in named(spec.get(key), &format!("spec.{key}"), &mut problems) {
                for key in ["env", "volumeMounts"] {
                    let inner = container.get(key);
                    if key == "env" {
                        named(inner, &format!("{place}.{key}"), &mut problems);
                    } else {
                        list(inner, &format!("{place}.{key}"), &mut problems);
                    }
                }
            }
        }
        if spec.get("containers").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            problems.push("spec.containers: there is none".into());
        }
        named(spec.get("volumes"), "spec.volumes", &mut problems);
        named(spec.get("imagePullSecrets"), "spec.imagePullSecrets", &mut problems);
        problems
    }

    pub(super) fn into_value(self) -> Value {
        self.value
    }

    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        self.words("labels")
    }

    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        self.words("annotations")
    }

    fn words(&self, key: &str) -> BTreeMap<String, String> {
        let entries = self.value.get("metadata").and_then(|metadata| metadata.get(key)).and_then(Value::as_object);
        let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        entries.into_iter().flatten().filter_map(text).collect()
    }

    /// A value somewhere in the pod, by its JSON pointer.
    pub(super) fn at(&self, pointer: &str) -> Option<&Value> {
        self.value.pointer(pointer).filter(|value| !value.is_null())
    }

    /// A text somewhere in the pod.
    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.at(pointer).and_then(Value::as_str)
    }

    /// Init containers, then containers.
    pub(super) fn containers(&self) -> impl Iterator<Item = &Map<String, Value>> {
        let lists = CONTAINERS.iter().filter_map(|key| self.value.get("spec")?.get(key)?.as_array());
        lists.flatten().filter_map(Value::as_object)
    }

    /// [`Pod::containers`], to be changed.
    pub(super) fn containers_mut(&mut self) -> impl Iterator<Item = &mut Map<String, Value>> {
        let spec = self.value.get_mut("spec").and_then(Value::as_object_mut).into_iter().flatten();
        let mut lists: Vec<_> = spec
            .filter_map(|(key, value)| Some((CONTAINERS.iter().position(|known| known == key)?, value.as_array_mut()?)))
            .collect();
        lists.sort_by_key(|(order, _)| *order);
        lists.into_iter().flat_map(|(_, list)| list).filter_map(Value::as_object_mut)
    }

    /// A list of the spec, made where it is missing.
    pub(super) fn list(&mut self, key: &str) -> &mut Vec<Value> {
        list_of(map_of(&mut self.value, "spec"), key)
    }

    /// The annotations, made where they are missing.
    pub(super) fn annotations_mut(&mut self) -> &mut Map<String, Value> {
        let metadata = map_of(&mut self.value, "metadata");
        let slot = metadata.entry("annotations").or_insert(Value::Null);
        as_map(slot)
    }

    /// Takes a key out of the spec.
    pub(super) fn remove(&mut self, key: &str) {
        map_of(&mut self.value, "spec").remove(key);
    }
}

/// The name of a container, a volume or a variable.
pub(super) fn name(object: &Value) -> &str {
    object.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The name of a container.
pub(super) fn container(container: &Map<String, Value>) -> &str {
    container.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The variables of a container.
pub(super) fn variables(container: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    container.get("env").and_then(Value::as_array).into_iter().flatten()
}

/// A list in an object, made where there is none (or null).
pub(super) fn list_of<'m>(object: &'m mut Map<String, Value>, key: &str) -> &'m mut Vec<Value> {
    let slot = object.entry(key).or_insert(Value::Null);
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    match slot {
        Value::Array(list) => list,
        _ => unreachable!("a list since the line before"),
    }
}

fn map_of<'v>(value: &'v mut Value, key: &str) -> &'v mut Map<String, Value> {
    as_map(as_map(value).entry(key).or_insert(Value::Null))
}

fn as_map(slot: &mut Value) -> &mut Map<String, Value> {
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    match slot {
        Value::Object(map) => map,
        _ => unreachable!("a mapping since the line before"),
    }
}

/// Labels and annotations: a mapping of texts. Ours must be texts; the others' are their owners' business.
fn words(value: Option<&Value>, place: &str, problems: &mut Vec<String>) {
    let Some(value) = value.filter(|value| !value.is_null()) else { return };
    let Some(map) = value.as_object() else {
        problems.push(format!("{place}: is no mapping"));
        return;
    };
    for (key, value) in map.iter().filter(|(key, value)| key.starts_with("faregate.dev/") && !value.is_string()) {
        problems.push(format!("{place}.{key}: {value} is no text; put it in quotes"));
    }
}

fn list<'v>(value: Option<&'v Value>, place: &str, problems: &mut Vec<String>) -> &'v [Value] {
    match value {
        None | Some(Value::Null) => &[],
        Some(Value::Array(items)) => items,
        Some(_) => {
            problems.push(format!("{place}: is no list"));
            &[]
        }
    }
}

/// The members of a list of things with names, each with its place.
fn named<'v>(
    value: Option<&'v Value>,
    place: &str,
    problems: &mut Vec<String>,
) -> Vec<(&'v Map<String, Value>, String)> {
    let mut found = Vec::new();
    for (index, item) in list(value, place, problems).iter().enumerate() {
        let place = format!("{place}[{index}]");
        match (item.as_object(), item.get("name")) {
            (Some(object), Some(Value::String(_))) => found.push((object, place)),
            (Some(_), Some(name)) => problems.push(format!("{place}.name: {name} is no text; put it in quotes")),
            _ => problems.push(format!("{place}: has no name")),
        }
    }
    found
}
