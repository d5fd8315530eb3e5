//! A thousand reloads of a table of ten thousand routes under load: not one call fails, and memory stays.

mod support;

use std::fmt::Write;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use support::{Client, Faregate, Upstream, get, post};

/// How many reloads, of how many routes. A debug build takes the better part of a second for a table of full size, so it
/// does less; the full numbers are for a release build: `FAREGATE_TEST_BINARY=.../release/faregate cargo test --test
/// ops_reload_load`, as `just soak` does.
fn size() -> (usize, usize) {
    if std::env::var_os("FAREGATE_TEST_BINARY").is_some() { (1_000, 10_000) } else { (100, 500) }
}

/// Every route leads to the provider of this version.
fn config(version: usize, routes: usize, upstream: &Upstream) -> String {
    let mut yaml = format!(
        "server: {{ listen: \"127.0.0.1:0\", admin: \"127.0.0.1:0\" }}\nobserve: {{ log: {{ level: warn }} }}\nproviders:\n  \
         even: {{ base_url: \"{0}\", credentials: none }}\n  odd: {{ base_url: \"{0}\", credentials: none }}\nroutes:\n",
        upstream.url()
    );
    let provider = ["even", "odd"][version % 2];
    for route in 0..routes {
        writeln!(yaml, "- {{ name: r{route}, match: {{ model: m{route} }}, targets: [{{ provider: {provider} }}] }}")
            .unwrap();
    }
    yaml
}

fn upstream() -> Upstream {
    Upstream::start(|peer, request| {
        if request.text().contains("\"stream\":true") {
            peer.sse(&["data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n", "data: [DONE]\n\n"]);
        } else {
            peer.json(200, r#"{"choices":[]}"#);
        }
    })
}

/// Calls until told to stop; returns how many.
fn load(api: std::net::SocketAddr, worker: usize, routes: usize, stop: &AtomicBool, calls: &AtomicUsize) {
    let mut client = Client::connect(api);
    let mut route = worker;
    while !stop.load(Ordering::Relaxed) {
        route = (route * 31 + 17) % routes;
        let stream = worker % 2 == 1;
        let body = format!(r#"{{"model":"m{route}","stream":{stream},"messages":[]}}"#);
        client.post("/v1/chat/completions", &["content-type: application/json"], body);
        let answer = client.response().expect(200);
        assert_eq!(answer.header("x-faregate-route"), Some(&*format!("r{route}")));
        assert!(!stream || answer.text().ends_with("data: [DONE]\n\n"));
        calls.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn reloads_of_a_large_table_under_load_fail_no_call() {
    let upstream = upstream();
    let (reloads, routes) = size();
    let versions = [config(0, routes, &upstream), config(1, routes, &upstream)];
    // The full run makes millions of calls: what they leave is counted in the metrics, not in records.
    let first = "providers: { simulated: {} }\nobserve: { log: { level: warn }, usage_records: { path: /dev/null } }";
    let faregate = Faregate::start(first);
    let put = |version: usize| {
        let new = faregate.path().join("next");
        fs::write(&new, &versions[version % 2]).unwrap();
        fs::rename(new, faregate.config_file()).unwrap();
        let done = post(faregate.admin, "/admin/reload", "").expect(200).json();
        assert_eq!(done["result"], "success");
    };
    put(0);
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..6)
        .map(|worker| {
            let (stop, calls, api) = (stop.clone(), calls.clone(), faregate.api);
            thread::spawn(move || load(api, worker, routes, &stop, &calls))
        })
        .collect();
    let mut resident = Vec::new();
    for reload in 1..=reloads {
        put(reload);
        if reload % (reloads / 10) == 0 {
            resident.push(faregate.resident() >> 20);
            assert!(workers.iter().all(|worker| !worker.is_finished()), "a call failed");
        }
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.join().expect("every call was answered whole");
    }
    let calls = calls.load(Ordering::Relaxed);
    println!("{calls} calls during {reloads} reloads; resident MiB: {resident:?}");
    assert!(calls > reloads, "too little load: {calls}");
    let shown = get(faregate.admin, "/metrics").expect(200);
    let metrics = support::Metrics::parse(shown.text());
    assert!(metrics.value("faregate_config_generation", &[]).unwrap() > reloads as f64);
    // By provider: what else somebody may ask this process meanwhile (a look at a wrong port) reaches none.
    let served = |provider| metrics.sum("faregate_requests_total", &[("provider", provider)]);
    assert_eq!(served("even") + served("odd"), calls as f64);
    assert_eq!(metrics.sum("faregate_requests_total", &[("outcome", "ok")]), calls as f64);
    // The first tenth brings caches and pools to size; from there on it must not grow with the number of reloads.
    let (first, last) = (resident[0], *resident.last().unwrap());
    assert!(last < first + first / 2 + 16, "resident memory grows: {resident:?} MiB");
}
