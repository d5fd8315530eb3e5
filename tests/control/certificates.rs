//! Certificates: made, renewed under load without one failed question, taken over by another leader, or brought by somebody
//! else.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::api::{Api, LEASES, MUTATING, PODS, SECRETS, VALIDATING};
use crate::caller::Caller;
use crate::process::{Control, SERVICE, part};
use crate::support::eventually;
use crate::support::tls::Authority;

/// Lives of seconds: a certificate is renewed every 6 s, an authority every 16 s.
const FAST: [&str; 4] =
    ["--authority-lifetime=24s", "--certificate-lifetime=9s", "--authority-settling=3s", "--clock-skew=0"];

fn pod() -> serde_json::Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "namespace": "default",
        "labels": { "faregate.dev/inject": "true" } }, "spec": { "containers": [{ "name": "a", "image": "i" }] } })
}

fn bundles(api: &Api) -> BTreeSet<String> {
    let entries = [MUTATING, VALIDATING].map(|kind| api.get(kind, "", "faregate").unwrap()["webhooks"].clone());
    let entries = entries.iter().flat_map(|list| list.as_array().unwrap().clone());
    entries.map(|entry| entry["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn certificates_are_renewed_under_load_and_no_question_fails() {
    let api = Api::start();
    api.apply_webhooks();
    let control = Control::start(&api, &FAST);
    eventually("the trust in every entry", || {
        let all = bundles(&api);
        all.len() == 1 && !all.contains("")
    });
    let stop = AtomicBool::new(false);
    let asked = AtomicUsize::new(0);
    let authorities = std::sync::Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    // As the API server does: with the trust of the configuration, each over a connection of its own.
                    let admitted = api.admit(control.webhook, PODS, &pod());
                    if let Err(error) = &admitted {
                        stop.store(true, Ordering::SeqCst);
                        panic!("question {}: {error}", asked.load(Ordering::SeqCst));
                    }
                    asked.fetch_add(1, Ordering::SeqCst);
                    authorities.lock().unwrap().extend(bundles(&api));
                }
            });
        }
        let rotated = |what: &str, times: f64| {
            let count =
                || control.metrics().sum("faregate_control_certificate_rotations_total", &[("certificate", what)]);
            eventually(&format!("{times} of {what}"), || stop.load(Ordering::SeqCst) || count() >= times);
        };
        rotated("certificate", 3.0);
        rotated("authority", 2.0);
        rotated("certificate", 6.0);
        stop.store(true, Ordering::SeqCst);
    });
    assert!(asked.load(Ordering::SeqCst) > 50, "{asked:?} questions");
    assert!(authorities.into_inner().unwrap().len() >= 2, "the trust has changed under way");
    println!("{asked:?} questions while certificates were renewed, none failed");
    let bundle = String::from_utf8(STANDARD.decode(bundles(&api).first().unwrap()).unwrap()).unwrap();
    assert_eq!(bundle, part(&api, "ca.crt"));
    assert_eq!(api.refused(), []);
}

/// Ends those who ask.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The Secret with the authority: deleted, emptied, filled with garbage, robbed of its keys.
#[test]
fn a_secret_that_is_lost_is_written_again_and_nobody_notices() {
    let api = Api::start();
    api.apply_webhooks();
    let first = Control::start(&api, &["--identity=first"]);
    eventually("the first leads", || first.leads());
    let second = Control::start(&api, &["--identity=second"]);
    let bundle = || bundles(&api).into_iter().collect::<Vec<_>>();
    eventually("the trust in every entry", || bundle() == [STANDARD.encode(part(&api, "ca.crt"))]);
    let held = || ["ca.crt", "ca.key", "tls.crt", "tls.key"].map(|key| part(&api, key));
    let (before, trust) = (held(), bundle());
    let lose = |how: usize| match how {
        0 => api.delete(SECRETS, "faregate-system", "faregate-control-tls"),
        _ => {
            let mut secret = api.get(SECRETS, "faregate-system", "faregate-control-tls").unwrap();
            secret["metadata"].as_object_mut().unwrap().remove("resourceVersion");
            match how {
                1 => secret["data"] = json!({}),
                2 => secret["data"]["ca.crt"] = json!("Z2FyYmFnZQ=="),
                3 => secret["data"]["ca.key"] = json!(""),
                _ => secret["data"]["tls.key"] = json!("eA=="),
            }
            drop(api.put(SECRETS, secret));
        }
    };
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for webhook in [first.webhook, second.webhook] {
            let (api, stop, asked, trust) = (&api, &stop, &asked, &trust);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let admitted = api.admit(webhook, PODS, &pod());
                    let same = bundles(api).iter().eq(trust);
                    if admitted.is_err() || !same {
                        stop.store(true, Ordering::SeqCst);
                        panic!("question {asked:?}: {admitted:?}, the same trust: {same}");
                    }
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        // Also when something below fails: else those who ask go on for ever.
        let _stops = Stops(&stop);
        for how in [0, 1, 0, 2, 3, 4, 0] {
            let questions = asked.load(Ordering::SeqCst);
            lose(how);
            eventually(&format!("the Secret as it was, after {how}"), || {
                stop.load(Ordering::SeqCst) || held() == before
            });
            let more = || asked.load(Ordering::SeqCst) > questions + 4;
            eventually("questions go on", || stop.load(Ordering::SeqCst) || more());
        }
    });
    let made = |control: &Control| control.metrics().sum("faregate_control_certificate_rotations_total", &[]);
    assert_eq!((made(&first), made(&second)), (2.0, 0.0), "an authority and a certificate, once");
    println!("{asked:?} questions while the Secret was lost seven times, none failed");
    // One that never led remembers what it saw.
    first.kill();
    lose(0);
    eventually("the second has written it again", || held() == before);
    assert_eq!(made(&second), 0.0);
    // A sidecar of before, that has to connect anew.
    let sidecar = crate::sidecars::sidecar(&api, &second, "default/web-1");
    sidecar.wait_metric("faregate_control_connected", &[], 1.0);
    assert_eq!(api.refused(), []);
}

#[test]
fn all_replicas_serve_one_certificate_and_another_leader_goes_on_with_it() {
    let api = Api::start();
    api.apply_webhooks();
    // Looked at twice a second.
    let first = Control::start(&api, &["--identity=first", "--authority-settling=2s"]);
    let second = Control::start(&api, &["--identity=second", "--authority-settling=2s"]);
    let trust = part(&api, "ca.crt");
    for control in [&first, &second] {
        control.caller(&api).post("/inject/object", "application/json", b"{}").unwrap();
    }
    first.kill();
    eventually("the second leads", || second.leads());
    assert_eq!(part(&api, "ca.crt"), trust);
    // Whoever undoes the trust is undone.
    let mut configuration = api.get(MUTATING, "", "faregate").unwrap();
    configuration["webhooks"][0]["clientConfig"]["caBundle"] = json!("Zm9yZWlnbg==");
    configuration["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    api.put(MUTATING, configuration);
    let bundle = STANDARD.encode(trust);
    eventually("the trust is there again", || bundles(&api) == BTreeSet::from([bundle.clone()]));
}

/// As after `helm uninstall` and `helm install`: the Secret is there, the leader was gone before it could give its Lease back.
#[test]
fn configurations_made_anew_do_not_wait_for_a_leader() {
    let api = Api::start();
    api.apply_webhooks();
    Control::start(&api, &["--identity=first"]).kill();
    let now = "2026-01-01T00:00:00.000000Z";
    let spec = json!({ "holderIdentity": "gone", "leaseDurationSeconds": 600, "renewTime": now, "acquireTime": now });
    let metadata = json!({ "name": "faregate-control", "namespace": "faregate-system" });
    api.put(LEASES, json!({ "metadata": metadata, "spec": spec }));
    for kind in [MUTATING, VALIDATING] {
        api.delete(kind, "", "faregate");
    }
    api.apply_webhooks();
    assert_eq!(bundles(&api), BTreeSet::from([String::new()]));
    let second = Control::start(&api, &["--identity=second"]);
    assert!(!second.leads());
    assert_eq!(bundles(&api), BTreeSet::from([STANDARD.encode(part(&api, "ca.crt"))]), "once it is ready");
    api.admit(second.webhook, PODS, &pod()).unwrap();
    assert_eq!(api.refused(), []);
}

#[test]
fn certificates_of_somebody_else_are_taken_as_they_change() {
    let api = Api::start();
    let directory = tempfile::tempdir().unwrap();
    let write = |authority: &Authority, pair: Option<&crate::support::tls::Pair>| {
        let fresh = authority.issue(&[SERVICE]);
        let pair = pair.unwrap_or(&fresh);
        for (name, text) in [("ca.crt", &authority.pem), ("tls.crt", &pair.certificate), ("tls.key", &pair.key)] {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
    };
    let (old, new) = (Authority::new(), Authority::new());
    let path = directory.path().to_str().unwrap();
    let control = Control::launch(&api, &["--certificates=cert-manager", "--certificate-directory", path]);
    let not_ready = crate::support::get(control.admin, "/readyz");
    assert_eq!(not_ready.status, 503);
    assert!(not_ready.text().contains("a certificate"), "{}", not_ready.text());
    write(&old, None);
    control.wait_ready();
    let takes = |authority: &Authority| {
        Caller::new(control.webhook, SERVICE, &authority.pem).post("/inject/object", "application/json", b"{}").is_ok()
    };
    assert!(takes(&old) && !takes(&new));
    // A key that does not fit, as while files are being written, changes nothing.
    std::fs::write(directory.path().join("tls.key"), new.issue(&[SERVICE]).key).unwrap();
    eventually("it says so", || control.log().contains("the certificate is of no use"));
    assert!(takes(&old));
    write(&new, None);
    eventually("the new certificate is served", || takes(&new));
    assert!(!takes(&old));
    // Nothing of its own: no Secret, no caBundle.
    assert_eq!(part(&api, "ca.crt"), "");
    assert_eq!(api.refused(), []);
}
