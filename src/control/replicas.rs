//! Sidecars are connected to any of the replicas; the leader, who writes statuses, asks the others how many, and how they
//! stand.
//!
//! Each replica tells of its own on its admin port. What a replica does not tell is unknown, and said to be. Must not know
//! what statuses make of it. Start with [`Replicas::gather`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use super::snapshots::{Programmed, Scope, Snapshots};
use crate::fetch::{Bounds, Site};
use crate::telemetry::Telemetry;

/// Where a replica tells, on its admin port.
pub(super) const PATH: &str = "/sidecars";
/// The others are asked so often.
const PAUSE: Duration = Duration::from_secs(2);
const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(1),
    patience: Duration::from_secs(2),
    total: Duration::from_secs(3),
    most: 8 << 20,
};

/// What one replica tells.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Report {
    /// Its name.
    identity: String,
    /// By scope, as metrics show it.
    tables: BTreeMap<String, Told>,
}

/// The sidecars of one replica whose table it is.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Told {
    /// The table.
    hash: String,
    connected: usize,
    programmed: usize,
    refused: usize,
    refusals: Vec<(Option<String>, String)>,
}

/// The other replicas.
pub(super) struct Replicas {
    identity: String,
    /// Host and port of their admin ports; a host may have many addresses.
    peers: Vec<String>,
    snapshots: Arc<Snapshots>,
    heard: Mutex<Heard>,
    /// Something else was heard.
    changed: Notify,
    telemetry: Telemetry,
}

#[derive(Default, PartialEq)]
struct Heard {
    tables: BTreeMap<String, Programmed>,
    /// Replicas that did not tell.
    silent: usize,
}

impl Replicas {
    /// Nothing is heard yet.
    pub(super) fn new(
        identity: String,
        peers: Vec<String>,
        snapshots: Arc<Snapshots>,
        telemetry: Telemetry,
    ) -> Arc<Self> {
        let heard = Mutex::default();
        Arc::new(Self { identity, peers, snapshots, heard, changed: Notify::new(), telemetry })
    }

    /// This replica's name.
    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// What this replica tells.
    pub(super) fn report(&self) -> Report {
        let tables = self.snapshots.in_force().into_iter().map(|published| {
            let Programmed { connected, programmed, refused, refusals } = self.snapshots.programmed(&published.scope);
            let hash = published.snapshot.hash.to_string();
            (published.scope.to_string(), Told { hash, connected, programmed, refused, refusals })
        });
        Report { identity: self.identity.clone(), tables: tables.collect() }
    }

    /// The sidecars of all replicas whose table it is, and how many replicas have not told of theirs.
    pub(super) fn programmed(&self, scope: &Scope) -> (Programmed, usize) {
        let mut sum = self.snapshots.programmed(scope);
        let heard = self.heard.lock();
        if let Some(others) = heard.tables.get(&scope.to_string()) {
            add(&mut sum, others);
        }
        (sum, heard.silent)
    }

    /// Waits until something else was heard.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Asks the others for as long as this replica leads; for ever.
    pub(super) async fn gather(self: Arc<Self>, mut leads: watch::Receiver<bool>) {
        if self.peers.is_empty() {
            return std::future::pending().await;
        }
        while leads.wait_for(|leads| *leads).await.is_ok() {
            let heard = self.ask_all().await;
            if heard.silent > 0 {
                self.telemetry.metrics().control_api_errors.with(["replicas"]).inc();
            }
            self.hear(heard);
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn hear(&self, heard: Heard) {
        let mut known = self.heard.lock();
        if *known != heard {
            *known = heard;
            self.changed.notify_one();
        }
    }

    async fn ask_all(&self) -> Heard {
        let mut heard = Heard::default();
        for peer in &self.peers {
            let Ok(addresses) = tokio::net::lookup_host(peer.as_str()).await else {
                heard.silent += 1;
                continue;
            };
            let asked: Vec<_> = addresses.map(|at| tokio::task::spawn_blocking(move || ask(at))).collect();
            for answer in asked {
                match answer.await {
                    Ok(Some(report)) if report.identity == self.identity => {}
                    Ok(Some(report)) => self.add(&mut heard, report),
                    Ok(None) | Err(_) => heard.silent += 1,
                }
            }
        }
        heard
    }

    fn add(&self, heard: &mut Heard, report: Report) {
        let ours: BTreeMap<String, Arc<str>> = self
            .snapshots
            .in_force()
            .into_iter()
            .map(|published| (published.scope.to_string(), Arc::clone(&published.snapshot.hash)))
            .collect();
        for (scope, Told { hash, connected, mut programmed, mut refused, mut refusals }) in report.tables {
            // It has not heard of our table yet, or we not of its: nobody runs ours there.
            if ours.get(&scope).is_none_or(|ours| **ours != *hash) {
                (programmed, refused) = (0, 0);
                refusals.clear();
            }
            let told = Programmed { connected, programmed, refused, refusals };
            add(heard.tables.entry(scope).or_default(), &told);
        }
    }
}

fn add(sum: &mut Programmed, more: &Programmed) {
    sum.connected += more.connected;
    sum.programmed += more.programmed;
    sum.refused += more.refused;
    sum.refusals.extend(more.refusals.iter().cloned());
}

fn ask(at: SocketAddr) -> Option<Report> {
    let site = Site::new(&format!("http://{at}"), None).ok()?;
    let reply = site.ask(&Method::GET, PATH, &[], b"", &BOUNDS).ok()?;
    if reply.head.status != 200 {
        return None;
    }
    serde_json::from_slice(&reply.body).ok()
}
