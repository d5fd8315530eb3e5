//! Sidecars as pods run them, connected to the replicas of a control plane: a table that is applied reaches them, and its
//! status tells so.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::api::{Api, LEASES, TABLES};
use crate::process::{Control, part};
use crate::support::{Faregate, Setup, eventually, get};

/// A sidecar that shows this token, with the address, the trust and the directories that injection gives it.
pub fn sidecar(api: &Api, control: &Control, token: &str) -> Faregate {
    let setup = Setup::without_config().file("token", token);
    let at = |name: &str| -> PathBuf { setup.path().join(name) };
    let (token, state) = (at("token"), at("state"));
    std::fs::create_dir(&state).unwrap();
    setup
        .env("FAREGATE_CONTROL", &format!("https://{}", control.distribution))
        .env("FAREGATE_CONTROL_CA", &part(api, "ca.crt"))
        .env("FAREGATE_CONTROL_TOKEN", token.to_str().unwrap())
        .env("FAREGATE_STATE", state.to_str().unwrap())
        .start()
}

fn put(api: &Api, route: &str, credentials: Value) {
    let spec = json!({ "providers": { "p": { "base_url": "http://127.0.0.1:1/v1", "credentials": credentials } },
        "routes": [{ "name": route, "targets": [{ "provider": "p" }] }] });
    api.put(TABLES, json!({ "metadata": { "name": "default", "namespace": "shop" }, "spec": spec }));
}

fn status(api: &Api) -> Value {
    api.get(TABLES, "shop", "default").unwrap()["status"].clone()
}

fn hash(sidecar: &Faregate) -> String {
    let table: Value = serde_json::from_slice(&get(sidecar.admin, "/admin/table").expect(200).body).unwrap();
    table["hash"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn wait_condition(api: &Api, kind: &str, status: &str, reason: &str) {
    let mut last = None;
    eventually(&format!("{kind}={status} {reason}"), || {
        last = api.condition("shop", "default", kind);
        last.as_ref().is_some_and(|(s, r, _)| s == status && r == reason)
    });
}

#[test]
fn sidecars_of_all_replicas_run_the_table_and_the_status_tells_so() {
    let api = Api::start();
    api.namespace("shop", &[], &[]);
    // The second leads for longer than this test takes, so that the first has sidecars that the leader must ask for.
    let now = "2026-01-01T00:00:00.000000Z";
    let spec = json!({ "holderIdentity": "second", "leaseDurationSeconds": 600, "renewTime": now, "acquireTime": now });
    api.put(
        LEASES,
        json!({ "metadata": { "name": "faregate-control", "namespace": "faregate-system" }, "spec": spec }),
    );
    let first = Control::launch(&api, &["--identity=first"]);
    let second = Control::start(&api, &["--identity=second", "--peers", &first.admin.to_string()]);
    first.wait_ready();
    assert!(second.leads() && !first.leads());

    put(&api, "one", json!("none"));
    wait_condition(&api, "Programmed", "True", "NoSidecars");
    let (one, two) = (sidecar(&api, &first, "shop/one"), sidecar(&api, &second, "shop/two"));
    let elsewhere = sidecar(&api, &second, "bank/three");
    wait_condition(&api, "Programmed", "True", "Programmed");
    eventually("both are counted", || {
        status(&api)["sidecars"] == json!({ "connected": 2, "programmed": 2, "refused": 0 })
    });
    wait_condition(&api, "ResolvedRefs", "True", "Resolved");
    let told = status(&api)["hash"].clone();
    assert_eq!((json!(hash(&one)), json!(hash(&two))), (told.clone(), told.clone()));
    assert_ne!(json!(hash(&elsewhere)), told);

    // Another table reaches both.
    put(&api, "two", json!("none"));
    eventually("both run the other table", || {
        let now = status(&api)["hash"].clone();
        now != told && json!(hash(&one)) == now && json!(hash(&two)) == now
    });
    wait_condition(&api, "Programmed", "True", "Programmed");
    let good = hash(&one);

    // One that names a key that the pods have not: they keep theirs, and the status tells why.
    put(&api, "three", json!({ "env": "NOWHERE_KEY" }));
    wait_condition(&api, "ResolvedRefs", "False", "Refused");
    let (_, _, said) = api.condition("shop", "default", "ResolvedRefs").unwrap();
    assert!(said.contains("NOWHERE_KEY"), "{said}");
    assert_eq!((hash(&one), hash(&two)), (good.clone(), good.clone()));
    put(&api, "two", json!("none"));
    wait_condition(&api, "Programmed", "True", "Programmed");

    // A replica that does not tell is not none.
    first.kill();
    wait_condition(&api, "Programmed", "Unknown", "ReplicasSilent");
    assert_eq!(hash(&one), good, "its sidecar goes on");
    assert_eq!(api.refused(), []);
}
