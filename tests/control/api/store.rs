//! Objects by kind, namespace and name; every change has a version and leaves an event.

use std::collections::BTreeMap;

use faregate::control::crd;
use serde_json::{Value, json};

use super::{EVENTS, NAMESPACES, TABLES};

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
}

/// Why not: an HTTP status, the reason in one word, and in full.
#[derive(Debug, Clone)]
pub struct Refusal(pub u16, pub &'static str, pub String);

/// A change: before and after.
#[derive(Clone)]
pub struct Event {
    pub version: u64,
    pub kind: Kind,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

#[derive(Default)]
pub struct Store {
    version: u64,
    /// Events up to this version are forgotten.
    forgotten: u64,
    objects: BTreeMap<(Kind, String, String), Value>,
    events: Vec<Event>,
}

impl Kind {
    pub const fn new(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        kind: &'static str,
        namespaced: bool,
    ) -> Self {
        Self { group, version, plural, kind, namespaced }
    }

    pub fn api_version(self) -> String {
        if self.group.is_empty() { self.version.into() } else { format!("{}/{}", self.group, self.version) }
    }

    pub fn namespace_of(object: &Value) -> String {
        object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned()
    }

    pub fn name_of(object: &Value) -> String {
        object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
    }
}

impl Store {
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(kind, namespace.to_owned(), name.to_owned()))
    }

    /// All of a kind, in a namespace or (empty) everywhere.
    pub fn all(&self, kind: Kind, namespace: &str) -> Vec<Value> {
        let here = |(key, _): &(&(Kind, String, String), &Value)| {
            key.0 == kind && (namespace.is_empty() || key.1 == namespace)
        };
        self.objects.iter().filter(here).map(|(_, object)| object.clone()).collect()
    }

    /// Events after a version; `None` where they are forgotten.
    pub fn since(&self, version: u64) -> Option<Vec<Event>> {
        (version >= self.forgotten)
            .then(|| self.events.iter().filter(|event| event.version > version).cloned().collect())
    }

    pub fn compact(&mut self) {
        self.forgotten = self.version;
        self.events.clear();
    }

    pub fn create(&mut self, kind: Kind, mut object: Value) -> Result<Value, Refusal> {
        let (namespace, name) = (Kind::namespace_of(&object), Kind::name_of(&object));
        if self.get(kind, &namespace, &name).is_some() {
            return Err(Refusal(409, "AlreadyExists", format!("{} \"{name}\" already exists", kind.plural)));
        }
        if kind == EVENTS {
            check_event(&object)?;
        }
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.kind);
        object["metadata"]["uid"] = json!(format!("uid-{}", self.version + 1));
        object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        object["metadata"]["generation"] = json!(1);
        if kind == TABLES {
            object.as_object_mut().unwrap().remove("status");
            prune_table(&mut object);
        }
        Ok(self.keep(kind, namespace, name, None, object))
    }

    /// Replaces an object, or (`status`) only its status; the version that it names must be the present one.
    pub fn update(&mut self, kind: Kind, mut object: Value, status: bool) -> Result<Value, Refusal> {
        let (namespace, name) = (Kind::namespace_of(&object), Kind::name_of(&object));
        let Some(before) = self.get(kind, &namespace, &name).cloned() else {
            return Err(Refusal(404, "NotFound", format!("{} \"{name}\" not found", kind.plural)));
        };
        let (named, present) = (&object["metadata"]["resourceVersion"], &before["metadata"]["resourceVersion"]);
        if !named.is_null() && named != present {
            return Err(Refusal(409, "Conflict", "the object has been modified".into()));
        }
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.kind);
        if status {
            let mut after = before.clone();
            after["status"] = object["status"].take();
            object = after;
        } else {
            for key in ["uid", "creationTimestamp", "generation"] {
                object["metadata"][key] = before["metadata"][key].clone();
            }
            if kind == TABLES {
                object["status"] = before["status"].clone();
                prune_table(&mut object);
                if object["spec"] != before["spec"] {
                    object["metadata"]["generation"] = json!(before["metadata"]["generation"].as_u64().unwrap() + 1);
                }
            }
        }
        object["metadata"]["resourceVersion"] = present.clone();
        if object == before {
            return Ok(before);
        }
        Ok(self.keep(kind, namespace, name, Some(before), object))
    }

    /// Merges fields into an object (or its status), as server-side apply does for one manager.
    pub fn apply(
        &mut self,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch: &Value,
        status: bool,
    ) -> Result<Value, Refusal> {
        let Some(mut object) = self.get(kind, namespace, name).cloned() else {
            return Err(Refusal(404, "NotFound", format!("{} \"{name}\" not found", kind.plural)));
        };
        if status {
            // All of it has one owner.
            object["status"] = patch["status"].clone();
        } else {
            merge(&mut object, patch);
        }
        object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        self.update(kind, object, status)
    }

    pub fn delete(&mut self, kind: Kind, namespace: &str, name: &str) -> Result<(), Refusal> {
        let Some(before) = self.objects.remove(&(kind, namespace.to_owned(), name.to_owned())) else {
            return Err(Refusal(404, "NotFound", format!("{} \"{name}\" not found", kind.plural)));
        };
        self.version += 1;
        self.events.push(Event { version: self.version, kind, before: Some(before), after: None });
        Ok(())
    }

    fn keep(&mut self, kind: Kind, namespace: String, name: String, before: Option<Value>, mut object: Value) -> Value {
        if kind == NAMESPACES {
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert((kind, namespace, name), object.clone());
        self.events.push(Event { version: self.version, kind, before, after: Some(object.clone()) });
        object
    }
}

/// What the API server wants of an Event (`pkg/apis/core/validation/events.go`).
fn check_event(event: &Value) -> Result<(), Refusal> {
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    let bounded = |key: &str, most: usize| (1..=most).contains(&text(key).len());
    let is_sound = text("eventTime").ends_with('Z')
        && bounded("reportingController", 253)
        && bounded("reportingInstance", 128)
        && bounded("action", 128)
        && bounded("reason", 128)
        && text("note").len() <= 1024
        && matches!(text("type"), "Normal" | "Warning")
        && event["regarding"]["namespace"] == event["metadata"]["namespace"];
    if is_sound { Ok(()) } else { Err(Refusal(422, "Invalid", format!("Event {event} is invalid"))) }
}

/// Members of lists are told apart by their `name`.
fn merge(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(object.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(list), Value::Array(patch)) if patch.iter().all(|item| item["name"].is_string()) => {
            for item in patch {
                match list.iter_mut().find(|known| known["name"] == item["name"]) {
                    Some(known) => merge(known, item),
                    None => list.push(item.clone()),
                }
            }
        }
        (object, patch) => object.clone_from(patch),
    }
}

/// Takes out what the definition of RoutingTable does not know.
fn prune_table(object: &mut Value) {
    let crd = crd::crd();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    prune(&mut object["spec"], &schema["properties"]["spec"]);
}

fn prune(value: &mut Value, schema: &Value) {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    match value {
        Value::Object(map) => {
            if let Some(properties) = schema["properties"].as_object() {
                map.retain(|key, _| properties.contains_key(key));
                map.iter_mut().for_each(|(key, value)| prune(value, &properties[key]));
            } else if schema["additionalProperties"].is_object() {
                map.values_mut().for_each(|value| prune(value, &schema["additionalProperties"]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prune(item, &schema["items"])),
        _ => {}
    }
}
