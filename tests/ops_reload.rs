//! The routing table is replaced while calls go on: by a changed file in every way in which files change, by SIGHUP,
//! by the admin port; a bad one never.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use support::{Client, Faregate, Gate, Response, Setup, Upstream, eventually, get, post, table};

const BODY: &str = r#"{"model":"m","messages":[]}"#;

/// Two upstreams that say who they are.
fn pair() -> [Upstream; 2] {
    [Upstream::json(200, r#"{"served":"alpha"}"#), Upstream::json(200, r#"{"served":"beta"}"#)]
}

/// The table that leads to one of them.
fn to(upstream: &Upstream) -> String {
    table::fallback(&[upstream.address])
}

fn served(faregate: &Faregate) -> String {
    let answer = post(faregate.api, "/v1/chat/completions", BODY).expect(200);
    answer.json()["served"].as_str().unwrap().to_owned()
}

fn eventually_served(faregate: &Faregate, by: &str) {
    eventually(&format!("calls served by {by}"), || served(faregate) == by);
}

fn reload(faregate: &Faregate) -> Response {
    post(faregate.admin, "/admin/reload", "")
}

fn complete(config: &str) -> String {
    format!("server: {{ listen: \"127.0.0.1:0\", admin: \"127.0.0.1:0\" }}\n{config}")
}

#[test]
fn written_in_place_renamed_over_vanished_and_back() {
    let [alpha, beta] = pair();
    let faregate = Faregate::start(&to(&alpha));
    assert_eq!(served(&faregate), "alpha");
    faregate.rewrite(&to(&beta));
    eventually_served(&faregate, "beta");
    fs::write(faregate.config_file(), complete(&to(&alpha))).unwrap();
    eventually_served(&faregate, "alpha");
    fs::remove_file(faregate.config_file()).unwrap();
    faregate.wait_logged("configuration refused");
    assert_eq!(served(&faregate), "alpha");
    faregate.rewrite(&to(&beta));
    eventually_served(&faregate, "beta");
}

/// As Kubernetes mounts a ConfigMap: the file is a link through `..data`, which is swapped for another directory, the
/// one before being removed. Twice, since the watch on the first directory dies with it.
#[test]
fn a_config_map_is_swapped_twice() {
    let [alpha, beta] = pair();
    let swap = |dir: &Path, version: u32, upstream: &Upstream| {
        let name = format!("..version_{version}");
        fs::create_dir(dir.join(&name)).unwrap();
        fs::write(dir.join(&name).join("faregate.yaml"), complete(&to(upstream))).unwrap();
        symlink(&name, dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
        let before = dir.join(format!("..version_{}", version.wrapping_sub(1)));
        let _first = fs::remove_dir_all(before);
    };
    let setup = Setup::new("{}");
    let dir = setup.path().to_owned();
    swap(&dir, 0, &alpha);
    fs::remove_file(dir.join("faregate.yaml")).unwrap();
    symlink("..data/faregate.yaml", dir.join("faregate.yaml")).unwrap();
    let faregate = setup.start();
    assert_eq!(served(&faregate), "alpha");
    swap(&dir, 1, &beta);
    eventually_served(&faregate, "beta");
    swap(&dir, 2, &alpha);
    eventually_served(&faregate, "alpha");
}

/// Half of a file is either refused or, where it happens to be sound, used; the whole is used in the end.
#[test]
fn a_file_that_comes_in_two_halves() {
    let [alpha, beta] = pair();
    let faregate = Faregate::start(&to(&alpha));
    let whole = complete(&to(&beta));
    // Inside the route's name and before its targets: no sound table.
    let half = &whole[..whole.find("targets").unwrap()];
    fs::write(faregate.config_file(), half).unwrap();
    faregate.wait_logged("configuration refused");
    assert_eq!(served(&faregate), "alpha");
    fs::write(faregate.config_file(), &whole).unwrap();
    eventually_served(&faregate, "beta");
}

#[test]
fn two_rapid_changes_end_with_the_second() {
    let [alpha, beta] = pair();
    let faregate = Faregate::start(&to(&alpha));
    for _ in 0..20 {
        faregate.rewrite(&to(&beta));
        faregate.rewrite(&to(&alpha));
        faregate.rewrite(&to(&beta));
    }
    eventually_served(&faregate, "beta");
    let last = complete(&to(&alpha));
    fs::write(faregate.config_file(), complete(&to(&beta))).unwrap();
    fs::write(faregate.config_file(), last).unwrap();
    eventually_served(&faregate, "alpha");
}

#[test]
fn by_signal_and_by_the_admin_port() {
    let [alpha, beta] = pair();
    let faregate = Faregate::start(&to(&alpha));
    let generation = || faregate.metrics().value("faregate_config_generation", &[]).unwrap();
    let first = generation();
    faregate.signal("HUP");
    eventually("a reload by SIGHUP", || generation() > first);
    faregate.rewrite(&to(&beta));
    let done = reload(&faregate).expect(200).json();
    assert_eq!(done["result"], "success");
    // It is in use when the answer comes.
    assert_eq!(served(&faregate), "beta");
    let shown = get(faregate.admin, "/admin/table").expect(200).json();
    assert_eq!(shown["hash"], done["table"]["hash"]);
    assert_eq!(shown["last_reload"]["result"], "success");
}

#[test]
fn a_bad_file_keeps_the_table_and_says_everything_that_is_wrong() {
    let [alpha, _] = pair();
    let faregate = Faregate::start(&to(&alpha));
    let before = get(faregate.admin, "/admin/table").expect(200).json();
    let bad = "server: { listen: \"127.0.0.1:0\", admin: \"127.0.0.1:0\" }\nproviders:\n  a:\n    base_url: nonsense\n    \
               colour: blue\nroutes:\n- name: r\n  targets:\n  - provider: a\n    weight: heavy\n";
    fs::write(faregate.config_file(), bad).unwrap();
    let refused = reload(&faregate).expect(422).json();
    assert_eq!(refused["result"], "failure");
    let errors: Vec<&str> = refused["errors"].as_array().unwrap().iter().map(|e| e.as_str().unwrap()).collect();
    for place in [":4:", "providers.a.base_url", ":5:", "providers.a.colour", ":10:", "routes[0].targets[0].weight"] {
        assert!(errors.iter().any(|error| error.contains(place)), "{place} is not in {errors:#?}");
        faregate.wait_logged(place);
    }
    let metrics = faregate.metrics();
    assert_eq!(metrics.value("faregate_config_last_reload_success", &[]), Some(0.0));
    assert!(metrics.value("faregate_config_reloads_total", &[("result", "failure")]).unwrap() >= 1.0);
    let after = get(faregate.admin, "/admin/table").expect(200).json();
    assert_eq!((&after["hash"], &after["generation"]), (&before["hash"], &before["generation"]));
    assert_eq!(after["last_reload"]["result"], "failure");
    assert_eq!(after["last_reload"]["errors"], refused["errors"]);
    assert_eq!(served(&faregate), "alpha");
    assert_eq!(get(faregate.admin, "/readyz").status, 200);
    faregate.rewrite(&to(&alpha));
    reload(&faregate).expect(200);
    assert_eq!(faregate.metrics().value("faregate_config_last_reload_success", &[]), Some(1.0));
}

#[test]
fn a_stream_in_flight_keeps_the_table_that_it_began_with() {
    let gate = Gate::default();
    let held = gate.clone();
    let alpha = Upstream::start(move |peer, _| {
        peer.sse_head();
        peer.chunk("data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n");
        held.wait();
        peer.chunk("data: {\"choices\":[{\"delta\":{\"content\":\"two\"}}]}\n\n");
        peer.chunk("data: [DONE]\n\n");
        peer.last_chunk();
    });
    let [_, beta] = pair();
    let faregate = Faregate::start(&to(&alpha));
    let mut client = Client::connect(faregate.api);
    let streamed = r#"{"model":"m","stream":true,"messages":[]}"#;
    client.post("/v1/chat/completions", &["content-type: application/json"], streamed);
    assert!(client.head().line.contains("200"));
    client.chunks_until("one");
    // The provider of the call in flight is not even in the new table.
    let config = to(&beta).replace("alpha", "other");
    faregate.rewrite(&config);
    reload(&faregate).expect(200);
    assert_eq!(served(&faregate), "beta");
    gate.open();
    client.chunks_until("[DONE]");
    assert_eq!(client.chunk(), None);
    // The same connection's next call goes by the new table.
    client.post("/v1/chat/completions", &["content-type: application/json"], BODY);
    assert_eq!(client.response().expect(200).json()["served"], "beta");
    let records = faregate.stop();
    let outcomes: Vec<_> = records.iter().map(|record| record["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["ok", "ok", "ok"]);
}

#[test]
fn keys_in_files_are_read_again_without_a_change_of_the_configuration() {
    let [alpha, _] = pair();
    let setup = Setup::new(&format!(
        "server: {{ keys: [{{ name: team, key: {{ file: inbound }} }}] }}\nproviders:\n  alpha: {{ base_url: \"{}\", \
         credentials: {{ file: outbound }} }}\nroutes: [{{ name: r, targets: [{{ provider: alpha }}] }}]",
        alpha.url()
    ));
    let faregate = setup.file("inbound", "in-1\n").file("outbound", "out-1\n").start();
    let call = |key: &str| {
        let mut client = Client::connect(faregate.api);
        client.post("/v1/chat/completions", &[&format!("authorization: Bearer {key}")], BODY);
        client.response().status
    };
    assert_eq!((call("in-1"), call("in-2")), (200, 401));
    let sent = || alpha.requests().last().unwrap().header("authorization").unwrap().to_owned();
    assert_eq!(sent(), "Bearer out-1");
    for round in 2..4 {
        fs::write(faregate.path().join("outbound"), format!("out-{round}\n")).unwrap();
        fs::write(faregate.path().join("inbound"), format!("in-{round}\n")).unwrap();
        eventually("the new inbound key", || call(&format!("in-{round}")) == 200);
        assert_eq!(call(&format!("in-{}", round - 1)), 401, "the old key is void");
        eventually("the new outbound key", || {
            call(&format!("in-{round}"));
            sent() == format!("Bearer out-{round}")
        });
    }
    assert_eq!(faregate.metrics().value("faregate_config_generation", &[]), Some(1.0));
    for secret in ["in-1", "in-2", "out-1", "out-2", "out-3"] {
        assert!(!faregate.stderr().contains(secret), "{secret} stands in the log");
    }
}

#[test]
fn what_needs_a_restart_is_said() {
    let [alpha, _] = pair();
    let faregate = Faregate::start(&to(&alpha));
    faregate.rewrite(&format!("server: {{ workers: 1 }}\n{}", to(&alpha)));
    reload(&faregate).expect(200);
    faregate.wait_logged("need a restart");
}

#[test]
fn a_storm_of_reloads_is_worked_off_one_by_one() {
    let [alpha, _] = pair();
    let faregate = Faregate::start(&to(&alpha));
    let reloads: Vec<Client> = (0..200)
        .map(|_| {
            let mut client = Client::connect(faregate.admin);
            client.post("/admin/reload", &[], "");
            client
        })
        .collect();
    assert_eq!(served(&faregate), "alpha");
    for mut client in reloads {
        client.response().expect(200);
    }
    assert_eq!(faregate.metrics().value("faregate_config_generation", &[]), Some(201.0));
}
