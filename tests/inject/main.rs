//! Injection over a corpus of pods (`pods/`), each with what must come of it (`injected/`), and over pods that nobody
//! thought of. `BLESS=1` writes `injected/` anew; tests/e2e holds it against the schemas of Kubernetes.
#![cfg(feature = "control")]

mod command;
mod corpus;
mod properties;
mod sidecar;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use faregate::control::inject::{Injector, Namespace, Settings};
use faregate::control::manifest::{self, Outcome};
use serde_json::Value;

/// Where pods go that name no namespace.
const NAMESPACE: &str = "shop";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inject").join(name)
}

/// The operator's settings of all these tests.
fn settings() -> Settings {
    Settings::parse(&fs::read_to_string(folder("settings.yaml")).unwrap()).unwrap()
}

fn injector() -> Injector {
    Injector::new(settings()).unwrap()
}

fn inject(text: &str) -> Outcome {
    manifest::inject(text, &injector(), NAMESPACE, &|name| Namespace { name: name.into(), ..Namespace::default() })
}

/// Names and texts of the corpus.
fn corpus() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = fs::read_dir(folder("pods"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap()))
        .collect();
    all.sort();
    all
}

/// What of `before` is not in `after`: keys, values, members of lists in their order. Nothing where all was kept.
fn lost(before: &Value, after: &Value, place: &str) -> Vec<String> {
    match (before, after) {
        // No list is an empty list.
        (Value::Null, Value::Array(_) | Value::Object(_)) => Vec::new(),
        (Value::Object(old), Value::Object(new)) => old
            .iter()
            .flat_map(|(key, value)| match new.get(key) {
                Some(now) => lost(value, now, &format!("{place}/{key}")),
                None => vec![format!("{place}/{key}")],
            })
            .collect(),
        (Value::Array(old), Value::Array(new)) => {
            let mut rest = new.iter();
            let found = |value: &Value| {
                let same = |now: &&Value| match (value.get("name"), now.get("name")) {
                    (Some(a), Some(b)) => a == b,
                    _ => value == *now,
                };
                rest.find(same).cloned()
            };
            let pairs: Vec<_> = old.iter().map(found).collect();
            old.iter()
                .zip(pairs)
                .enumerate()
                .flat_map(|(index, (value, now))| match now {
                    Some(now) => lost(value, &now, &format!("{place}/{index}")),
                    None => vec![format!("{place}/{index}")],
                })
                .collect()
        }
        _ if before == after => Vec::new(),
        _ => vec![format!("{place}: {before} became {after}")],
    }
}

/// Names that stand twice where Kubernetes wants each once.
fn doubled(pod: &Value) -> Vec<String> {
    let spec = &pod["spec"];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let containers: Vec<Value> = [list(&spec["initContainers"]), list(&spec["containers"])].concat();
    let mut found = twice("container", containers.iter().map(name));
    found.extend(twice("volume", list(&spec["volumes"]).iter().map(name)));
    found.extend(twice("pull secret", list(&spec["imagePullSecrets"]).iter().map(name)));
    for container in &containers {
        let of = name(container);
        found.extend(twice(&format!("{of}: variable"), list(&container["env"]).iter().map(name)));
        let mounts = list(&container["volumeMounts"]);
        let path = |mount: &Value| mount["mountPath"].as_str().unwrap_or_default().to_owned();
        found.extend(twice(&format!("{of}: mount"), mounts.iter().map(path)));
    }
    found
}

fn twice(what: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    names.filter(|name| !seen.insert(name.clone())).map(|name| format!("{what} {name}")).collect()
}
