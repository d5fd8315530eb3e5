//! Pods that should have the sidecar and have none, and pods with an old one, as metrics.

use serde_json::{Value, json};

use crate::api::{Api, PODS};
use crate::process::Control;
use crate::support::eventually;

fn pod(namespace: &str, name: &str, label: Option<&str>) -> Value {
    let mut pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": namespace, "labels": {} },
        "spec": { "containers": [{ "name": "a", "image": "i" }] }, "status": { "phase": "Running" } });
    if let Some(label) = label {
        pod["metadata"]["labels"]["faregate.dev/inject"] = json!(label);
    }
    pod
}

#[test]
fn pods_without_the_sidecar_and_with_an_old_one_are_counted() {
    let api = Api::start();
    api.apply_webhooks();
    api.namespace("shop", &[("faregate.dev/inject", "enabled")], &[]);
    let control = Control::start(&api, &[]);
    let counts = || {
        let metrics = control.metrics();
        let of = |name: &str, namespace: &str| metrics.value(name, &[("namespace", namespace)]);
        (
            of("faregate_control_uninjected_pods", "shop"),
            of("faregate_control_outdated_pods", "shop"),
            of("faregate_control_uninjected_pods", "default"),
        )
    };
    let declined = |reason: &str| {
        control.metrics().value("faregate_control_declined_pods", &[("namespace", "shop"), ("reason", reason)])
    };
    // Made while the webhook was away.
    api.put(PODS, pod("shop", "one", None));
    api.put(PODS, pod("shop", "no-thanks", Some("false")));
    let mut on_node = pod("shop", "on-its-node", None);
    on_node["spec"]["hostNetwork"] = json!(true);
    api.put(PODS, on_node);
    let mut windows = pod("shop", "on-windows", None);
    windows["spec"]["nodeSelector"] = json!({ "kubernetes.io/os": "windows" });
    api.put(PODS, windows);
    let mut leaves = pod("shop", "leaves", None);
    leaves["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    api.put(PODS, leaves);
    let mut over = pod("shop", "over", None);
    over["status"]["phase"] = json!("Succeeded");
    api.put(PODS, over);
    api.put(PODS, pod("default", "not-asked", None));
    eventually("one pod is without", || counts() == (Some(1.0), Some(0.0), None));
    assert_eq!((declined("host_network"), declined("windows")), (Some(1.0), Some(1.0)));
    eventually("it is named", || control.log().contains("a pod asks for the sidecar and has none"));
    assert!(!control.log().contains("on-windows"), "{}", control.log());
    api.put(PODS, pod("default", "asks", Some("true")));
    eventually("another one, elsewhere", || counts() == (Some(1.0), Some(0.0), Some(1.0)));
    // One that gets it.
    eventually("a pod is injected", || api.create(control.webhook, PODS, &pod("shop", "two", None)).is_ok());
    assert_eq!(counts().0, Some(1.0));
    // The namespace changes its mind about the sidecar: what runs is old.
    api.namespace("shop", &[("faregate.dev/inject", "enabled")], &[("faregate.dev/cpu-limit", "2")]);
    eventually("the injected one is old", || counts() == (Some(1.0), Some(1.0), Some(1.0)));
    api.delete(PODS, "shop", "one");
    api.delete(PODS, "shop", "two");
    eventually("nothing is left in the shop", || counts() == (None, None, Some(1.0)));
    // A namespace that is asked for later: its pods are there already.
    api.namespace("default", &[("faregate.dev/inject", "enabled")], &[]);
    eventually("the pods that were there", || counts().2 == Some(2.0));
    assert_eq!(api.refused(), []);
}

#[test]
fn it_can_be_left_out() {
    let api = Api::start();
    api.namespace("shop", &[("faregate.dev/inject", "enabled")], &[]);
    api.put(PODS, pod("shop", "one", None));
    let control = Control::start(&api, &["--no-watchdog"]);
    eventually("it leads", || control.leads());
    assert_eq!(control.metrics().value("faregate_control_uninjected_pods", &[("namespace", "shop")]), None);
    assert!(!api.unused_grants().is_empty(), "pods are not looked at");
    assert!(api.unused_grants().iter().any(|grant| grant == "watch pods."), "{:?}", api.unused_grants());
}
