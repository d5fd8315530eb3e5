//! What the API server asks webhooks before it takes an object from a user: as the stored webhook configurations say, over
//! HTTPS, trusting their `caBundle` alone.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::store::Refusal;
use super::{Api, ENDPOINTS, Kind, MUTATING, NAMESPACES, Shared, VALIDATING, select};
use crate::caller::Caller;

/// What became of an object.
#[derive(Debug)]
pub struct Admitted {
    /// As it would be stored.
    pub object: Value,
    pub warnings: Vec<String>,
    /// The webhooks that were asked, by name.
    pub asked: Vec<String>,
}

impl Api {
    /// Asks the webhooks of the configurations `faregate` about an object that a user creates.
    ///
    /// # Errors
    /// The message of the denial, or why a webhook could not be asked.
    pub fn admit(&self, webhook: SocketAddr, kind: Kind, object: &Value) -> Result<Admitted, String> {
        self.shared.admit(|_| Ok(webhook), kind, object)
    }

    /// The same, and stores it.
    ///
    /// # Errors
    /// As for [`Api::admit`].
    pub fn create(&self, webhook: SocketAddr, kind: Kind, object: &Value) -> Result<Admitted, String> {
        let admitted = self.admit(webhook, kind, object)?;
        self.put(kind, admitted.object.clone());
        Ok(admitted)
    }
}

impl Shared {
    /// What is stored of an object that comes by HTTP, where the Endpoints of a Service tell who answers for it.
    pub fn admitted(&self, kind: Kind, object: &Value) -> Result<Value, Refusal> {
        let service = |entry: &Value| {
            let service = &entry["clientConfig"]["service"];
            let [namespace, name] = ["namespace", "name"].map(|key| service[key].as_str().unwrap_or_default());
            let subset = self.get(ENDPOINTS, namespace, name).unwrap_or_default()["subsets"][0].clone();
            let (host, port) = (&subset["addresses"][0]["ip"], &subset["ports"][0]["port"]);
            let address = format!("{}:{port}", host.as_str().unwrap_or_default());
            address.parse().map_err(|_| format!("no endpoints available for service \"{name}\""))
        };
        match self.admit(service, kind, object) {
            Ok(admitted) => Ok(admitted.object),
            Err(why) => Err(Refusal(400, "BadRequest", format!("admission webhook: {why}"))),
        }
    }

    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Value> {
        self.store.lock().unwrap().get(kind, namespace, name).cloned()
    }

    fn admit(
        &self,
        webhook: impl Fn(&Value) -> Result<SocketAddr, String>,
        kind: Kind,
        object: &Value,
    ) -> Result<Admitted, String> {
        let mut admitted = Admitted { object: object.clone(), warnings: Vec::new(), asked: Vec::new() };
        for configuration in [MUTATING, VALIDATING].into_iter().filter_map(|kind| self.get(kind, "", "faregate")) {
            for entry in configuration["webhooks"].as_array().unwrap() {
                if self.selects(entry, kind, &admitted.object) {
                    ask(webhook(entry)?, entry, kind, &mut admitted)?;
                }
            }
        }
        Ok(admitted)
    }

    fn selects(&self, entry: &Value, kind: Kind, object: &Value) -> bool {
        let has = |list: &Value, word: &str| list.as_array().unwrap().iter().any(|known| known == word);
        let rules = entry["rules"].as_array().unwrap().iter().any(|rule| {
            has(&rule["apiGroups"], kind.group)
                && has(&rule["apiVersions"], kind.version)
                && has(&rule["resources"], kind.plural)
                && has(&rule["operations"], "CREATE")
        });
        if !rules {
            return false;
        }
        let namespace = self.get(NAMESPACES, "", &Kind::namespace_of(object)).expect("the namespace");
        let conditions = entry["matchConditions"].as_array().into_iter().flatten().all(|condition| {
            // CEL is not spoken here; this is the one condition that there is.
            assert_eq!(condition["expression"], "!has(object.spec.hostNetwork) || !object.spec.hostNetwork");
            object["spec"]["hostNetwork"] != true
        });
        select::matches(&namespace, &entry["namespaceSelector"])
            && select::matches(object, &entry["objectSelector"])
            && conditions
    }
}

/// The question about an object that is created.
pub fn review(kind: Kind, object: &Value) -> Value {
    let gvk = json!({ "group": kind.group, "version": kind.version, "kind": kind.kind });
    let gvr = json!({ "group": kind.group, "version": kind.version, "resource": kind.plural });
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": gvk, "resource": gvr, "requestKind": gvk, "requestResource": gvr,
            "name": Kind::name_of(object), "namespace": Kind::namespace_of(object),
            "operation": "CREATE", "userInfo": { "username": "somebody" },
            "object": object, "oldObject": null, "dryRun": false, "options": { "kind": "CreateOptions" },
        },
    })
}

fn ask(webhook: SocketAddr, entry: &Value, kind: Kind, admitted: &mut Admitted) -> Result<(), String> {
    let service = &entry["clientConfig"]["service"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = format!("{}.{}.svc", text(&service["name"]), text(&service["namespace"]));
    let bundle = STANDARD.decode(text(&entry["clientConfig"]["caBundle"])).unwrap();
    let caller = Caller::new(webhook, &name, &String::from_utf8(bundle).unwrap());
    let path = format!("{}?timeout={}s", text(&service["path"]), entry["timeoutSeconds"]);
    let body = review(kind, &admitted.object);
    let (status, answer) = caller.post(&path, "application/json", body.to_string().as_bytes())?;
    if status != 200 {
        return Err(format!("{}: {status}: {}", entry["name"], String::from_utf8_lossy(&answer)));
    }
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let response = &answer["response"];
    assert_eq!(response["uid"], body["request"]["uid"]);
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    admitted.asked.push(text(&entry["name"]));
    admitted.warnings.extend(response["warnings"].as_array().into_iter().flatten().map(text));
    if response["allowed"] != true {
        return Err(text(&response["status"]["message"]));
    }
    if response["patchType"] == "JSONPatch" {
        let patch = STANDARD.decode(text(&response["patch"])).unwrap();
        let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
        json_patch::patch(&mut admitted.object, &patch).unwrap();
    }
    Ok(())
}
