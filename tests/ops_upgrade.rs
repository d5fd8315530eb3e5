//! A new process takes over from the one that runs, under load: not one call fails.

mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use support::{Client, Faregate, Gate, Upstream, eventually, get, post, table};

const BODY: &str = r#"{"model":"m","messages":[]}"#;

fn config(upstream: &Upstream) -> String {
    format!("server: {{ upgrade_socket: upgrade.sock }}\n{}", table::fallback(&[upstream.address]))
}

/// Calls, half of them on kept connections, until told to stop.
fn load(api: SocketAddr, stop: &AtomicBool, calls: &AtomicUsize) {
    let mut kept = None;
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let mut client = kept.take().unwrap_or_else(|| Client::connect(api));
        client.post("/v1/chat/completions", &["content-type: application/json"], BODY);
        let answer = client.response().expect(200);
        calls.fetch_add(1, Ordering::Relaxed);
        if answer.header("connection") != Some("close") && n % 8 != 0 {
            kept = Some(client);
        }
    }
}

struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    workers: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start(api: SocketAddr) -> Self {
        let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let workers = (0..4)
            .map(|_| {
                let (stop, calls) = (stop.clone(), calls.clone());
                thread::spawn(move || load(api, &stop, &calls))
            })
            .collect();
        Self { stop, calls, workers }
    }

    /// Waits for this many calls more.
    fn go_on(&self, more: usize) {
        let from = self.calls.load(Ordering::Relaxed);
        eventually("calls under load", || {
            assert!(self.workers.iter().all(|worker| !worker.is_finished()), "a call failed");
            self.calls.load(Ordering::Relaxed) >= from + more
        });
    }

    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            worker.join().expect("every call was answered");
        }
        self.calls.load(Ordering::Relaxed)
    }
}

/// A process that takes over, started by hand in the first one's directory.
struct Next(Child);

impl Next {
    fn start(first: &Faregate) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_faregate"))
            .args(["run", "--upgrade", "--print-addresses", "--config", "faregate.yaml"])
            .current_dir(first.path())
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(addresses["api"], first.api.to_string());
        assert_eq!(addresses["admin"], first.admin.to_string());
        Self(child)
    }

    fn stop(mut self) {
        signal(self.0.id(), "TERM");
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Next {
    fn drop(&mut self) {
        let _ended = self.0.kill();
    }
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn two_upgrades_in_a_row_under_load_fail_no_call() {
    let upstream = Upstream::json(200, "{}");
    let mut first = Faregate::start(&config(&upstream));
    let load = Load::start(first.api);
    load.go_on(100);
    let second = Next::start(&first);
    assert_eq!(first.wait().code(), Some(0));
    assert!(first.stderr().contains("replaced by another process"));
    load.go_on(100);
    let third = Next::start(&first);
    let mut second = second;
    assert_eq!(second.0.wait().unwrap().code(), Some(0));
    load.go_on(100);
    let calls = load.end();
    third.stop();
    let records = first.records_now();
    assert_eq!(records.len(), calls, "one record a call, whichever process served it");
    assert!(records.iter().all(|record| record["outcome"] == "ok"));
}

#[test]
fn a_stream_of_the_old_process_ends_well_while_the_new_one_serves() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |peer, request| {
        if request.text().contains("stream") {
            peer.sse_head();
            peer.chunk("data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n");
            held.wait();
            peer.chunk("data: [DONE]\n\n");
            peer.last_chunk();
        } else {
            peer.json(200, "{}");
        }
    });
    let mut first = Faregate::start(&config(&upstream));
    let mut stream = Client::connect(first.api);
    stream.post("/v1/chat/completions", &[], r#"{"model":"m","stream":true,"messages":[]}"#);
    stream.head();
    stream.chunks_until("one");
    let second = Next::start(&first);
    first.wait_logged("replaced by another process");
    post(first.api, "/v1/chat/completions", BODY).expect(200);
    // The admin pages are the new process's: it is ready, the old one is not.
    for _ in 0..20 {
        get(first.admin, "/readyz").expect(200);
    }
    gate.open();
    stream.chunks_until("[DONE]");
    assert_eq!(stream.chunk(), None);
    // The old process waits for the idle connection, too: its client might be about to use it.
    drop(stream);
    assert_eq!(first.wait().code(), Some(0));
    second.stop();
}

#[test]
fn sigusr2_starts_the_next_process() {
    let upstream = Upstream::json(200, "{}");
    let mut first = Faregate::start(&config(&upstream));
    let load = Load::start(first.api);
    load.go_on(50);
    first.signal("USR2");
    assert_eq!(first.wait().code(), Some(0));
    load.go_on(50);
    let calls = load.end();
    let log = first.stderr();
    let pid = log.split("pid=").nth(1).unwrap().split_whitespace().next().unwrap();
    signal(pid.parse().unwrap(), "TERM");
    eventually("the end of the second process", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(first.records_now().len(), calls);
}

#[test]
fn a_next_process_that_cannot_start_changes_nothing() {
    let upstream = Upstream::json(200, "{}");
    let mut first = Faregate::start(&config(&upstream));
    let good = std::fs::read_to_string(first.config_file()).unwrap();
    std::fs::write(first.config_file(), "server: { upgrade_socket: upgrade.sock, listen: nowhere }").unwrap();
    // From then on it hears signals.
    get(first.admin, "/readyz").expect(200);
    first.signal("USR2");
    first.wait_logged("the process that was to take over failed");
    post(first.api, "/v1/chat/completions", BODY).expect(200);
    std::fs::write(first.config_file(), good).unwrap();
    let second = Next::start(&first);
    assert_eq!(first.wait().code(), Some(0));
    second.stop();
}

#[test]
fn without_a_running_process_it_is_an_ordinary_start() {
    let upstream = Upstream::json(200, "{}");
    let faregate = support::Setup::new(&config(&upstream)).arg("--upgrade").start();
    post(faregate.api, "/v1/chat/completions", BODY).expect(200);
    assert!(faregate.stderr().contains("no process to take over from"));
}

#[test]
fn without_a_socket_the_signal_is_refused() {
    let upstream = Upstream::json(200, "{}");
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    post(faregate.api, "/v1/chat/completions", BODY).expect(200);
    faregate.signal("USR2");
    faregate.wait_logged("no process can take over without `server.upgrade_socket`");
    post(faregate.api, "/v1/chat/completions", BODY).expect(200);
}
