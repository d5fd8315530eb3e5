//! Manifests as people keep them in Git: several YAML documents in one text, with workloads of many kinds among them.
//!
//! What needs no change stays byte for byte. A document that is injected is written anew, its keys in their order and
//! its plain words as they stood (`0644` stays `0644`); of its comments only those at its head are kept.
//!
//! YAML is read as `kubectl` reads it, which is YAML 1.1 in places: `yes` and `0644` are no strings. Must not know what
//! injection does. Start with [`inject`].

mod document;
mod read;
mod workload;
mod write;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::inject::{Injector, Namespace};
use document::Document;
pub use read::{Unreadable, value};

/// What became of one text of manifests.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The text with its workloads injected. Of no use where there are [`Outcome::problems`].
    pub text: String,
    /// Every workload that was found, in order.
    pub workloads: Vec<Workload>,
    /// What forbids the use of the text, a line each.
    pub problems: Vec<String>,
}

/// A workload that was found, and what became of it.
#[derive(Debug)]
pub struct Workload {
    /// Such as `Deployment`.
    pub kind: String,
    /// Its namespace, where it is known.
    pub namespace: String,
    /// Its name; empty where a pod has a `generateName` only.
    pub name: String,
    /// What was done.
    pub fate: Fate,
    /// What its owner should know.
    pub warnings: Vec<String>,
}

/// What became of a workload.
#[derive(Debug)]
pub enum Fate {
    /// Injected, by these operations on its pod (template): a JSON Patch (RFC 6902).
    Injected(Vec<Value>),
    /// Left as it was.
    Left(String),
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = if self.namespace.is_empty() { String::new() } else { format!("{}/", self.namespace) };
        write!(f, "{} {namespace}{}", self.kind, self.name)
    }
}

/// Injects the workloads of a text. `namespace` is where those go that name none; namespaces that stand in the text
/// itself count with their labels and annotations, the others as `known` has them.
pub fn inject(text: &str, injector: &Injector, namespace: &str, known: &dyn Fn(&str) -> Namespace) -> Outcome {
    let mut outcome = Outcome::default();
    let mut documents = Vec::new();
    for document in document::split(text) {
        match document.read() {
            Ok(read) => documents.push((document, read)),
            Err(unreadable) => outcome.problems.push(unreadable.to_string()),
        }
    }
    let namespaces: BTreeMap<String, Namespace> =
        documents.iter().filter_map(|(_, read)| workload::namespace(&read.as_ref()?.value)).collect();
    let surroundings = workload::Surroundings {
        injector,
        namespace,
        of: &|name| namespaces.get(name).cloned().unwrap_or_else(|| known(name)),
    };
    for (document, read) in documents {
        let changed = read.and_then(|read| {
            let mut value = read.value.clone();
            workload::inject(&mut value, &surroundings, &mut outcome);
            (value != read.value).then(|| write::document(&value, read.layout.as_ref()))
        });
        push(&mut outcome.text, &document, changed.as_deref());
    }
    outcome
}

/// One object as YAML.
pub fn text(value: &Value) -> String {
    write::document(value, None)
}

fn push(text: &mut String, document: &Document<'_>, changed: Option<&str>) {
    match changed {
        None => text.push_str(document.text),
        Some(changed) => {
            text.push_str(if document.is_marked() { "---\n" } else { "" });
            text.push_str(document.head());
            text.push_str(changed);
        }
    }
}
