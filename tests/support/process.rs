//! The real binary as a child process, in a directory and an environment of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use super::gate::eventually;
use super::records::{self, Record};
use super::{Metrics, get};

/// A Faregate that is about to be started.
pub struct Setup {
    dir: TempDir,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    launcher: Vec<String>,
    stdin: Stdio,
}

/// A running Faregate. Killed when it is dropped; if the test fails, its log is shown.
pub struct Faregate {
    pub api: SocketAddr,
    pub admin: SocketAddr,
    dir: TempDir,
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

/// The binary under test: the one that was built with the tests, or what `FAREGATE_TEST_BINARY` names (a release build).
fn binary() -> String {
    std::env::var("FAREGATE_TEST_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_faregate").into())
}

impl Setup {
    /// With this configuration, completed by what tests need: ports that the system chooses, usage records in a file,
    /// a log at level debug. What the configuration says itself stays.
    pub fn new(config: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let setup =
            Self { dir, environment: Vec::new(), arguments: Vec::new(), launcher: Vec::new(), stdin: Stdio::null() };
        write_config(setup.dir.path(), config);
        setup
    }

    /// Without a configuration: the built-in defaults, on ports that the system chooses.
    pub fn without_config() -> Self {
        let arguments = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"].map(Into::into).into();
        let dir = TempDir::new().unwrap();
        Self { dir, environment: Vec::new(), arguments, launcher: Vec::new(), stdin: Stdio::null() }
    }

    /// One environment variable more; there are none but `PATH` otherwise.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// A file in the process's directory, which is also its working directory.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.dir.path().join(name), content).unwrap();
        self
    }

    /// One argument more of `faregate run`.
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Started by this command, which must replace itself with the one that it is given.
    pub fn through(mut self, launcher: &[&str]) -> Self {
        self.launcher = launcher.iter().map(ToString::to_string).collect();
        self
    }

    /// With this as its standard input, which is empty otherwise.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Where files stand.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Starts it and waits until calls can come.
    #[track_caller]
    pub fn start(self) -> Faregate {
        let mut words = self.launcher.clone();
        words.push(binary());
        let configured = self.dir.path().join("faregate.yaml").exists();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .args(["run", "--print-addresses"])
            .args(configured.then_some("--config=faregate.yaml"))
            .args(&self.arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.environment)
            .stdin(self.stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        let first_line = || stdout.lock().unwrap().split_once('\n').map(|(line, _)| line.to_owned());
        eventually("the address line", || first_line().is_some() || child.try_wait().unwrap().is_some());
        let line = first_line().unwrap_or_else(|| panic!("faregate did not start:\n{}", stderr.lock().unwrap()));
        let line: Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
        Faregate { api: address("api"), admin: address("admin"), dir: self.dir, child, stdout, stderr }
    }
}

impl Faregate {
    /// Starts one with this configuration; see [`Setup::new`].
    #[track_caller]
    pub fn start(config: &str) -> Self {
        Setup::new(config).start()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process's directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn config_file(&self) -> PathBuf {
        self.dir.path().join("faregate.yaml")
    }

    /// Replaces the configuration file, by renaming a new one over it as editors do.
    pub fn rewrite(&self, config: &str) {
        write_config(self.dir.path(), config);
    }

    /// What it has logged so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// What it has printed so far, the address line included.
    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    /// Waits until it has logged this.
    #[track_caller]
    pub fn wait_logged(&self, text: &str) {
        eventually(&format!("a log line with {text:?}"), || self.stderr.lock().unwrap().contains(text));
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the end of the process", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }

    /// All metrics now.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(get(self.admin, "/metrics").expect(200).text())
    }

    /// Waits until these series add up to this much: what a call counts is counted just after its last byte.
    #[track_caller]
    pub fn wait_metric(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        eventually(&format!("{name}{labels:?} at {value}"), || self.metrics().sum(name, labels) == value);
    }

    /// Usage records that are on file now; the newest may still be on their way.
    pub fn records_now(&self) -> Vec<Record> {
        records::read(&self.records_file())
    }

    /// Waits until `n` usage records are on file.
    #[track_caller]
    pub fn wait_records(&self, n: usize) -> Vec<Record> {
        eventually(&format!("usage record {n}"), || self.records_now().len() >= n);
        self.records_now()
    }

    /// Stops it in good order, so that every record is on file: all there will ever be.
    #[track_caller]
    pub fn stop(mut self) -> Vec<Record> {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "exit {status}");
        self.records_now()
    }

    /// Stops it in good order and returns the record of the only call that there was.
    #[track_caller]
    pub fn only_record(self) -> Record {
        let mut records = self.stop();
        assert_eq!(records.len(), 1, "usage records: {records:#?}");
        records.remove(0)
    }

    /// Ends it at once, as `kill -9` does, and returns its directory.
    pub fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.dir, TempDir::new().unwrap())
    }

    /// Resident memory, in bytes.
    pub fn resident(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    fn records_file(&self) -> PathBuf {
        self.dir.path().join("usage.jsonl")
    }
}

impl Drop for Faregate {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
        if std::thread::panicking() {
            let log = self.stderr.lock().map(|log| log.clone()).unwrap_or_default();
            let from = log.char_indices().rev().nth(8000).map_or(0, |(at, _)| at);
            eprintln!("--- faregate's log\n{}---", &log[from..]);
        }
    }
}

fn write_config(dir: &Path, config: &str) {
    let mut config: serde_yaml::Value = serde_yaml::from_str(config).unwrap();
    let mut default = |section: &str, key: &str, value: serde_yaml::Value| {
        let root = config.as_mapping_mut().expect("the configuration is a mapping");
        let section = root.entry(section.into()).or_insert_with(|| serde_yaml::Mapping::new().into());
        section.as_mapping_mut().unwrap().entry(key.into()).or_insert(value);
    };
    default("server", "listen", "127.0.0.1:0".into());
    default("server", "admin", "127.0.0.1:0".into());
    default("observe", "usage_records", serde_yaml::from_str("path: usage.jsonl").unwrap());
    default("observe", "log", serde_yaml::from_str("level: debug").unwrap());
    let new = dir.join(".faregate.yaml.new");
    fs::write(&new, serde_yaml::to_string(&config).unwrap()).unwrap();
    fs::rename(new, dir.join("faregate.yaml")).unwrap();
}

/// Keeps what comes out of a pipe.
fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let kept = Arc::new(Mutex::new(String::new()));
    let keeper = kept.clone();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(pipe);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            keeper.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    kept
}
