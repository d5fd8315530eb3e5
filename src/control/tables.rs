//! Routing tables as they stand in a cluster: the spec of a `RoutingTable`, or the `faregate.yaml` of a labelled ConfigMap.
//! Read, checked as `faregate check` does, and chosen among. Pure.
//!
//! What a table names outside of itself (environment variables, files) is in the sidecars' pods and not looked at here. A
//! secret in the open is refused: whoever may read tables would read it.
//!
//! Must not know how tables come here nor where they go. Start with [`read`] and [`Known`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::Value;

use super::crd::ON_IN_YAML_1_1;
use super::snapshot::Snapshot;
use crate::config::{Problem, Problems};

/// The name of the RoutingTable that is used in its namespace.
pub const DEFAULT: &str = "default";
/// The label of ConfigMaps that hold a table.
pub const LABEL: &str = "faregate.dev/routing-table";
/// Where in a ConfigMap the table stands.
pub const KEY: &str = "faregate.yaml";

/// In what a table stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A resource of the kind `RoutingTable`. Wins over a ConfigMap.
    RoutingTable,
    /// A labelled ConfigMap.
    ConfigMap,
}

impl Origin {
    /// As metrics and logs say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoutingTable => "RoutingTable",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

/// A table that was read.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What sidecars would get; there unless there are errors.
    pub snapshot: Option<Snapshot>,
    /// What forbids its use, each with its key, and its line where there is a text.
    pub errors: Vec<String>,
    /// What probably does not do what its author wants.
    pub warnings: Vec<String>,
}

impl Candidate {
    /// Whether nothing else is to be said of the other.
    pub fn is_same(&self, other: &Self) -> bool {
        let text = |candidate: &Self| candidate.snapshot.as_ref().map(|snapshot| Arc::clone(&snapshot.text));
        text(self) == text(other) && (&self.errors, &self.warnings) == (&other.errors, &other.warnings)
    }
}

/// Whether an object claims to be a table: a ConfigMap needs the label.
pub fn is_meant(origin: Origin, object: &Value) -> bool {
    let label = || object.get("metadata").and_then(|metadata| metadata.get("labels")?.get(LABEL)?.as_str());
    origin == Origin::RoutingTable || label() == Some("true")
}

/// Whether two objects hold the same table.
pub fn same(origin: Origin, a: &Value, b: &Value) -> bool {
    let part = |object: &Value| match origin {
        Origin::RoutingTable => object.get("spec").cloned(),
        Origin::ConfigMap => object.get("data").and_then(|data| data.get(KEY)).cloned(),
    };
    part(a) == part(b) && is_meant(origin, b)
}

/// Reads and checks the table of an object.
pub fn read(origin: Origin, object: &Value) -> Candidate {
    match origin {
        Origin::RoutingTable => {
            let spec = object.get("spec").cloned().unwrap_or(Value::Null);
            if !spec.is_object() {
                return refused("spec: is missing; it is the table, docs/configuration.md".into());
            }
            check(&mended(spec).to_string(), origin)
        }
        Origin::ConfigMap => match object.get("data").and_then(|data| data.get(KEY)?.as_str()) {
            Some(text) => check(text, origin),
            None => refused(format!("data: there is no {KEY}; it is the table, docs/configuration.md")),
        },
    }
}

fn refused(error: String) -> Candidate {
    Candidate { snapshot: None, errors: vec![error], warnings: Vec::new() }
}

/// `retry.on` written without quotes, as it comes from `kubectl`.
fn mended(mut spec: Value) -> Value {
    let mend = |holder: &mut Value| {
        let Some(retry) = holder.get_mut("retry").and_then(Value::as_object_mut) else { return };
        if !retry.contains_key("on")
            && let Some(on) = retry.remove(ON_IN_YAML_1_1)
        {
            retry.insert("on".into(), on);
        }
    };
    if let Some(defaults) = spec.get_mut("defaults") {
        mend(defaults);
    }
    spec.get_mut("routes").and_then(Value::as_array_mut).into_iter().flatten().for_each(mend);
    spec
}

fn check(text: &str, origin: Origin) -> Candidate {
    let shown = |problem: &Problem| show(problem, origin);
    match Snapshot::compile(text, KEY) {
        Ok(snapshot) => {
            let warnings = snapshot.warnings.iter().map(shown).collect();
            Candidate { snapshot: Some(snapshot), errors: Vec::new(), warnings }
        }
        Err(problems) => {
            let of = |problems: &Problems| problems.errors().map(shown).collect();
            Candidate { snapshot: None, errors: of(&problems), warnings: problems.warnings().map(shown).collect() }
        }
    }
}

/// A finding, without the place in a text that nobody has seen.
fn show(problem: &Problem, origin: Origin) -> String {
    let advice = problem.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
    match (origin, problem.key.as_str()) {
        (Origin::RoutingTable, "") => format!("spec: {}{advice}", problem.message),
        (Origin::RoutingTable, key) => format!("spec.{key}: {}{advice}", problem.message),
        (Origin::ConfigMap, "") => format!("{}: {}{advice}", problem.place, problem.message),
        (Origin::ConfigMap, key) => format!("{}: {key}: {}{advice}", problem.place, problem.message),
    }
}

/// Which objects in the cluster hold tables, and so which of them is used where.
#[derive(Debug, Default)]
pub struct Known(RwLock<BTreeMap<String, BTreeSet<(Origin, String)>>>);

impl Known {
    /// An object is there.
    pub fn insert(&self, namespace: &str, origin: Origin, name: &str) {
        self.0.write().entry(namespace.to_owned()).or_default().insert((origin, name.to_owned()));
    }

    /// An object is gone.
    pub fn remove(&self, namespace: &str, origin: Origin, name: &str) {
        let mut all = self.0.write();
        if let Some(here) = all.get_mut(namespace) {
            here.remove(&(origin, name.to_owned()));
            if here.is_empty() {
                all.remove(namespace);
            }
        }
    }

    /// The object whose table is used in a namespace: the RoutingTable `default`, else the labelled ConfigMap that comes
    /// first by its name.
    pub fn used(&self, namespace: &str) -> Option<(Origin, String)> {
        let all = self.0.read();
        let usable = |(origin, name): &&(Origin, String)| *origin == Origin::ConfigMap || name == DEFAULT;
        all.get(namespace)?.iter().find(usable).cloned()
    }

    /// What of a namespace is not used, because another is.
    pub fn shadowed(&self, namespace: &str) -> Vec<String> {
        let Some(used) = self.used(namespace) else { return Vec::new() };
        let all = self.0.read();
        let rest = all.get(namespace).into_iter().flatten();
        let rest = rest.filter(|(origin, name)| *origin == Origin::ConfigMap && (*origin, name) != (used.0, &used.1));
        rest.map(|(_, name)| format!("the ConfigMap `{name}` of the namespace is not used: this table comes before it"))
            .collect()
    }

    /// Why an object's table is not used, where it is not. The object itself need not be known.
    pub fn beside(&self, origin: Origin, namespace: &str, name: &str) -> Option<String> {
        if origin == Origin::RoutingTable {
            let said = || format!("only the RoutingTable named `{DEFAULT}` is used; this one is not");
            return (name != DEFAULT).then(said);
        }
        let (other, used) = self.used(namespace)?;
        ((other, used.as_str()) < (origin, name)).then(|| {
            format!("this table is not used: the {} `{used}` of the namespace comes before it", other.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_spec_is_checked_like_a_file() {
        let spec = json!({ "providers": { "a": { "base_url": "http://a/v1", "credentials": { "env": "NOWHERE" } } },
            "routes": [{ "name": "r", "targets": [{ "provider": "a" }] }] });
        let good = read(Origin::RoutingTable, &json!({ "spec": spec }));
        assert_eq!(good.errors, Vec::<String>::new());
        // The same as a file, and so of the same name.
        let file = "providers: {a: {base_url: 'http://a/v1', credentials: {env: NOWHERE}}}\n\
                    routes: [{name: r, targets: [{provider: a}]}]\n";
        assert_eq!(good.snapshot.unwrap().hash, Snapshot::compile(file, "f").unwrap().hash);

        let mut bad = spec;
        bad["routes"][0]["targets"][0]["provider"] = json!("b");
        bad["routes"][0]["retries"] = json!(3);
        let bad = read(Origin::RoutingTable, &json!({ "spec": bad }));
        assert!(bad.snapshot.is_none());
        assert_eq!(bad.errors.len(), 2, "{:?}", bad.errors);
        assert!(bad.errors.iter().any(|e| e.starts_with("spec.routes[0].retries: there is no such key")));
        assert!(
            bad.errors.iter().any(|e| e.starts_with("spec.routes[0].targets[0].provider: no provider is called `b`"))
        );
        assert!(read(Origin::RoutingTable, &json!({})).errors[0].starts_with("spec: is missing"));
    }

    #[test]
    fn a_config_map_is_told_its_lines() {
        let object = |text: &str| json!({ "metadata": { "labels": { LABEL: "true" } }, "data": { KEY: text } });
        let bad = read(Origin::ConfigMap, &object("routes:\n- name: r\n  targets:\n  - provider: nobody\n"));
        let place = "faregate.yaml:4:15: routes[0].targets[0].provider: no provider is called `nobody`";
        assert!(bad.errors.iter().any(|error| error.starts_with(place)), "{:?}", bad.errors);
        assert!(read(Origin::ConfigMap, &object("a: [")).errors[0].starts_with("faregate.yaml:1:"));
        assert!(read(Origin::ConfigMap, &json!({ "data": {} })).errors[0].contains("there is no faregate.yaml"));
        assert!(!is_meant(Origin::ConfigMap, &json!({ "data": { KEY: "" } })));
    }

    #[test]
    fn a_plain_on_of_kubectl_is_the_key_on() {
        let spec = |key: &str| {
            json!({ "spec": { "defaults": { "retry": { key: ["connect"] } },
            "providers": { "a": { "base_url": "http://a/v1", "credentials": "none" } },
            "routes": [{ "name": "r", "retry": { key: ["connect"] }, "targets": [{ "provider": "a" }] }] } })
        };
        let (plain, quoted) = (read(Origin::RoutingTable, &spec("true")), read(Origin::RoutingTable, &spec("on")));
        assert_eq!(plain.errors, Vec::<String>::new());
        assert_eq!(plain.snapshot.unwrap().hash, quoted.snapshot.unwrap().hash);
        let mut both = spec("on");
        both["spec"]["routes"][0]["retry"]["true"] = json!([]);
        assert!(read(Origin::RoutingTable, &both).errors[0].contains("routes[0].retry.true: there is no such key"));
    }

    #[test]
    fn a_secret_in_the_open_is_refused_and_not_repeated() {
        let text = "providers:\n  a: {base_url: \"http://a/v1\", credentials: {insecure_inline: sk-123}}\n";
        let refused = read(Origin::ConfigMap, &json!({ "data": { KEY: text } }));
        assert!(refused.errors[0].contains("providers.a.credentials.insecure_inline"), "{:?}", refused.errors);
        assert!(!refused.errors.join("").contains("sk-123"));
        assert!(refused.snapshot.is_none());
    }

    #[test]
    fn one_table_is_used_in_a_namespace() {
        let known = Known::default();
        known.insert("shop", Origin::ConfigMap, "b");
        known.insert("shop", Origin::ConfigMap, "a");
        known.insert("shop", Origin::RoutingTable, "other");
        assert_eq!(known.used("shop"), Some((Origin::ConfigMap, "a".into())));
        assert_eq!(known.beside(Origin::ConfigMap, "shop", "a"), None);
        assert!(known.beside(Origin::ConfigMap, "shop", "b").unwrap().contains("ConfigMap `a`"));
        assert!(known.beside(Origin::RoutingTable, "shop", "other").unwrap().contains("only the RoutingTable named"));
        known.insert("shop", Origin::RoutingTable, DEFAULT);
        assert_eq!(known.used("shop"), Some((Origin::RoutingTable, DEFAULT.into())));
        assert!(known.beside(Origin::ConfigMap, "shop", "a").unwrap().contains("RoutingTable `default`"));
        assert_eq!(known.beside(Origin::RoutingTable, "shop", DEFAULT), None);
        known.remove("shop", Origin::RoutingTable, DEFAULT);
        known.remove("shop", Origin::ConfigMap, "a");
        assert_eq!(known.used("shop"), Some((Origin::ConfigMap, "b".into())));
        assert_eq!(known.used("elsewhere"), None);
    }
}
