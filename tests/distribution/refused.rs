//! Tables that a process cannot use yet, or never: what it says, what it goes on with, and when it tries again.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::stage::{Stage, to};
use crate::support::{Faregate, Setup, Upstream, eventually, get, post};

fn served(faregate: &Faregate) -> String {
    let answer = post(faregate.api, "/v1/chat/completions", r#"{"model":"m","messages":[]}"#).expect(200);
    answer.json()["served"].as_str().unwrap().to_owned()
}

fn refusals(faregate: &Faregate) -> f64 {
    faregate.metrics().sum("faregate_config_reloads_total", &[("result", "failure")])
}

/// A process that runs `alpha`, has refused `beta` for want of a key's file, and tries it again every third of a second.
fn refused(stage: &Stage, control: std::net::SocketAddr, [alpha, beta]: &[Upstream; 2]) -> Faregate {
    stage.publish(&to("alpha", alpha));
    let setup = stage.follow(Setup::without_config(), control).arg("--control-retry=300ms");
    let faregate = setup.start();
    stage.wait_programmed(1);
    let key = format!("credentials: {{ file: {} }}", faregate.path().join("beta.key").display());
    stage.publish(&to("beta", beta).replace("credentials: none", &key));
    eventually("a refusal", || stage.programmed().refused == 1);
    assert!(stage.programmed().refusals[0].1.contains("beta.key"), "{:?}", stage.programmed().refusals);
    faregate
}

fn upstreams() -> [Upstream; 2] {
    [Upstream::json(200, r#"{"served":"alpha"}"#), Upstream::json(200, r#"{"served":"beta"}"#)]
}

#[test]
fn a_table_is_taken_once_the_key_is_there_that_it_names() {
    let (stage, upstreams) = (Stage::new(), upstreams());
    let control = stage.start();
    let faregate = refused(&stage, control.address, &upstreams);
    // Again and again, and control hears nothing of it: one refusal, and the connection that it came on.
    let connections = stage.began("accepted");
    eventually("more tries", || refusals(&faregate) >= 4.0);
    let said = |result: &str| stage.telemetry.metrics().control_answers.with([result]).get();
    assert_eq!((said("refused"), stage.began("accepted")), (1, connections));
    assert_eq!((served(&faregate).as_str(), stage.programmed().programmed), ("alpha", 0));

    fs::write(faregate.path().join("beta.key"), "sk-beta").unwrap();
    stage.wait_programmed(1);
    assert_eq!((stage.programmed().refused, said("refused"), stage.began("accepted")), (0, 1, connections));
    assert_eq!(served(&faregate), "beta");
    assert_eq!(upstreams[1].requests().last().unwrap().header("authorization"), Some("Bearer sk-beta"));
    let table = get(faregate.admin, "/admin/table").expect(200).json();
    assert_eq!((&table["control"]["trouble"], &table["last_reload"]["result"]), (&().into(), &"success".into()));
}

#[test]
fn a_table_that_control_takes_back_is_not_tried_again_and_all_is_well() {
    let (stage, upstreams) = (Stage::new(), upstreams());
    let control = stage.start();
    let faregate = refused(&stage, control.address, &upstreams);
    assert_eq!(faregate.metrics().value("faregate_config_last_reload_success", &[]), Some(0.0));
    stage.publish(&to("alpha", &upstreams[0]));
    stage.wait_programmed(1);
    eventually("all is well", || faregate.metrics().value("faregate_config_last_reload_success", &[]) == Some(1.0));
    let table = get(faregate.admin, "/admin/table").expect(200).json();
    assert_eq!((&table["control"]["trouble"], &table["last_reload"]["result"]), (&().into(), &"success".into()));
    // It could be taken now; but nobody wants it any more.
    let before = refusals(&faregate);
    fs::write(faregate.path().join("beta.key"), "sk-beta").unwrap();
    thread::sleep(Duration::from_millis(1500));
    assert_eq!((served(&faregate).as_str(), refusals(&faregate)), ("alpha", before));
    assert_eq!(stage.programmed().programmed, 1);
}
