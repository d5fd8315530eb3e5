//! The real program as a child process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use crate::api::{Api, SECRETS};
use crate::caller::Caller;
use crate::support::{Metrics, eventually, get};

/// The name that the webhook's certificate is for.
pub const SERVICE: &str = "faregate-control.faregate-system.svc";

/// A running control plane. Killed when it is dropped; if the test fails, its log is shown.
pub struct Control {
    pub webhook: SocketAddr,
    pub distribution: SocketAddr,
    pub admin: SocketAddr,
    child: Child,
    stderr: Arc<Mutex<String>>,
    _directory: TempDir,
}

impl Control {
    /// Starts one, and waits until it is ready.
    #[track_caller]
    pub fn start(api: &Api, arguments: &[&str]) -> Self {
        let control = Self::launch(api, arguments);
        control.wait_ready();
        control
    }

    /// Starts one that may not be ready yet.
    #[track_caller]
    pub fn launch(api: &Api, arguments: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inject/settings.yaml");
        let own = arguments.contains(&"--settings");
        let mut child = Command::new(env!("CARGO_BIN_EXE_faregate"))
            .args(["control", "--print-addresses", "--webhook=127.0.0.1:0", "--admin=127.0.0.1:0"])
            .args(["--distribution=127.0.0.1:0", "--certificate-name=127.0.0.1"])
            .args(["--lease-duration=2s", "--status-pause=100ms"])
            .args((!own).then(|| format!("--settings={}", settings.display())))
            .args(arguments)
            .current_dir(directory.path())
            .env_clear()
            .env("KUBECONFIG", api.kubeconfig(directory.path()))
            .env("RUST_LOG", "info,faregate=debug")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = collect(child.stderr.take().unwrap());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("not started: {line:?}\n{}", stderr.lock().unwrap()));
        let address = |key: &str| addresses[key].as_str().unwrap().parse().unwrap();
        let [webhook, distribution, admin] = ["webhook", "distribution", "admin"].map(address);
        Self { webhook, distribution, admin, child, stderr, _directory: directory }
    }

    #[track_caller]
    pub fn wait_ready(&self) {
        eventually("the control plane is ready", || get(self.admin, "/readyz").status == 200);
    }

    pub fn metrics(&self) -> Metrics {
        Metrics::parse(get(self.admin, "/metrics").expect(200).text())
    }

    pub fn leads(&self) -> bool {
        self.metrics().value("faregate_control_leader", &[]) == Some(1.0)
    }

    /// Who trusts what the Secret of the authority holds now.
    pub fn caller(&self, api: &Api) -> Caller {
        Caller::new(self.webhook, SERVICE, &part(api, "ca.crt"))
    }

    pub fn log(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Tells it to stop, and waits for its end.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        let sent = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        eventually("the end of the process", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }

    /// Ends it at once.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.char_indices().rev().nth(6000).map_or(0, |(at, _)| at);
            eprintln!("--- the control plane's log\n{}---", &log[from..]);
        }
    }
}

/// A part of the Secret with the control plane's authority; empty where there is none.
pub fn part(api: &Api, key: &str) -> String {
    let secret = api.get(SECRETS, "faregate-system", "faregate-control-tls").unwrap_or_default();
    let bytes = STANDARD.decode(secret["data"][key].as_str().unwrap_or_default()).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let kept = Arc::new(Mutex::new(String::new()));
    let keeper = kept.clone();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(pipe);
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|n| n > 0) {
            keeper.lock().unwrap().push_str(&line);
            line.clear();
        }
    });
    kept
}
