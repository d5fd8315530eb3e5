//! What `deploy/kubernetes/control-rbac.yaml` grants, held against calls.

use serde_json::Value;

use super::documents;

/// A call to the API server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    pub verb: &'static str,
    pub group: String,
    /// With its subresource: `routingtables/status`.
    pub resource: String,
    pub namespace: String,
    pub name: String,
}

/// All grants.
pub struct Rules(Vec<Grant>);

/// One verb on one resource.
struct Grant {
    verb: String,
    group: String,
    resource: String,
    /// In this namespace alone, where there is one.
    namespace: Option<String>,
    /// For these names alone, unless there are none.
    names: Vec<String>,
}

impl Rules {
    /// Those of the repository's file.
    pub fn granted() -> Self {
        let words = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let mut grants = Vec::new();
        for object in documents("deploy/kubernetes/control-rbac.yaml") {
            let namespace =
                (object["kind"] == "Role").then(|| object["metadata"]["namespace"].as_str().unwrap().to_owned());
            for rule in object["rules"].as_array().into_iter().flatten() {
                for group in words(&rule["apiGroups"]) {
                    for resource in words(&rule["resources"]) {
                        for verb in words(&rule["verbs"]) {
                            assert!(![&group, &resource, &verb].iter().any(|word| word.contains('*')), "{rule}");
                            let (group, resource) = (group.clone(), resource.clone());
                            let names = words(&rule["resourceNames"]);
                            grants.push(Grant { verb, group, resource, namespace: namespace.clone(), names });
                        }
                    }
                }
            }
        }
        assert!(grants.len() > 10);
        Self(grants)
    }

    pub fn allow(&self, call: &Call) -> bool {
        self.0.iter().any(|grant| grant.covers(call))
    }

    /// Grants that none of the calls needed.
    pub fn unused(&self, calls: &[Call]) -> Vec<String> {
        let unused = self.0.iter().filter(|grant| !calls.iter().any(|call| grant.covers(call)));
        unused.map(|grant| format!("{} {}.{}", grant.verb, grant.resource, grant.group)).collect()
    }
}

impl Grant {
    fn covers(&self, call: &Call) -> bool {
        self.verb == call.verb
            && self.group == call.group
            && self.resource == call.resource
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == call.namespace)
            && (self.names.is_empty() || self.names.contains(&call.name))
    }
}
