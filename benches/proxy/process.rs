//! The proxies as processes: started with configurations of their own in a temporary directory, measured by what the
//! kernel says of them, ended when dropped.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Kernel ticks per second in `/proc/*/stat`: USER_HZ.
const TICKS: f64 = 100.0;
/// A start that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running proxy.
pub struct Proxy {
    child: Child,
    /// Where JSON answers are asked for, and where streams are.
    pub json: SocketAddr,
    pub stream: SocketAddr,
    /// Where Faregate shows its metrics.
    admin: Option<SocketAddr>,
    /// From the start of the process until it said that it was ready.
    pub ready_after: Duration,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // SIGTERM first: nginx ends its workers itself.
        let _gone = Command::new("kill").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Proxy {
    /// Faregate as it comes: routes, usage records, metrics, two targets.
    pub fn faregate(program: &Path, dir: &Path, upstream: SocketAddr, workers: usize) -> io::Result<Self> {
        let config = dir.join("faregate.yaml");
        fs::write(
            &config,
            format!(
                "server: {{listen: 127.0.0.1:0, admin: 127.0.0.1:0, workers: {workers}}}\n\
                 observe:\n  usage_records: {{path: {records}}}\n\
                 providers:\n\
                 \x20 first: {{base_url: \"http://{upstream}/v1\", credentials: {{insecure_inline: sk-first}}, max_idle: 256}}\n\
                 \x20 second: {{base_url: \"http://{upstream}/v1\", credentials: {{insecure_inline: sk-second}}, max_idle: 256}}\n\
                 routes:\n\
                 \x20 - {{name: other, match: {{model: claude-*}}, targets: [{{provider: second}}]}}\n\
                 \x20 - {{name: bench, match: {{model: gpt-*}}, targets: [{{provider: first}}, {{provider: second, priority: 1}}]}}\n",
                records = dir.join("usage.jsonl").display(),
            ),
        )?;
        let began = Instant::now();
        let mut child = Command::new(program)
            .args(["run", "--print-addresses", "--config"])
            .arg(&config)
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(fs::File::create(dir.join("faregate.log"))?)
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        BufReader::new(stdout).read_line(&mut line)?;
        let addresses: serde_json::Value = serde_json::from_str(&line).map_err(|_| {
            let log = fs::read_to_string(dir.join("faregate.log")).unwrap_or_default();
            io::Error::other(format!("faregate did not start: {log}"))
        })?;
        let address = |name: &str| {
            addresses[name].as_str().and_then(|a| a.parse().ok()).ok_or_else(|| io::Error::other("no address"))
        };
        let (api, admin): (SocketAddr, SocketAddr) = (address("api")?, address("admin")?);
        let ready_after = answers(admin, began, "/readyz")?;
        Ok(Self { child, json: api, stream: api, admin: Some(admin), ready_after })
    }

    /// nginx as a plain reverse proxy: keep-alive on both sides, no log; streams unbuffered.
    pub fn nginx(dir: &Path, upstream: SocketAddr, workers: usize) -> io::Result<Self> {
        let [json, stream] = [free_port()?, free_port()?];
        let config = dir.join("nginx.conf");
        let proxy = "proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection \"\";";
        fs::write(
            &config,
            format!(
                "daemon off; worker_processes {workers}; pid {dir}/nginx.pid; error_log {dir}/nginx.log crit;\n\
                 events {{ worker_connections 4096; }}\n\
                 http {{\n\
                   access_log off; keepalive_requests 100000000; tcp_nodelay on;\n\
                   client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;\n\
                   uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
                   upstream up {{ server {upstream}; keepalive 256; keepalive_requests 100000000; }}\n\
                   server {{ listen {json} backlog=1024; location / {{ {proxy} }} }}\n\
                   server {{ listen {stream} backlog=1024; location / {{ {proxy} proxy_buffering off; }} }}\n\
                 }}\n",
                dir = dir.display(),
            ),
        )?;
        let program = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let began = Instant::now();
        let child = Command::new(program)
            .args(["-e", "stderr", "-p"])
            .arg(dir)
            .arg("-c")
            .arg(&config)
            .stderr(fs::File::create(dir.join("nginx.err"))?)
            .spawn()
            .map_err(|error| io::Error::other(format!("nginx: {error}; is nginx-light installed?")))?;
        // Until its workers have their listeners, connections are refused.
        let mut proxy = Self { child, json, stream, admin: None, ready_after: Duration::ZERO };
        proxy.ready_after = answers(json, began, "/").map_err(|e| {
            io::Error::other(format!("{e}; {}", fs::read_to_string(dir.join("nginx.err")).unwrap_or_default()))
        })?;
        Ok(proxy)
    }

    /// CPU time that the proxy has used so far, in microseconds.
    pub fn cpu(&self) -> io::Result<f64> {
        self.pids()?
            .iter()
            .map(|pid| {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
                let after = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
                let field = |n: usize| after.split_ascii_whitespace().nth(n - 3).and_then(|f| f.parse::<f64>().ok());
                let ticks = field(14).zip(field(15)).map(|(user, system)| user + system);
                ticks.map(|ticks| ticks * 1e6 / TICKS).ok_or_else(|| io::Error::other("/proc/PID/stat"))
            })
            .sum()
    }

    /// Resident memory (each process's own count) and proportional share, in KiB.
    pub fn memory(&self) -> io::Result<(f64, f64)> {
        let mut sums = (0.0, 0.0);
        for pid in self.pids()? {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let field = |name: &str| {
                let line = rollup.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|l| l.split_ascii_whitespace().next()?.parse::<f64>().ok()).unwrap_or(f64::NAN)
            };
            sums.0 += field("Rss:");
            sums.1 += field("Pss:");
        }
        Ok(sums)
    }

    /// Faregate's own count of the time inside it so far (`faregate_overhead_seconds`): microseconds on the way to the
    /// provider and back, and calls.
    pub fn inside(&self) -> io::Result<[f64; 3]> {
        let Some(admin) = self.admin else { return Ok([f64::NAN; 3]) };
        let metrics = get(admin, "/metrics")?;
        let value = |name: &str, phase: &str| {
            let series = format!("faregate_overhead_seconds_{name}{{phase=\"{phase}\"}} ");
            let line = metrics.lines().find_map(|line| line.strip_prefix(&*series));
            line.and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0)
        };
        Ok([value("sum", "request") * 1e6, value("sum", "response") * 1e6, value("count", "request")])
    }

    /// The process and its children.
    fn pids(&self) -> io::Result<Vec<u32>> {
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
        Ok(std::iter::once(own).chain(children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok())).collect())
    }
}

fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Asks until anything is answered; returns how long that took.
fn answers(address: SocketAddr, began: Instant, path: &str) -> io::Result<Duration> {
    loop {
        match get(address, path) {
            Ok(answer) if !answer.is_empty() => return Ok(began.elapsed()),
            _ if began.elapsed() > PATIENCE => return Err(io::Error::other(format!("{address} does not answer"))),
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// What is answered, head and all.
fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    write!(socket, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}
