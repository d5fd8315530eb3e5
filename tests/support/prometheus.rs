//! A real Prometheus (Debian package `prometheus`) that scrapes a Faregate ten times a second.
//!
//! Where it is missing, tests say loudly that they were skipped; with FAREGATE_REQUIRE_PROMETHEUS=1 they fail.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Client;
use super::gate::eventually;

/// A running Prometheus. Killed when it is dropped.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Prometheus {
    /// One that scrapes `target`; `None` where there is none on this machine.
    pub fn start(target: SocketAddr) -> Option<Self> {
        if Command::new("prometheus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            let required = std::env::var_os("FAREGATE_REQUIRE_PROMETHEUS").is_some_and(|value| value == "1");
            assert!(!required, "FAREGATE_REQUIRE_PROMETHEUS is set and there is no `prometheus`");
            eprintln!("SKIPPED: no `prometheus` on this machine (Debian package prometheus)");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{ scrape_interval: 100ms, scrape_timeout: 100ms }}\n\
             scrape_configs: [{{ job_name: faregate, static_configs: [{{ targets: [\"{target}\"] }}] }}]\n"
        );
        fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        // It cannot say which port the system chose: one that was free just now.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"])
            .arg(format!("--web.listen-address={address}"))
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let started = Self { child, address, _dir: dir };
        eventually("Prometheus listens", || TcpStream::connect(address).is_ok());
        Some(started)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first value of an instant query; `None` where there is none (yet).
    pub fn ask(&self, query: &str) -> Option<f64> {
        let mut client = Client::connect(self.address);
        let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
        client.ask("GET", &format!("/api/v1/query?query={query}"), &["connection: close"]);
        let answer = client.response();
        assert!(answer.status != 400, "{}", answer.text());
        if answer.status != 200 {
            return None;
        }
        answer.json()["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// Waits until an instant query gives at least this much.
    #[track_caller]
    pub fn wait(&self, query: &str, value: f64) {
        eventually(&format!("{query} at {value}"), || self.ask(query).is_some_and(|got| got >= value));
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Prometheus's own judge of a metrics page.
pub fn promtool(page: &str) {
    let judge = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut judge = judge.expect("this test needs promtool: install the Debian package `prometheus`");
    judge.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let verdict = judge.wait_with_output().unwrap();
    let said = [verdict.stdout, verdict.stderr].concat();
    assert!(verdict.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
