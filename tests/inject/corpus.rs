//! Each pod of the corpus.

use std::fs;

use faregate::control::manifest::{self, Fate};
use serde_json::Value;

use super::{corpus, doubled, folder, inject, lost};

/// Where the pod stands in an object.
fn pod_of<'v>(object: &'v Value, kind: &str) -> &'v Value {
    let pointer = match kind {
        "Pod" => "",
        "PodTemplate" => "/template",
        "CronJob" => "/spec/jobTemplate/spec/template",
        _ => "/spec/template",
    };
    object.pointer(pointer).unwrap()
}

/// The objects of a text that are workloads, read by the reader that injection uses itself; the others are read by
/// tests/e2e with one of its own.
fn workloads(text: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for part in format!("\n{text}").split("\n---").map(|part| part.split_once('\n').map_or("", |(_, rest)| rest)) {
        if part.trim().is_empty() || part.trim_start().starts_with('{') {
            found.extend(serde_json::from_str::<Value>(part).ok());
            continue;
        }
        let value = manifest::value(part).unwrap();
        match value["items"].as_array() {
            Some(items) => found.extend(items.clone()),
            None => found.push(value),
        }
    }
    let kind = |object: Value| Some((object["kind"].as_str()?.to_owned(), object));
    let makes_pods = |(kind, object): &(String, Value)| {
        !matches!(&**kind, "Service" | "ConfigMap" | "Namespace")
            && !object["apiVersion"].as_str().unwrap_or_default().contains('.')
    };
    found.into_iter().filter_map(kind).filter(makes_pods).collect()
}

#[test]
fn every_pod_becomes_what_is_written_down() {
    let all = corpus();
    assert!(all.len() >= 60, "only {} pods", all.len());
    let mut stale = Vec::new();
    for (name, text) in &all {
        let outcome = inject(text);
        let mut said = String::new();
        for workload in &outcome.workloads {
            match &workload.fate {
                Fate::Injected(patch) if patch.is_empty() => {
                    said.push_str(&format!("# {workload}: is injected already\n"))
                }
                Fate::Injected(_) => said.push_str(&format!("# {workload}: injected\n")),
                Fate::Left(why) => said.push_str(&format!("# {workload}: left as it is: {why}\n")),
            }
            workload.warnings.iter().for_each(|warning| said.push_str(&format!("# {workload}: warning: {warning}\n")));
        }
        outcome.problems.iter().for_each(|problem| said.push_str(&format!("# problem: {problem}\n")));
        let text = if outcome.problems.is_empty() { format!("{said}{}", outcome.text) } else { said };
        let path = folder("injected").join(format!("{name}.yaml"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        if fs::read_to_string(&path).unwrap_or_default() != text {
            stale.push(name.as_str());
        }
    }
    assert!(stale.is_empty(), "not as written down: {stale:?}; run with BLESS=1 and read the difference");
    let written = fs::read_dir(folder("injected")).unwrap().count();
    assert_eq!(written, all.len(), "results of pods that are gone");
}

#[test]
fn everything_of_the_users_is_kept_and_no_name_stands_twice() {
    let mut seen = 0;
    for (name, text) in corpus() {
        let outcome = inject(&text);
        let (before, after) = (workloads(&text), workloads(&outcome.text));
        for (index, workload) in outcome.workloads.iter().enumerate() {
            let Fate::Injected(patch) = &workload.fate else { continue };
            let (kind, was) = &before[index];
            let now = &after[index].1;
            assert_eq!(*kind, workload.kind, "{name}");
            if name != "injected-by-an-older-version" {
                assert_eq!(lost(was, now, ""), Vec::<String>::new(), "{name}");
            }
            assert_eq!(doubled(pod_of(now, kind)), Vec::<String>::new(), "{name}");
            // The patch, applied by somebody else, makes the pod that was printed.
            let mut patched = pod_of(was, kind).clone();
            let patch: json_patch::Patch = serde_json::from_value(patch.clone().into()).unwrap();
            json_patch::patch(&mut patched, &patch).unwrap();
            assert_eq!(patched, *pod_of(now, kind), "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 40, "only {seen} pods injected");
}

#[test]
fn what_was_injected_stays_as_it_is_when_injected_again() {
    for (name, text) in corpus() {
        let once = inject(&text);
        if !once.problems.is_empty() {
            continue;
        }
        let again = inject(&once.text);
        assert_eq!(again.text, once.text, "{name}");
        for (first, second) in once.workloads.iter().zip(&again.workloads) {
            assert_eq!(first.warnings, second.warnings, "{name}");
            if let Fate::Injected(patch) = &second.fate {
                assert!(patch.is_empty(), "{name}: {patch:?}");
            }
        }
    }
}

#[test]
fn what_is_left_alone_stays_byte_for_byte() {
    let mut seen = 0;
    for (name, text) in corpus() {
        let outcome = inject(&text);
        if outcome.problems.is_empty() && outcome.workloads.iter().all(|w| matches!(w.fate, Fate::Left(_))) {
            assert_eq!(outcome.text, text, "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 8, "only {seen} left alone");
    let text = fs::read_to_string(folder("pods/comments-and-other-objects.yaml")).unwrap();
    let outcome = inject(&text).text;
    let (before, after) = text.split_at(text.find("apiVersion: apps/v1").unwrap());
    assert!(outcome.starts_with(before));
    assert!(outcome.ends_with(&after[after.find("--- # the rest").unwrap()..]));
}

/// As large as the API server takes a pod, by its bytes.
#[test]
fn a_huge_pod_is_injected_like_any_other() {
    let containers: Vec<Value> = (0..500)
        .map(|n| serde_json::json!({ "name": format!("c{n}"), "image": "i", "env": [{ "name": "A", "value": "x".repeat(500) }] }))
        .collect();
    let pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "huge", "labels": { "faregate.dev/inject": "true" } },
        "spec": { "containers": containers },
    });
    let once = inject(&pod.to_string());
    let now = manifest::value(&once.text).unwrap();
    assert_eq!(lost(&pod, &now, ""), Vec::<String>::new());
    assert_eq!(doubled(&now), Vec::<String>::new());
    assert!(now["spec"]["containers"][499]["env"].as_array().unwrap().len() > 8);
    assert_eq!(inject(&once.text).text, once.text);
}
