//! The annotation that an injected pod carries: what was put into it, so that it can be told from the user's own.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pack::PLACEHOLDER;
use super::pod;

/// What was put into a pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    /// Version of the Faregate that injected.
    pub(super) version: String,
    /// Hash of the sidecar, its volumes and the variables: pods with another one run an old template.
    pub(super) template: String,
    /// Port of the API, which the base URLs name: by their values, our variables are told from the user's.
    pub(super) port: u16,
    /// By container, the user's own variables that have such values too.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) kept: BTreeMap<String, BTreeSet<String>>,
}

impl Status {
    /// What the annotation says; nothing where it cannot be read.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The annotation's text.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether a container's variable was put there by the injection that this tells of. Before one, none was.
    pub(super) fn set(&self, container: &str, variable: &Value) -> bool {
        let name = pod::name(variable);
        looks_like_ours(variable, self.port) && !self.kept.get(container).is_some_and(|kept| kept.contains(name))
    }
}

/// Whether a variable has a value such as ours have: a placeholder, or a URL that leads to the sidecar.
pub(super) fn looks_like_ours(variable: &Value, port: u16) -> bool {
    let url = format!("http://127.0.0.1:{port}/");
    let value = variable.get("value").and_then(Value::as_str);
    port != 0 && value.is_some_and(|value| value == PLACEHOLDER || value.starts_with(&url))
}

/// A hash that is the same on every machine and in every build (FNV-1a, 64 bits): it tells versions apart and guards
/// nothing.
pub(super) fn hash(values: &[&Value]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in values.iter().flat_map(|value| value.to_string().into_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}
