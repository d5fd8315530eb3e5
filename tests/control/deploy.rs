//! What stands in `deploy/kubernetes`, held against the program.

use faregate::control::{crd, inject, webhook};
use serde_json::{Value, json};

use crate::api::{Api, PODS, TABLES, documents};
use crate::process::Control;
use crate::support::eventually;

#[test]
fn the_webhook_configurations_are_those_of_the_program() {
    let all = documents("deploy/kubernetes/webhook.yaml");
    assert_eq!(all.len(), 2);
    let entries: Vec<Value> = all.iter().flat_map(|object| object["webhooks"].as_array().unwrap().clone()).collect();
    let path = |entry: &Value| entry["clientConfig"]["service"]["path"].as_str().unwrap().to_owned();
    let paths: Vec<String> = entries.iter().map(path).collect();
    assert_eq!(paths, [webhook::INJECT_BY_NAMESPACE, webhook::INJECT_BY_OBJECT, webhook::VALIDATE, webhook::VALIDATE]);
    for entry in &entries {
        assert_eq!(entry["admissionReviewVersions"], json!(["v1"]));
        assert_eq!(entry["sideEffects"], "None");
        assert_eq!(entry["matchPolicy"], "Equivalent");
        assert_eq!(entry["failurePolicy"], "Fail");
        assert_eq!(entry["timeoutSeconds"], 5);
        assert!(entry["clientConfig"]["caBundle"].is_null(), "written by who makes certificates");
    }
    for entry in &entries[..2] {
        assert_eq!(entry["reinvocationPolicy"], "IfNeeded");
        assert_eq!(entry["rules"][0]["operations"], json!(["CREATE"]));
        assert_eq!(entry["rules"][0]["resources"], json!(["pods"]));
        let excluded = &entry["namespaceSelector"]["matchExpressions"][1];
        assert_eq!((&excluded["key"], &excluded["operator"]), (&json!("kubernetes.io/metadata.name"), &json!("NotIn")));
        assert_eq!(excluded["values"], json!(["kube-system", "kube-node-lease", "faregate-system"]));
        assert_eq!(entry["namespaceSelector"]["matchExpressions"][0]["key"], inject::INJECT);
    }
    assert_eq!(entries[2]["rules"][0]["apiGroups"], json!([crd::GROUP]));
    assert_eq!(entries[2]["rules"][0]["apiVersions"], json!([crd::VERSION]));
    assert_eq!(entries[2]["rules"][0]["resources"], json!([crd::PLURAL]));
}

/// Each pod is asked about by one entry at most, whatever its labels and its namespace's.
#[test]
fn the_entries_do_not_overlap() {
    let api = Api::start();
    api.apply_webhooks();
    api.namespace("on", &[("faregate.dev/inject", "enabled")], &[]);
    api.namespace("off", &[("faregate.dev/inject", "disabled")], &[]);
    let control = Control::start(&api, &[]);
    let pod = |namespace: &str, label: Option<&str>| {
        let labels = label.map_or_else(|| json!({}), |label| json!({ "faregate.dev/inject": label }));
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "namespace": namespace, "labels": labels },
            "spec": { "containers": [{ "name": "a", "image": "i" }] } })
    };
    eventually("the trust", || api.admit(control.webhook, PODS, &pod("on", None)).is_ok());
    let asked = |namespace: &str, label: Option<&str>| {
        api.admit(control.webhook, PODS, &pod(namespace, label)).map(|admitted| admitted.asked.join(" "))
    };
    let (by_namespace, by_object) =
        (Ok("namespace.inject.faregate.dev".to_owned()), Ok("object.inject.faregate.dev".to_owned()));
    assert_eq!(asked("on", None), by_namespace);
    assert_eq!(asked("on", Some("true")), by_namespace);
    assert_eq!(asked("on", Some("false")), Ok(String::new()));
    for other in ["off", "default"] {
        assert_eq!(asked(other, None), Ok(String::new()));
        assert_eq!(asked(other, Some("true")), by_object);
        assert_eq!(asked(other, Some("false")), Ok(String::new()));
        assert!(asked(other, Some("yes")).unwrap_err().contains("neither `true` nor `false`"));
    }
    for ours in ["kube-system", "kube-node-lease", "faregate-system"] {
        assert_eq!(asked(ours, Some("true")), Ok(String::new()));
    }
}

/// Every call of a whole life is granted, and every grant is needed by one.
#[test]
fn rbac_grants_what_is_needed_and_no_more() {
    let api = Api::start();
    api.apply_webhooks();
    // Certificates that are renewed within seconds: the Secret is created and updated, the trust written again.
    let arguments =
        ["--authority-lifetime=24s", "--certificate-lifetime=9s", "--authority-settling=3s", "--clock-skew=0"];
    let control = Control::start(&api, &arguments);
    let spec = json!({ "providers": { "p": { "base_url": "http://127.0.0.1:1/v1", "credentials": "none" } } });
    api.put(TABLES, json!({ "metadata": { "name": "default", "namespace": "default" }, "spec": spec }));
    let sidecar = crate::sidecars::sidecar(&api, &control, "default/web-1");
    eventually("every grant was needed", || api.unused_grants().is_empty());
    drop(sidecar);
    assert!(control.stop().success());
    assert_eq!(api.refused(), []);
}
