//! Pipes that nobody reads: neither a log nor a record may stop a call.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use super::support::{Client, Metrics, Upstream, eventually, get, table};

/// A Faregate whose pipes are read by the test alone, or by nobody.
struct Piped {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
    api: SocketAddr,
    admin: SocketAddr,
    _dir: TempDir,
}

impl Piped {
    fn start(config: &str, environment: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        let config = format!("server: {{ listen: \"127.0.0.1:0\", admin: \"127.0.0.1:0\" }}\n{config}");
        std::fs::write(dir.path().join("faregate.yaml"), config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_faregate"))
            .args(["run", "--print-addresses", "--config", "faregate.yaml"])
            .current_dir(dir.path())
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = child.stderr.take().unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
        Self { api: address("api"), admin: address("admin"), child, stdout, stderr, _dir: dir }
    }

    /// Calls whose records and log lines are as long as a client can make them.
    fn call(&self, calls: usize) {
        let long = "x".repeat(120);
        let mut client = Client::connect(self.api);
        for n in 0..calls {
            let headers = [format!("x-request-id: {n:05}{long}"), format!("x-faregate-app: {long}")];
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            client.post("/v1/chat/completions", &headers, format!(r#"{{"model":"{long}","messages":[]}}"#));
            client.response().expect(200);
        }
    }

    fn metric(&self, name: &str) -> f64 {
        Metrics::parse(get(self.admin, "/metrics").expect(200).text()).value(name, &[]).unwrap()
    }

    fn terminate(&mut self) {
        let sent = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        eventually("the end of the process", || self.child.try_wait().unwrap().is_some());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn a_blocked_standard_output_holds_records_back_and_no_call() {
    let upstream = Upstream::json(200, "{}");
    let config = table::with(&table::fallback(&[upstream.address]), "observe: { usage_records: { path: \"-\" } }");
    let mut faregate = Piped::start(&config, &[]);
    // Four times what a pipe holds.
    const CALLS: usize = 300;
    faregate.call(CALLS);
    assert_eq!(faregate.metric("faregate_usage_records_dropped_total"), 0.0);
    let mut records = Vec::new();
    for _ in 0..CALLS {
        let mut line = String::new();
        faregate.stdout.read_line(&mut line).unwrap();
        let record: serde_json::Value = serde_json::from_str(&line).unwrap();
        records.push(record["request_id"].as_str().unwrap()[..5].parse::<usize>().unwrap());
    }
    assert_eq!(records, (0..CALLS).collect::<Vec<_>>(), "each once, in order");
    // Blocked again, and to the end: the process waits for it, in vain and not for long.
    faregate.call(CALLS);
    faregate.terminate();
    let mut log = String::new();
    faregate.stderr.read_to_string(&mut log).unwrap();
    assert!(log.contains("the last ones are lost"), "{log}");
}

#[test]
fn a_blocked_standard_error_loses_lines_that_are_counted_and_no_call() {
    let upstream = Upstream::json(200, "{}");
    let config = table::with(&table::fallback(&[upstream.address]), "observe: { log: { calls: true } }");
    let mut faregate = Piped::start(&config, &[]);
    let mut calls = 0;
    eventually("the queue of log lines is full", || {
        faregate.call(500);
        calls += 500;
        faregate.metric("faregate_log_lines_dropped_total") > 0.0
    });
    let dropped = faregate.metric("faregate_log_lines_dropped_total") as usize;
    // A call is counted just after its last byte.
    eventually("all calls are counted", || {
        let done = Metrics::parse(get(faregate.admin, "/metrics").expect(200).text());
        done.sum("faregate_requests_total", &[("outcome", "ok")]) == calls as f64
    });
    faregate.terminate();
    let mut log = String::new();
    faregate.stderr.read_to_string(&mut log).unwrap();
    let shown = log.lines().filter(|line| line.contains("faregate::call")).count();
    assert!(shown + dropped <= calls && shown > 0, "{shown} shown, {dropped} lost of {calls}");
}
