//! Routing tables: refused when they are wrong, published and told of when they are not, over everything that may happen to
//! the API server meanwhile.

use serde_json::{Value, json};

use crate::api::{Api, CONFIG_MAPS, TABLES};
use crate::process::Control;
use crate::support::eventually;

fn spec(route: &str) -> Value {
    json!({
        "providers": { "local": { "base_url": "http://127.0.0.1:1/v1", "credentials": { "env": "LOCAL_KEY" } } },
        "routes": [{ "name": route, "targets": [{ "provider": "local" }] }],
    })
}

fn table(namespace: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "faregate.dev/v1alpha1", "kind": "RoutingTable",
        "metadata": { "name": name, "namespace": namespace }, "spec": spec })
}

fn config_map(namespace: &str, name: &str, text: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": namespace, "labels": { "faregate.dev/routing-table": "true" } },
        "data": { "faregate.yaml": text } })
}

#[track_caller]
fn wait_condition(api: &Api, namespace: &str, name: &str, kind: &str, status: &str, reason: &str) -> String {
    let mut said = String::new();
    eventually(&format!("{namespace}/{name}: {kind}={status} {reason}"), || {
        let now = api.condition(namespace, name, kind).unwrap_or_default();
        said = now.2;
        (now.0.as_str(), now.1.as_str()) == (status, reason)
    });
    said
}

fn hash(api: &Api, namespace: &str) -> String {
    api.get(TABLES, namespace, "default").unwrap()["status"]["hash"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_table_is_accepted_and_a_bad_one_changes_nothing() {
    let api = Api::start();
    let control = Control::start(&api, &[]);
    api.put(TABLES, table("faregate-system", "default", spec("one")));
    wait_condition(&api, "faregate-system", "default", "Accepted", "True", "Accepted");
    assert_eq!(api.condition("faregate-system", "default", "Programmed").unwrap().1, "NoSidecars");
    let status = api.get(TABLES, "faregate-system", "default").unwrap()["status"].clone();
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(status["sidecars"], json!({ "connected": 0, "programmed": 0, "refused": 0 }));
    let first = hash(&api, "faregate-system");
    assert_eq!(first.len(), 16);

    // Stored while the webhook was away.
    let mut bad = spec("two");
    bad["routes"][0]["targets"][0]["provider"] = json!("nobody");
    api.put(TABLES, table("faregate-system", "default", bad));
    let said = wait_condition(&api, "faregate-system", "default", "Accepted", "False", "Invalid");
    assert!(said.contains("spec.routes[0].targets[0].provider: no provider is called `nobody`"), "{said}");
    assert!(said.ends_with(&format!("sidecars keep the table {first}")), "{said}");
    assert_eq!(hash(&api, "faregate-system"), first);

    api.put(TABLES, table("faregate-system", "default", spec("two")));
    wait_condition(&api, "faregate-system", "default", "Accepted", "True", "Accepted");
    assert_ne!(hash(&api, "faregate-system"), first);
    assert_eq!(api.get(TABLES, "faregate-system", "default").unwrap()["status"]["observedGeneration"], 3);

    // Another name is nobody's.
    api.put(TABLES, table("faregate-system", "other", spec("x")));
    let said = wait_condition(&api, "faregate-system", "other", "Accepted", "False", "NotUsed");
    assert!(said.contains("only the RoutingTable named `default`"), "{said}");
    let metrics = control.metrics();
    let state = |name: &str| {
        ["accepted", "refused", "unused"]
            .map(|state| metrics.sum("faregate_control_tables", &[("name", name), ("state", state)]))
    };
    assert_eq!((state("default"), state("other")), ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]));
    assert_eq!(api.refused(), []);
}

#[test]
fn a_bad_table_is_refused_when_it_is_applied_with_key_line_and_reason() {
    let api = Api::start();
    api.apply_webhooks();
    let control = Control::start(&api, &[]);
    eventually("a good table is taken", || {
        api.create(control.webhook, TABLES, &table("default", "default", spec("one"))).is_ok()
    });
    let mut bad = spec("two");
    bad["routes"][0]["targets"][0]["provider"] = json!("locall");
    let said = api.create(control.webhook, TABLES, &table("default", "default", bad)).unwrap_err();
    assert!(said.contains("spec.routes[0].targets[0].provider: no provider is called `locall`"), "{said}");
    assert!(said.contains("did you mean `local`?"), "{said}");
    let mut open = spec("two");
    open["providers"]["local"]["credentials"] = json!({ "insecure_inline": "sk-secret" });
    let said = api.create(control.webhook, TABLES, &table("default", "default", open)).unwrap_err();
    assert!(said.contains("insecure_inline") && !said.contains("sk-secret"), "{said}");

    let text = "providers:\n  local: {base_url: \"http://127.0.0.1:1/v1\", credentials: none}\nroutes:\n- name: r\n  targets:\n  - provider: nobody\n";
    let said = api.create(control.webhook, CONFIG_MAPS, &config_map("default", "c", text)).unwrap_err();
    assert!(
        said.starts_with("faregate.yaml:6:15: routes[0].targets[0].provider: no provider is called `nobody`"),
        "{said}"
    );
    // Beside a RoutingTable a ConfigMap is not used, and its author is told so.
    eventually("the control plane has seen the table", || {
        let good = config_map("default", "c", &text.replace("nobody", "local"));
        let admitted = api.admit(control.webhook, CONFIG_MAPS, &good).unwrap();
        admitted
            .warnings
            .iter()
            .any(|warning| warning.contains("the RoutingTable `default` of the namespace comes before it"))
    });
    assert!(!control.log().contains("sk-secret"));
}

#[test]
fn a_config_map_serves_where_there_is_no_routing_table() {
    let api = Api::start();
    api.set_absent(TABLES, true);
    let control = Control::start(&api, &[]);
    let text = "providers:\n  local: {base_url: \"http://127.0.0.1:1/v1\", credentials: none}\n";
    api.put(CONFIG_MAPS, config_map("default", "mine", text));
    let state = |name: &str, state: &str| {
        control.metrics().sum("faregate_control_tables", &[("name", name), ("state", state)]) == 1.0
    };
    eventually("the ConfigMap is a table", || state("mine", "accepted"));
    api.put(CONFIG_MAPS, config_map("default", "mine", "routes: 5\n"));
    eventually("a bad one is known as such", || state("mine", "refused"));
    api.put(CONFIG_MAPS, config_map("default", "mine", text));
    api.put(CONFIG_MAPS, config_map("default", "another", text));
    eventually("the first by name is used", || state("another", "accepted") && state("mine", "unused"));
    // Who takes the label off takes the table back.
    let mut plain = config_map("default", "another", text);
    plain["metadata"]["labels"] = json!({});
    api.put(CONFIG_MAPS, plain);
    eventually("the other is used again", || state("mine", "accepted") && !state("another", "unused"));
    // The kind is installed later: no restart.
    api.set_absent(TABLES, false);
    api.put(TABLES, table("default", "default", spec("r")));
    let said = wait_condition(&api, "default", "default", "Accepted", "True", "AcceptedWithWarnings");
    assert!(said.contains("the ConfigMap `mine` of the namespace is not used"), "{said}");
    assert!(state("mine", "unused"));
    assert_eq!(api.refused(), []);
}

/// `kubectl` reads YAML as sigs.k8s.io/yaml does: a plain `on` as a key is true, and true as a key of JSON is "true".
#[test]
fn a_table_with_a_plain_on_is_taken_as_kubectl_sends_it() {
    let api = Api::start();
    let _control = Control::start(&api, &[]);
    let mut object = table("default", "default", spec("r"));
    object["spec"]["routes"][0]["retry"] = json!({ "true": ["connect", "timeout"] });
    api.put(TABLES, object.clone());
    wait_condition(&api, "default", "default", "Accepted", "True", "Accepted");
    let plain = hash(&api, "default");
    // The API server has kept it, and it means what it says.
    assert_eq!(
        api.get(TABLES, "default", "default").unwrap()["spec"]["routes"][0]["retry"]["true"],
        json!(["connect", "timeout"])
    );
    let retry = object["spec"]["routes"][0]["retry"].as_object_mut().unwrap();
    let on = retry.remove("true").unwrap();
    retry.insert("on".into(), on);
    api.put(TABLES, object);
    eventually("the other spelling was seen", || {
        api.get(TABLES, "default", "default").unwrap()["status"]["observedGeneration"] == 2
    });
    assert_eq!(hash(&api, "default"), plain);
}

#[test]
fn the_api_server_may_go_and_come_back() {
    let api = Api::start();
    let control = Control::start(&api, &[]);
    api.put(TABLES, table("default", "default", spec("one")));
    wait_condition(&api, "default", "default", "Accepted", "True", "Accepted");
    let (before, lists) = (hash(&api, "default"), api.lists());
    api.set_up(false);
    eventually("the control plane hears nothing", || {
        control.metrics().sum("faregate_control_api_errors_total", &[]) > 0.0
    });
    // Meanwhile it goes on answering.
    crate::support::get(control.admin, "/readyz").expect(200);
    // What happens unseen is seen afterwards, also by those that must list anew.
    api.put(TABLES, table("default", "default", spec("two")));
    api.delete(crate::api::NAMESPACES, "", "kube-node-lease");
    api.compact();
    api.set_up(true);
    eventually("the newer table is told of", || !hash(&api, "default").is_empty() && hash(&api, "default") != before);
    // Deleted and made anew unseen: of the same generation, and another.
    let before = hash(&api, "default");
    api.set_up(false);
    api.delete(TABLES, "default", "default");
    let mut again = table("default", "default", spec("four"));
    api.put(TABLES, again.clone());
    again["spec"] = spec("five");
    api.put(TABLES, again);
    assert_eq!(api.get(TABLES, "default", "default").unwrap()["metadata"]["generation"], 2);
    api.compact();
    api.set_up(true);
    eventually("the one made anew is told of", || !hash(&api, "default").is_empty() && hash(&api, "default") != before);
    // One list for each watch that had lost track, and no storm.
    let more = api.lists() - lists;
    assert!(more <= 4 * 5, "{more} lists");
    assert_eq!(api.refused(), []);
}
