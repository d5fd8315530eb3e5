//! Events: what became of a table, told on its object; for a ConfigMap, the only word there is.

use serde_json::{Value, json};

use crate::api::{Api, CONFIG_MAPS, EVENTS, TABLES};
use crate::process::Control;
use crate::sidecars::sidecar;
use crate::support::{Faregate, eventually};

fn config_map(text: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "routes", "namespace": "shop", "labels": { "faregate.dev/routing-table": "true" } },
        "data": { "faregate.yaml": text } })
}

fn text(route: &str, credentials: &str) -> String {
    format!(
        "providers:\n  p: {{ base_url: \"http://127.0.0.1:1/v1\", credentials: {credentials} }}\nroutes:\n- name: {route}\n  \
         targets:\n  - provider: p\n"
    )
}

/// Events of an object, the oldest first: type, reason, note.
fn events(api: &Api, object: &str) -> Vec<[String; 3]> {
    let mut all: Vec<Value> = api.all(EVENTS, "shop");
    all.retain(|event| event["regarding"]["name"] == object);
    all.sort_by_key(|event| event["eventTime"].as_str().unwrap().to_owned());
    let word = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    all.iter().map(|event| ["type", "reason", "note"].map(|key| word(event, key))).collect()
}

/// Waits until so many were said, and returns the last of them.
#[track_caller]
fn wait(api: &Api, object: &str, n: usize, reason: &str) -> String {
    let mut said = Vec::new();
    eventually(&format!("Event {n} of {object}: {reason}"), || {
        said = events(api, object);
        said.len() >= n
    });
    assert_eq!(said[n - 1][1], reason, "{said:#?}");
    said[n - 1][2].clone()
}

fn hash(sidecar: &Faregate) -> String {
    let table = crate::support::get(sidecar.admin, "/admin/table").expect(200).json();
    table["hash"].as_str().unwrap().to_owned()
}

#[test]
fn the_author_of_a_config_map_sees_what_became_of_it() {
    let api = Api::start();
    api.namespace("shop", &[], &[]);
    let control = Control::start(&api, &[]);
    api.put(CONFIG_MAPS, config_map(&text("one", "none")));
    let said = wait(&api, "routes", 1, "Accepted");
    assert!(said.starts_with("sidecars get it as "), "{said}");
    let event = api.all(EVENTS, "shop").remove(0);
    let object = api.get(CONFIG_MAPS, "shop", "routes").unwrap();
    assert_eq!(event["regarding"]["uid"], object["metadata"]["uid"]);
    assert_eq!(
        (&event["regarding"]["kind"], &event["regarding"]["apiVersion"], &event["type"]),
        (&json!("ConfigMap"), &json!("v1"), &json!("Normal"))
    );

    let sidecars = ["shop/web-1", "shop/web-2"].map(|token| sidecar(&api, &control, token));
    let said = wait(&api, "routes", 2, "Programmed");
    assert!(said.contains(&hash(&sidecars[0])), "{said}");
    // Who only touches the object hears nothing.
    let mut touched = config_map(&text("one", "none"));
    touched["metadata"]["annotations"] = json!({ "touched": "yes" });
    api.put(CONFIG_MAPS, touched);
    // Stored while the webhook was away.
    api.put(CONFIG_MAPS, config_map(&text("one", "none").replace("provider: p", "provider: q")));
    let said = wait(&api, "routes", 3, "Refused");
    assert!(said.starts_with("faregate.yaml:6:15: routes[0].targets[0].provider: no provider is called `q`"), "{said}");
    assert!(said.ends_with(&format!("sidecars keep the table {}", hash(&sidecars[0]))), "{said}");
    // A key that the pods have not.
    api.put(CONFIG_MAPS, config_map(&text("two", "{ env: NOWHERE_KEY }")));
    wait(&api, "routes", 4, "Accepted");
    let said = wait(&api, "routes", 5, "RefusedBySidecars");
    assert!(said.contains("web-") && said.contains("NOWHERE_KEY is not set"), "{said}");
    api.put(CONFIG_MAPS, config_map(&text("three", "none")));
    wait(&api, "routes", 7, "Programmed");
    let said: Vec<_> = events(&api, "routes").into_iter().map(|[kind, reason, _]| format!("{kind} {reason}")).collect();
    let expected = [
        "Normal Accepted",
        "Normal Programmed",
        "Warning Refused",
        "Normal Accepted",
        "Warning RefusedBySidecars",
        "Normal Accepted",
        "Normal Programmed",
    ];
    assert_eq!(said, expected);

    // Nor does anybody when pods come and go, or when another process leads.
    let before = events(&api, "routes");
    drop(sidecars);
    let again = sidecar(&api, &control, "shop/web-3");
    let programmed = |control: &Control| {
        let labels = [("table", "shop"), ("state", "programmed")];
        eventually("the sidecar runs it", || {
            control.metrics().value("faregate_control_sidecars", &labels) == Some(1.0)
        });
    };
    programmed(&control);
    assert!(control.stop().success());
    drop(again);
    let second = Control::start(&api, &[]);
    let last = sidecar(&api, &second, "shop/web-4");
    programmed(&second);
    // That it has looked is seen by what it says of another.
    let mut other = config_map(&text("four", "none"));
    other["metadata"]["name"] = json!("zz");
    api.put(CONFIG_MAPS, other);
    let said = wait(&api, "zz", 1, "NotUsed");
    assert!(said.contains("the ConfigMap `routes` of the namespace comes before it"), "{said}");
    let mut after = events(&api, "routes");
    after.retain(|[_, reason, note]| !(reason == "Accepted" && note.contains("`zz`")));
    assert_eq!(after, before);
    drop(last);
    assert_eq!(api.refused(), []);
}

#[test]
fn a_routing_table_has_events_beside_its_status_and_they_outlive_a_leader() {
    let api = Api::start();
    api.namespace("shop", &[], &[]);
    let control = Control::start(&api, &[]);
    let table = |provider: &str| {
        let spec = json!({ "providers": { "p": { "base_url": "http://127.0.0.1:1/v1", "credentials": "none" } },
            "routes": [{ "name": "r", "targets": [{ "provider": provider }] }] });
        json!({ "metadata": { "name": "default", "namespace": "shop" }, "spec": spec })
    };
    api.put(TABLES, table("p"));
    wait(&api, "default", 1, "Accepted");
    api.put(TABLES, table("q"));
    let said = wait(&api, "default", 2, "Refused");
    assert!(said.contains("spec.routes[0].targets[0].provider: no provider is called `q`"), "{said}");
    eventually("the status", || api.condition("shop", "default", "Accepted").is_some_and(|now| now.1 == "Invalid"));
    let event = api.all(EVENTS, "shop").remove(0);
    assert_eq!(event["regarding"]["apiVersion"], "faregate.dev/v1alpha1");
    // The next leader finds it said in the status.
    control.kill();
    let second = Control::start(&api, &[]);
    eventually("it leads", || second.leads());
    api.put(TABLES, table("p"));
    wait(&api, "default", 3, "Accepted");
    assert_eq!(api.refused(), []);
}

/// The status is written, and everything else goes on, where Events are not to be written.
#[test]
fn a_cluster_that_refuses_events_loses_nothing_else() {
    let api = Api::start();
    api.set_absent(EVENTS, true);
    let control = Control::start(&api, &[]);
    let spec = json!({ "providers": { "p": { "base_url": "http://127.0.0.1:1/v1", "credentials": "none" } } });
    api.put(TABLES, json!({ "metadata": { "name": "default", "namespace": "default" }, "spec": spec }));
    let accepted = || api.condition("default", "default", "Accepted").is_some_and(|now| now.0 == "True");
    eventually("the status", accepted);
    eventually("it is counted", || {
        control.metrics().sum("faregate_control_api_errors_total", &[("what", "events")]) > 0.0
    });
    api.set_absent(EVENTS, false);
    eventually("it is told when it may be", || !api.all(EVENTS, "default").is_empty());
}
