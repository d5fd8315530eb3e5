//! Real processes that follow control, while all is well and while control is away.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::stage::{Stage, tls_of, to};
use crate::support::tls::Authority;
use crate::support::{Client, Faregate, Setup, Upstream, eventually, get, post};

const BODY: &str = r#"{"model":"m","messages":[]}"#;

fn pair() -> [Upstream; 2] {
    [Upstream::json(200, r#"{"served":"alpha"}"#), Upstream::json(200, r#"{"served":"beta"}"#)]
}

fn served(faregate: &Faregate) -> String {
    let answer = post(faregate.api, "/v1/chat/completions", BODY).expect(200);
    answer.json()["served"].as_str().unwrap().to_owned()
}

fn eventually_served(faregate: &Faregate, by: &str) {
    eventually(&format!("calls served by {by}"), || served(faregate) == by);
}

fn shown(faregate: &Faregate) -> serde_json::Value {
    get(faregate.admin, "/admin/table").expect(200).json()
}

/// Waits until this stands under `control` on the admin port.
#[track_caller]
fn wait_trouble(faregate: &Faregate, text: &str) {
    let trouble = || shown(faregate)["control"]["trouble"].as_str().unwrap_or_default().to_owned();
    eventually(&format!("trouble with {text:?}"), || trouble().contains(text));
}

#[test]
fn a_pod_runs_the_table_of_control_from_its_first_call_on() {
    let [alpha, beta] = pair();
    let stage = Stage::new();
    let first = stage.publish(&to("alpha", &alpha));
    let control = stage.start();
    // Its own file says otherwise, and has no say.
    let faregate = stage.follow(Setup::new(&to("beta", &beta)), control.address).start();
    assert_eq!(served(&faregate), "alpha");
    stage.wait_programmed(1);
    let table = shown(&faregate);
    assert_eq!((&table["hash"], &table["control"]["connected"]), (&(*first.hash).into(), &true.into()));
    assert_eq!(table["source"], format!("control {}", control.address));
    let ready = get(faregate.admin, "/readyz").expect(200);
    assert_eq!(ready.text(), format!("ready\ntable {} from control {}\n", first.hash, control.address));
    let metrics = faregate.metrics();
    assert_eq!(metrics.value("faregate_config_info", &[("hash", &*first.hash)]), Some(1.0));
    assert_eq!(metrics.value("faregate_table_source", &[]), Some(1.0));
    assert_eq!(metrics.value("faregate_table_source", &[("source", "control")]), Some(1.0));
    assert_eq!(metrics.value("faregate_control_connected", &[]), Some(1.0));
    assert!(metrics.value("faregate_control_last_contact_timestamp_seconds", &[]).unwrap() > 1.7e9);

    let second = stage.publish(&to("beta", &beta));
    eventually_served(&faregate, "beta");
    stage.wait_programmed(1);
    assert_eq!(shown(&faregate)["hash"], *second.hash);
    faregate.wait_metric("faregate_config_reloads_total", &[("result", "success")], 2.0);
    let metrics = stage.telemetry.metrics();
    assert_eq!(metrics.control_programmed_seconds.with([]).count(), 1);
    assert_eq!(metrics.control_sidecars.with(["*", "programmed"]).get(), 1);
    assert!(metrics.control_pushed_bytes.with([]).get() >= second.frame.len() as u64);

    let refused = post(faregate.admin, "/admin/reload", "").expect(409).json();
    assert!(refused["errors"][0].as_str().unwrap().contains("change it there"), "{refused}");
    faregate.rewrite(&to("alpha", &alpha));
    faregate.signal("HUP");
    faregate.wait_metric("faregate_config_reloads_total", &[("result", "success")], 3.0);
    assert_eq!((served(&faregate).as_str(), &shown(&faregate)["hash"]), ("beta", &(*second.hash).into()));
}

#[test]
fn a_table_that_a_pod_cannot_run_changes_nothing_there() {
    let [alpha, beta] = pair();
    let stage = Stage::new();
    let good = stage.publish(&to("alpha", &alpha));
    let control = stage.start();
    let faregate = stage.follow(Setup::without_config(), control.address).start();
    stage.wait_programmed(1);
    stage.publish(&to("beta", &beta).replace("credentials: none", "credentials: { env: KEY_OF_BETA }"));
    eventually("a refusal", || stage.programmed().refused == 1);
    let refusals = stage.programmed().refusals;
    assert_eq!(refusals[0].0.as_deref(), Some("pod-of-token"));
    assert!(refusals[0].1.contains(":2:") && refusals[0].1.contains("KEY_OF_BETA is not set"), "{refusals:?}");
    let table = shown(&faregate);
    assert_eq!((served(&faregate).as_str(), &table["hash"]), ("alpha", &(*good.hash).into()));
    assert!(table["control"]["trouble"].as_str().unwrap().contains("KEY_OF_BETA"), "{table}");
    assert_eq!(table["last_reload"]["result"], "failure");
    assert_eq!(faregate.metrics().value("faregate_config_last_reload_success", &[]), Some(0.0));
    stage.publish(&to("beta", &beta));
    eventually_served(&faregate, "beta");
    stage.wait_programmed(1);
    assert_eq!(stage.programmed().refused, 0);
}

/// Calls until told to stop; not one may fail.
fn load(faregate: &Faregate, stop: &Arc<AtomicBool>, calls: &Arc<AtomicUsize>) -> thread::JoinHandle<()> {
    let (api, stop, calls) = (faregate.api, stop.clone(), calls.clone());
    thread::spawn(move || {
        let mut client = Client::connect(api);
        while !stop.load(Ordering::SeqCst) {
            client.post("/v1/chat/completions", &["content-type: application/json"], BODY);
            client.response().expect(200);
            calls.fetch_add(1, Ordering::SeqCst);
        }
    })
}

#[test]
fn control_goes_and_comes_back_and_certificates_change_without_a_failed_call() {
    let [alpha, beta] = pair();
    let stage = Stage::new();
    stage.publish(&to("alpha", &alpha));
    let control = stage.start();
    let address = control.address;
    let faregate = stage.follow(Setup::without_config(), address).start();
    stage.wait_programmed(1);
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..2).map(|_| load(&faregate, &stop, &calls)).collect();
    let more_calls = || {
        let before = calls.load(Ordering::SeqCst);
        eventually("calls go on", || calls.load(Ordering::SeqCst) > before + 20);
    };
    more_calls();
    // Killed: nothing is said to anybody.
    control.kill();
    faregate.wait_metric("faregate_control_connected", &[], 0.0);
    more_calls();
    assert_eq!(served(&faregate), "alpha");
    stage.publish(&to("beta", &beta));
    let control = stage.start_on(address);
    eventually_served(&faregate, "beta");
    stage.wait_programmed(1);
    // Another authority, announced before it is used: the one that the pod was started with is of no use any more.
    let next = Authority::new();
    stage.trust.send(format!("{}{}", stage.authority.pem, next.pem).into()).unwrap();
    faregate.wait_logged("control has named the authorities to trust");
    stage.tls.store(Arc::new(tls_of(&next)));
    more_calls();
    control.stop();
    stage.publish(&to("alpha", &alpha));
    let _control = stage.start_on(address);
    eventually_served(&faregate, "alpha");
    stage.wait_programmed(1);
    more_calls();
    stop.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.join().expect("every call was answered");
    }
    assert!(faregate.path().join("trust.pem").exists());
    let calls = calls.load(Ordering::SeqCst) as f64;
    assert!(faregate.metrics().sum("faregate_requests_total", &[("outcome", "ok")]) >= calls);
    assert_eq!(faregate.metrics().sum("faregate_requests_total", &[("outcome", "internal")]), 0.0);
}

#[test]
fn a_process_starts_as_it_ran_when_control_is_away() {
    let [alpha, beta] = pair();
    let state = tempfile::tempdir().unwrap();
    let stage = Stage::new();
    let snapshot = stage.publish(&to("alpha", &alpha));
    let control = stage.start();
    let address = control.address;
    let setup = || stage.follow(Setup::new(&to("beta", &beta)), address);
    let first = setup().env("FAREGATE_STATE", state.path().to_str().unwrap()).start();
    stage.wait_programmed(1);
    drop(first);
    control.kill();
    let second = setup().env("FAREGATE_STATE", state.path().to_str().unwrap()).start();
    assert_eq!(served(&second), "alpha");
    let table = shown(&second);
    assert_eq!(table["source"], format!("last known good of control {address}"));
    assert_eq!((&table["hash"], &table["control"]["connected"]), (&(*snapshot.hash).into(), &false.into()));
    assert_eq!(second.metrics().value("faregate_table_source", &[("source", "last_known_good")]), Some(1.0));
    // Control is back, and says that it is the right one: nothing is sent again.
    let pushed = stage.telemetry.metrics().control_pushed_bytes.with([]).get();
    let control = stage.start_on(address);
    eventually("the table confirmed", || shown(&second)["source"] == format!("control {address}"));
    stage.wait_programmed(1);
    assert_eq!(stage.telemetry.metrics().control_pushed_bytes.with([]).get(), pushed);
    assert_eq!(second.metrics().value("faregate_table_source", &[("source", "control")]), Some(1.0));
    drop(second);
    // A kept table that is damaged is none.
    control.kill();
    fs::write(state.path().join("table"), "faregate-table/1 0123 00000000\nproviders: {}\n").unwrap();
    let third = setup().env("FAREGATE_STATE", state.path().to_str().unwrap()).start();
    third.wait_logged("is damaged, and not used");
    assert_eq!(served(&third), "beta");
}

#[test]
fn a_pod_starts_when_nothing_is_there_and_never_answers_with_made_up_text() {
    let [alpha, beta] = pair();
    let stage = Stage::new();
    let control = stage.start();
    let address = control.address;
    control.kill();
    // With a file of its own, that serves until control comes; with nothing at all, calls are refused and it is ready.
    let filed = stage.follow(Setup::new(&to("beta", &beta)), address).start();
    let bare = stage.follow(Setup::without_config(), address).start();
    assert_eq!(served(&filed), "beta");
    assert_eq!(filed.metrics().value("faregate_table_source", &[("source", "file")]), Some(1.0));
    get(bare.admin, "/readyz").expect(200);
    let refused = post(bare.api, "/v1/chat/completions", BODY);
    assert!((400..600).contains(&refused.status) && !refused.text().contains("choices"), "{}", refused.text());
    bare.wait_logged("no call finds a way");
    stage.publish(&to("alpha", &alpha));
    let _control = stage.start_on(address);
    eventually_served(&filed, "alpha");
    eventually("a way", || post(bare.api, "/v1/chat/completions", BODY).status == 200);
    assert_eq!(served(&bare), "alpha");
    stage.wait_programmed(2);
}

#[test]
fn who_is_not_to_be_trusted_is_not_followed() {
    let [alpha, beta] = pair();
    let stage = Stage::new();
    stage.publish(&to("alpha", &alpha));
    let control = stage.start();
    let stranger = Authority::new();
    let faregate =
        stage.follow(Setup::new(&to("beta", &beta)), control.address).env("FAREGATE_CONTROL_CA", &stranger.pem).start();
    wait_trouble(&faregate, "TLS");
    eventually("a refused handshake", || stage.began("tls") > 0);
    assert_eq!((served(&faregate).as_str(), stage.began("accepted")), ("beta", 0));
}

#[test]
fn a_token_that_is_refused_or_runs_out_is_replaced_by_the_file() {
    let [alpha, beta] = pair();
    let stage = Stage::new();
    stage.publish(&to("alpha", &alpha));
    let control = stage.start();
    let setup = stage.follow(Setup::new(&to("beta", &beta)), control.address).file("token", "forged");
    let faregate = setup.start();
    wait_trouble(&faregate, "control answers 401: the token is not accepted: nobody knows it");
    assert_eq!((served(&faregate).as_str(), stage.programmed().connected), ("beta", 0));
    assert!(!faregate.stderr().contains("forged"), "a token in the log");
    // The next one is good for a short time only.
    stage.tokens.know("short", "shop", Some(Duration::from_secs(4)));
    fs::write(faregate.path().join("token"), "short").unwrap();
    eventually_served(&faregate, "alpha");
    stage.tokens.know("fresh", "shop", Some(Duration::from_secs(3600)));
    fs::write(faregate.path().join("token"), "fresh").unwrap();
    eventually("the end of a token", || stage.ended("expired") >= 1);
    eventually("a connection with the fresh one", || {
        stage.snapshots.programmed(&faregate::control::snapshots::Scope::Cluster).programmed == 1
    });
    assert_eq!(served(&faregate), "alpha");
    fs::remove_file(faregate.path().join("token")).unwrap();
    control.kill();
    wait_trouble(&faregate, "token");
}

#[test]
fn the_admin_port_takes_changes_from_its_own_machine_alone() {
    // An address of this machine that is not loopback, where it has one.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = socket.connect("198.51.100.1:9").and_then(|()| socket.local_addr()).ok().map(|address| address.ip());
    let Some(own) = own.filter(|address| !address.is_loopback()) else {
        println!("SKIPPED: this machine has no address but loopback");
        return;
    };
    let config = "providers: { simulated: {} }\nserver: { admin: \"0.0.0.0:0\", listen: \"127.0.0.1:0\" }\n";
    let closed = Faregate::start(config);
    let at = |faregate: &Faregate| std::net::SocketAddr::new(own, faregate.admin.port());
    let near = std::net::SocketAddr::from(([127, 0, 0, 1], closed.admin.port()));
    let refused = post(at(&closed), "/admin/reload", "").expect(403);
    assert!(refused.text().contains("allow_remote_admin"), "{}", refused.text());
    get(at(&closed), "/metrics").expect(200);
    post(near, "/admin/reload", "").expect(200);
    let open = Faregate::start(&config.replace("server: {", "server: { allow_remote_admin: true,"));
    post(at(&open), "/admin/reload", "").expect(200);
}
