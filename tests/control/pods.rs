//! Every pod of the corpus of tests/inject through the webhook: exactly the pod that `faregate inject` makes, the same words
//! to its owner.

use std::collections::BTreeMap;
use std::path::Path;

use faregate::control::inject::{Injector, Namespace, Settings};
use faregate::control::manifest::{self, Fate};
use serde_json::{Value, json};

use crate::api::admission::review;
use crate::api::{Api, NAMESPACES, PODS};
use crate::process::Control;
use crate::support::eventually;

const NAMESPACE: &str = "shop";
/// Where pods stand in objects that make them.
const TEMPLATES: [&str; 2] = ["/spec/jobTemplate/spec/template", "/spec/template"];

/// The pods of a text, each as an API server would get it; namespaces are made on the way.
fn pods(api: &Api, text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let parts = format!("\n{text}");
    for part in parts.split("\n---").map(|part| part.split_once('\n').map_or("", |(_, rest)| rest)) {
        let Some(object) = serde_json::from_str(part).ok().or_else(|| manifest::value(part).ok()) else { continue };
        let items = object["items"].as_array().cloned().unwrap_or_else(|| vec![object]);
        for object in items {
            if object["kind"] == "Namespace" {
                api.put(NAMESPACES, object.clone());
                continue;
            }
            let pod = if object["kind"] == "Pod" {
                Some(&object)
            } else {
                TEMPLATES.iter().find_map(|at| object.pointer(at))
            };
            let Some(mut pod) = pod.filter(|pod| pod.is_object()).cloned() else { continue };
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE);
            pod["apiVersion"] = json!("v1");
            pod["kind"] = json!("Pod");
            if !pod["metadata"].is_object() {
                pod["metadata"] = json!({});
            }
            pod["metadata"]["namespace"] = json!(namespace);
            if pod["metadata"]["name"].is_null() && pod["metadata"]["generateName"].is_null() {
                pod["metadata"]["name"] = object["metadata"]["name"].clone();
            }
            found.push(pod);
        }
    }
    found
}

/// A namespace as the API server has it.
fn namespace(api: &Api, name: &str) -> Namespace {
    let object = api.get(NAMESPACES, "", name).unwrap_or_default();
    let words = |key: &str| -> BTreeMap<String, String> {
        let entries = object["metadata"][key].as_object().into_iter().flatten();
        entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    };
    Namespace { name: name.into(), labels: words("labels"), annotations: words("annotations") }
}

#[test]
fn every_pod_becomes_what_faregate_inject_makes_of_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inject");
    let settings = Settings::parse(&std::fs::read_to_string(root.join("settings.yaml")).unwrap()).unwrap();
    let injector = Injector::new(settings).unwrap();
    let api = Api::start();
    api.apply_webhooks();
    api.namespace(NAMESPACE, &[], &[]);
    let control = Control::start(&api, &[]);
    eventually("the trust in the webhook configurations", || {
        api.admit(
            control.webhook,
            PODS,
            &json!({ "metadata": { "namespace": "default", "name": "p",
            "labels": { "faregate.dev/inject": "true" } }, "spec": { "containers": [{ "name": "a", "image": "i" }] } }),
        )
        .is_ok()
    });

    let (mut injected, mut left, mut refused) = (0, 0, 0);
    let mut files: Vec<_> = std::fs::read_dir(root.join("pods")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 60);
    for file in &files {
        let shown = file.file_name().unwrap().to_string_lossy();
        // Namespaces of one file are not those of the next.
        api.namespace(NAMESPACE, &[], &[]);
        for pod in pods(&api, &std::fs::read_to_string(file).unwrap()) {
            let name = pod["metadata"]["namespace"].as_str().unwrap().to_owned();
            if api.get(NAMESPACES, "", &name).is_none() {
                api.namespace(&name, &[], &[]);
            }
            let offline = manifest::inject(&pod.to_string(), &injector, "", &|name| namespace(&api, name));
            let workload = &offline.workloads[0];
            // The watch tells the control plane of a namespace's annotations a moment after they were written.
            eventually(&format!("{shown}: the same as offline"), || {
                let online = api.admit(control.webhook, PODS, &pod);
                match (&workload.fate, &online) {
                    (_, Err(said)) if offline.problems.is_empty() => panic!("{shown}: denied: {said}"),
                    (_, Err(said)) => {
                        offline.problems.iter().all(|problem| said.contains(problem.split_once(": ").unwrap().1))
                    }
                    (Fate::Injected(_), Ok(admitted)) => {
                        let expected: Value = manifest::value(&offline.text).unwrap();
                        admitted.object == expected && admitted.warnings == workload.warnings
                    }
                    // What no API server would have let through to a webhook is only read offline.
                    (Fate::Left(why), Ok(admitted)) if why == "refused" => is_no_pod(&pod) && admitted.object == pod,
                    (Fate::Left(_), Ok(admitted)) => admitted.object == pod,
                }
            });
            match &workload.fate {
                Fate::Injected(_) => injected += 1,
                Fate::Left(why) if why == "refused" => refused += 1,
                Fate::Left(_) => left += 1,
            }
        }
    }
    assert!(injected >= 40 && left >= 10 && refused >= 8, "{injected} injected, {left} left, {refused} refused");
    let metrics = control.metrics();
    assert!(metrics.sum("faregate_control_admissions_total", &[("webhook", "inject"), ("result", "injected")]) >= 40.0);
    assert_eq!(api.refused(), []);
}

/// Labels and annotations are texts to an API server; with others it is no pod.
fn is_no_pod(pod: &Value) -> bool {
    let words = ["labels", "annotations"].map(|key| pod["metadata"][key].as_object().cloned().unwrap_or_default());
    words.iter().flat_map(|map| map.values()).any(|value| !value.is_string())
}

#[test]
fn a_pod_gets_the_trust_that_is_current_and_keeps_its_template() {
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("inject.yaml");
    let text = "image: registry.example.com/faregate:1\ncontrol: https://faregate-control.faregate-system.svc:9444\n";
    std::fs::write(&settings, text).unwrap();
    let api = Api::start();
    let control = Control::start(&api, &["--settings", settings.to_str().unwrap()]);
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "namespace": "default",
        "labels": { "faregate.dev/inject": "true" } }, "spec": { "containers": [{ "name": "a", "image": "i" }] } });
    let (status, answer) = control
        .caller(&api)
        .post("/inject/object", "application/json", review(PODS, &pod).to_string().as_bytes())
        .unwrap();
    assert_eq!(status, 200);
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let patch = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.decode(answer["response"]["patch"].as_str().unwrap()).unwrap()
    };
    let mut injected = pod;
    json_patch::patch(&mut injected, &serde_json::from_slice::<json_patch::Patch>(&patch).unwrap()).unwrap();
    let sidecar = &injected["spec"]["initContainers"][0];
    let variable = |name: &str| {
        let all = sidecar["env"].as_array().unwrap();
        all.iter()
            .find(|variable| variable["name"] == name)
            .map(|variable| variable["value"].as_str().unwrap().to_owned())
    };
    assert_eq!(variable("FAREGATE_CONTROL").unwrap(), "https://faregate-control.faregate-system.svc:9444");
    assert_eq!(variable("FAREGATE_CONTROL_CA").unwrap(), crate::process::part(&api, "ca.crt"));
    let volumes = injected["spec"]["volumes"].as_array().unwrap();
    let token = volumes.iter().find(|volume| volume["name"] == "faregate-token").unwrap();
    assert_eq!(token["projected"]["sources"][0]["serviceAccountToken"]["audience"], "faregate.dev/control");
    // Offline, with the same settings and no trust: the same template, so that nobody takes the pod for an old one.
    let offline = Injector::new(Settings::parse(text).unwrap()).unwrap();
    let now = offline.template(&injected, &Namespace { name: "default".into(), ..Namespace::default() });
    assert_eq!(Injector::template_of(&injected), now);
}
