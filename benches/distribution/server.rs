//! The server, alone in its process. It does what a line on its input says, and answers with a line of JSON.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use faregate::control::distribution::{Bounds, Distribution, Identity, Inputs, Refusal, Reviewer};
use faregate::control::snapshot::Snapshot;
use faregate::control::snapshots::{Scope, Snapshots};
use faregate::telemetry::Telemetry;
use faregate::telemetry::cells::Counter;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::tls::Authority;

/// Takes a token for the name of a namespace.
struct Open;

#[async_trait]
impl Reviewer for Open {
    async fn review(&self, token: &str) -> Result<Identity, Refusal> {
        Ok(Identity { namespace: token.into(), pod: Some(format!("pod-of-{token}")), expires: None })
    }
}

/// A table of two hundred routes.
fn table(version: usize) -> Snapshot {
    let mut text =
        String::from("providers:\n  p: { base_url: \"http://127.0.0.1:1/v1\", credentials: none }\nroutes:\n");
    for route in 0..200 {
        text.push_str(&format!(
            "- {{ name: r{route}-{version}, match: {{ model: \"m{route}-*\" }}, targets: [{{ provider: p }}] }}\n"
        ));
    }
    Snapshot::compile(&text, "bench").expect("a table")
}

pub fn run() {
    let authority = Authority::new();
    let telemetry = Telemetry::new().expect("telemetry");
    let snapshots = Snapshots::new(telemetry.clone());
    snapshots.publish(Scope::Cluster, table(0));
    let runtime = Runtime::new().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("its address");
    let tls = authority.issue(&["127.0.0.1"]).server(&["http/1.1"], None);
    let (_trust, named) = watch::channel("".into());
    let inputs = Inputs {
        tls: Arc::new(ArcSwap::from_pointee(tls)),
        trust: named,
        snapshots: snapshots.clone(),
        reviewer: Arc::new(Open),
        telemetry: telemetry.clone(),
    };
    let (_stop, stopped) = watch::channel(false);
    runtime.spawn(Distribution::new(inputs, Bounds::default()).serve(listener, stopped));
    say(&json!({ "address": address.to_string(), "authority": authority.pem }));
    let acks = telemetry.metrics().control_answers.with(["programmed"]);
    let began = Instant::now();
    let mut version = 0;
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let (what, count) = line.split_once(' ').unwrap_or((&line, "0"));
        let count: u64 = count.parse().expect("a number");
        match what {
            "wait" => {
                acked(&acks, count);
                say(&look(began.elapsed()));
            }
            "publish" => {
                version += 1;
                let snapshot = table(version);
                let bytes = snapshot.frame.len();
                let published = Instant::now();
                let until = acks.get() + count;
                snapshots.publish(Scope::Cluster, snapshot);
                let half = acked(&acks, until);
                let mut seen = look(published.elapsed());
                seen["bytes"] = json!(bytes);
                seen["median_ms"] = json!(half.saturating_duration_since(published).as_secs_f64() * 1e3);
                say(&seen);
            }
            _ => say(&look(Duration::ZERO)),
        }
    }
}

/// Waits until there are so many ACKs; returns when there were half of them that are new.
fn acked(acks: &Counter, count: u64) -> Instant {
    let (began, first) = (Instant::now(), acks.get());
    let mut half = None;
    loop {
        let now = acks.get();
        if now >= first + (count - first) / 2 {
            half.get_or_insert_with(Instant::now);
        }
        if now >= count {
            return half.unwrap_or(began);
        }
        assert!(began.elapsed() < Duration::from_secs(600), "{now} of {count} sidecars run their table");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn look(took: Duration) -> Value {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).expect("/proc");
    let status = read("status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    // User and system time, in hundredths of a second.
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("a number")).sum();
    json!({ "resident": kib * 1024, "cpu_ms": ticks * 10.0, "took_ms": took.as_secs_f64() * 1e3 })
}

fn say(value: &Value) {
    println!("{value}");
    std::io::stdout().flush().expect("it is read");
}
