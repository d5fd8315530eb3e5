//! Two replicas: one leads; when it ends, the other takes over.

use serde_json::json;

use crate::api::{Api, LEASES, TABLES};
use crate::process::Control;
use crate::support::eventually;

fn holder(api: &Api) -> String {
    let lease = api.get(LEASES, "faregate-system", "faregate-control").unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

fn put(api: &Api, route: &str) {
    let spec = json!({ "providers": { "p": { "base_url": "http://127.0.0.1:1/v1", "credentials": "none" } },
        "routes": [{ "name": route, "targets": [{ "provider": "p" }] }] });
    api.put(TABLES, json!({ "metadata": { "name": "default", "namespace": "default" }, "spec": spec }));
}

fn generation_told(api: &Api) -> u64 {
    api.get(TABLES, "default", "default").unwrap()["status"]["observedGeneration"].as_u64().unwrap_or(0)
}

#[test]
fn one_leads_and_the_other_takes_over() {
    let api = Api::start();
    let first = Control::start(&api, &["--identity=first"]);
    eventually("the first leads", || first.leads());
    let second = Control::start(&api, &["--identity=second"]);
    assert!(!second.leads());
    put(&api, "one");
    eventually("the first tells of the table", || generation_told(&api) == 1);
    assert_eq!(holder(&api), "first");

    // Without a word: the Lease runs out.
    first.kill();
    put(&api, "two");
    eventually("the second tells of the table", || generation_told(&api) == 2);
    assert!(second.leads());
    assert_eq!(holder(&api), "second");

    // In good order: the Lease is given back.
    let third = Control::start(&api, &["--identity=third"]);
    assert!(second.stop().success());
    eventually("the third leads", || third.leads());
    assert_eq!(holder(&api), "third");
    put(&api, "three");
    eventually("the third tells of the table", || generation_told(&api) == 3);
    let lease = api.get(LEASES, "faregate-system", "faregate-control").unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 3);
    assert_eq!(api.refused(), []);
}

#[test]
fn who_cannot_renew_leads_no_more() {
    let api = Api::start();
    let control = Control::start(&api, &["--identity=only"]);
    eventually("it leads", || control.leads());
    api.set_up(false);
    eventually("it leads no more", || !control.leads());
    api.set_up(true);
    eventually("it leads again", || control.leads());
}
