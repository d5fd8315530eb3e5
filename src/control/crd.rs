//! The kind `RoutingTable`, as Kubernetes is told of it: its `spec` is the configuration file, its schema made from the
//! same types.
//!
//! The schema of a resource must be structural, which JSON Schema need not be: references are written out, a value that
//! may be of several kinds is left to Faregate's own checks, which know all that a schema cannot say anyway. Defaults are
//! left out: what the file does not say, a later version may decide otherwise. Start with [`crd`].

use serde_json::{Map, Value, json};

use super::manifest;
use crate::config;

/// What of JSON Schema means the same in a structural schema.
const KEPT: [&str; 7] = ["description", "pattern", "minimum", "maximum", "minItems", "required", "enum"];
/// Formats that the API server knows; others it would warn of.
const FORMATS: [&str; 4] = ["int32", "int64", "float", "double"];
/// What `kubectl` makes of a plain `on` as a key, being YAML 1.1.
pub(super) const ON_IN_YAML_1_1: &str = "true";
/// What stands for any value at all.
const ANYTHING: &str = "x-kubernetes-preserve-unknown-fields";

/// The kind's group.
pub const GROUP: &str = "faregate.dev";
/// Its only version.
pub const VERSION: &str = "v1alpha1";
/// Its name.
pub const KIND: &str = "RoutingTable";
/// Its name in URLs.
pub const PLURAL: &str = "routingtables";

/// The CustomResourceDefinition.
pub fn crd() -> Value {
    let file = config::schema();
    let mut spec = convert(&file, &file["$defs"]);
    spec["description"] = json!("The routing table: a configuration file of Faregate, docs/configuration.md.");
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{PLURAL}.{GROUP}") },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": "RoutingTableList",
                "plural": PLURAL,
                "singular": "routingtable",
                "categories": ["faregate"],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": {
                    "description": "Where calls go, and how.",
                    "type": "object",
                    "required": ["spec"],
                    "properties": {
                        "apiVersion": { "type": "string" },
                        "kind": { "type": "string" },
                        "metadata": { "type": "object" },
                        "spec": spec,
                        "status": status(),
                    },
                } },
                "subresources": { "status": {} },
                "additionalPrinterColumns": columns(),
            }],
        },
    })
}

/// What the control plane says of a table.
fn status() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let number = |description: &str| json!({ "type": "integer", "description": description });
    let condition = json!({
        "type": "object",
        "required": ["type", "status"],
        "properties": {
            "type": text("Accepted: the table is sound. ResolvedRefs: what it names in pods, keys and files, is there. Programmed: every connected sidecar runs it."),
            "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
            "reason": text("Why, in one word."),
            "message": text("Why, in full."),
            "observedGeneration": number("The generation that this is said of."),
            "lastTransitionTime": text("When the status last changed."),
        },
    });
    json!({
        "type": "object",
        "description": "What the control plane says of the table.",
        "properties": {
            "observedGeneration": number("The generation that this is said of."),
            "hash": text("The table that sidecars get: the last good one. Sidecars show it in faregate_config_info."),
            "sidecars": {
                "type": "object",
                "description": "The connected sidecars whose table it is.",
                "properties": {
                    "connected": number("All of them."),
                    "programmed": number("Those that run it."),
                    "refused": number("Those that cannot use it, and keep the one that they had."),
                },
            },
            "conditions": {
                "type": "array",
                "items": condition,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        },
    })
}

/// What `kubectl get` shows.
fn columns() -> Value {
    let condition = |kind: &str| json!({ "name": kind, "type": "string", "jsonPath": format!(".status.conditions[?(@.type==\"{kind}\")].status") });
    let of_status = |name: &str, kind: &str, path: &str| json!({ "name": name, "type": kind, "jsonPath": format!(".status.{path}") });
    json!([
        condition("Accepted"),
        condition("Programmed"),
        of_status("Sidecars", "integer", "sidecars.connected"),
        of_status("Running", "integer", "sidecars.programmed"),
        of_status("Hash", "string", "hash"),
        { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
    ])
}

/// The same as it is committed and printed.
pub fn crd_text() -> String {
    manifest::text(&crd())
}

fn convert(schema: &Value, definitions: &Value) -> Value {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let mut target = convert(&definitions[name.trim_start_matches("#/$defs/")], definitions);
        // What is said of this use of it wins.
        if let Some(description) = schema.get("description") {
            target["description"] = description.clone();
        }
        return target;
    }
    if let Some(choices) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        return alternatives(schema, choices, definitions);
    }
    let mut out = Map::new();
    for key in KEPT {
        out.extend(schema.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    out.extend(schema.get("const").map(|word| ("enum".to_owned(), json!([word]))));
    out.extend(
        schema
            .get("format")
            .filter(|format| FORMATS.iter().any(|known| *format == known))
            .map(|format| ("format".to_owned(), format.clone())),
    );
    out.extend(kind(schema));
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let properties = out.entry("properties").or_insert_with(|| json!({}));
        properties[name] = convert(inner, definitions);
        if name == "on" {
            properties[ON_IN_YAML_1_1] = properties[name].clone();
            properties[ON_IN_YAML_1_1]["description"] =
                json!("`on`, as it comes from kubectl when it is written without quotes.");
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(key).filter(|inner| inner.is_object()) {
            out.insert(key.into(), convert(inner, definitions));
        }
    }
    out.into()
}

/// The type: one, that one or null, a number with a unit, or whatever.
fn kind(schema: &Value) -> Vec<(String, Value)> {
    let all: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut out = Vec::new();
    let mut rest: Vec<&str> = all.iter().copied().filter(|kind| *kind != "null").collect();
    rest.sort_unstable();
    match rest.as_slice() {
        [one] => out.push(("type".to_owned(), json!(one))),
        ["integer", "string"] => out.push(("x-kubernetes-int-or-string".to_owned(), json!(true))),
        _ => out.push((ANYTHING.to_owned(), json!(true))),
    }
    if all.len() > rest.len() {
        out.push(("nullable".to_owned(), json!(true)));
    }
    out
}

/// One thing or null, one of several words, or what only Faregate's own checks tell apart.
fn alternatives(schema: &Value, choices: &[Value], definitions: &Value) -> Value {
    let (nothing, rest): (Vec<&Value>, Vec<&Value>) =
        choices.iter().partition(|choice| choice.get("type").is_some_and(|kind| kind == "null"));
    let mut converted: Vec<Value> = rest.iter().map(|choice| convert(choice, definitions)).collect();
    let is_word =
        |choice: &Value| choice.get("type").is_some_and(|kind| kind == "string") && choice.get("enum").is_some();
    let mut out = if converted.len() == 1 {
        converted.remove(0)
    } else if converted.iter().all(is_word) {
        let words: Vec<&Value> = converted.iter().filter_map(|choice| choice["enum"].as_array()).flatten().collect();
        json!({ "type": "string", "enum": words, "description": "" })
    } else {
        json!({ ANYTHING: true })
    };
    if let Some(description) = schema.get("description") {
        out["description"] = description.clone();
    }
    if !nothing.is_empty() {
        out["nullable"] = json!(true);
        if let Some(words) = out.get_mut("enum").and_then(Value::as_array_mut) {
            words.push(Value::Null);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What makes a schema structural, and what the API server forbids.
    /// <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>
    fn breaches(schema: &Value, place: &str, found: &mut Vec<String>) {
        let known = [
            "type",
            "description",
            "properties",
            "items",
            "additionalProperties",
            "required",
            "enum",
            "pattern",
            "minimum",
            "maximum",
            "minItems",
            "nullable",
            "format",
            "x-kubernetes-int-or-string",
            "x-kubernetes-list-type",
            "x-kubernetes-list-map-keys",
            ANYTHING,
        ];
        let map = schema.as_object().unwrap();
        found.extend(map.keys().filter(|key| !known.contains(&key.as_str())).map(|key| format!("{place}: {key}")));
        let free = map.contains_key(ANYTHING) || map.contains_key("x-kubernetes-int-or-string");
        if free == map.contains_key("type") {
            found.push(format!("{place}: a type, or what stands for one"));
        }
        if map.contains_key("properties") && map.contains_key("additionalProperties") {
            found.push(format!("{place}: properties and additionalProperties"));
        }
        for required in map.get("required").and_then(Value::as_array).into_iter().flatten() {
            if schema["properties"].get(required.as_str().unwrap()).is_none() {
                found.push(format!("{place}: {required} is required and unknown"));
            }
        }
        for (name, inner) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
            breaches(inner, &format!("{place}.{name}"), found);
        }
        for key in ["items", "additionalProperties"] {
            if let Some(inner) = map.get(key) {
                breaches(inner, &format!("{place}.{key}"), found);
            }
        }
    }

    #[test]
    fn the_schema_is_structural() {
        let crd = crd();
        let mut found = Vec::new();
        breaches(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "", &mut found);
        assert_eq!(found, Vec::<String>::new());
        // As planted, so heard.
        breaches(&json!({ "$ref": "x", "required": ["a"] }), "planted", &mut found);
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn every_section_of_the_file_is_there() {
        let crd = crd();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        for section in config::schema()["properties"].as_object().unwrap().keys() {
            assert!(spec["properties"][section]["type"].is_string(), "{section}");
        }
        let route = &spec["properties"]["routes"]["items"];
        assert_eq!(route["required"], json!(["name", "targets"]));
        assert_eq!(route["properties"]["strategy"]["enum"], json!(["fallback", "weighted"]));
        assert_eq!(route["properties"]["timeouts"]["properties"]["total"]["x-kubernetes-int-or-string"], true);
        assert_eq!(route["properties"]["sticky"][ANYTHING], true);
    }

    #[test]
    fn the_committed_file_is_this() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kubernetes/routing-table.crd.yaml");
        let text = crd_text();
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
            std::fs::write(path, &text).unwrap();
        }
        assert!(std::fs::read_to_string(path).unwrap_or_default() == text, "{path} is stale: run with BLESS=1");
        // `kubectl apply` keeps the whole of it in an annotation.
        assert!(text.len() < 200_000, "{} bytes", text.len());
    }
}
