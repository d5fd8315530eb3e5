//! Which of the replicas leads: the holder of a Lease.
//!
//! As in Kubernetes' own components: the holder renews; others take over when they have not seen it renew for the Lease's
//! time by their own clock, so that clocks need not agree. A holder that cannot renew stops leading before others start.
//! Must not know what a leader does. Start with [`campaign`].

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;

use crate::telemetry::Telemetry;

/// Whose Lease, and for how long.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) namespace: String,
    /// The Lease's name.
    pub(super) name: String,
    /// This replica's.
    pub(super) identity: String,
    /// After so long without a renewal others take over.
    pub(super) duration: Duration,
}

/// What was last seen of another's hold, and when.
struct Seen {
    hold: (Option<String>, Option<MicroTime>),
    at: Instant,
}

/// Keeps `leads` true while this replica leads, until `stop`; then gives the Lease back, so that another need not wait.
pub(super) async fn campaign(
    client: Client,
    terms: Terms,
    telemetry: Telemetry,
    leads: watch::Sender<bool>,
    mut stop: watch::Receiver<bool>,
) {
    let api = Api::namespaced(client, &terms.namespace);
    let pause = terms.duration / 6;
    let mut seen = None;
    let mut renewed = Instant::now();
    let lead = |now: bool| {
        telemetry.metrics().control_leader.with([]).set(now.into());
        if leads.send_replace(now) != now {
            tracing::info!("this replica {}", if now { "leads" } else { "leads no more" });
        }
    };
    lead(false);
    while !*stop.borrow() {
        let began = Instant::now();
        // Held only as far as the answer shows; one that comes late says nothing.
        match tokio::time::timeout(terms.duration / 2, hold(&api, &terms, &mut seen)).await {
            Ok(Ok(held)) => {
                renewed = began;
                lead(held);
            }
            failed => {
                let error = failed.map_or_else(|_| "no answer in time".to_owned(), |held| said(&held));
                telemetry.metrics().control_api_errors.with(["lease"]).inc();
                tracing::warn!(error, "the Lease {} cannot be renewed; trying again", terms.name);
            }
        }
        if renewed.elapsed() + pause * 2 > terms.duration {
            lead(false);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
    if leads.send_replace(false) {
        let _best_effort = tokio::time::timeout(terms.duration / 2, release(&api, &terms)).await;
    }
}

fn said(held: &Result<bool, kube::Error>) -> String {
    held.as_ref().err().map(ToString::to_string).unwrap_or_default()
}

/// Tries to hold the Lease; says whether this replica does.
async fn hold(api: &Api<Lease>, terms: &Terms, seen: &mut Option<Seen>) -> Result<bool, kube::Error> {
    let now = MicroTime(Timestamp::now());
    let Some(mut lease) = api.get_opt(&terms.name).await? else {
        let metadata = ObjectMeta { name: Some(terms.name.clone()), ..ObjectMeta::default() };
        let spec = spec(terms, now, &LeaseSpec::default());
        return mine(api.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await);
    };
    let before = lease.spec.take().unwrap_or_default();
    let others = before.holder_identity.clone().filter(|holder| *holder != terms.identity && !holder.is_empty());
    if others.is_some() {
        let hold = (others, before.renew_time.clone());
        let since = match seen {
            Some(known) if known.hold == hold => known.at,
            _ => seen.insert(Seen { hold, at: Instant::now() }).at,
        };
        let theirs = before.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        if since.elapsed() < theirs.map_or(terms.duration, Duration::from_secs) {
            return Ok(false);
        }
    }
    lease.spec = Some(spec(terms, now, &before));
    mine(api.replace(&terms.name, &PostParams::default(), &lease).await)
}

/// Somebody else was faster: theirs.
fn mine(written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

fn spec(terms: &Terms, now: MicroTime, before: &LeaseSpec) -> LeaseSpec {
    let stays = before.holder_identity.as_ref() == Some(&terms.identity);
    let changes = before.lease_transitions.unwrap_or(0);
    LeaseSpec {
        holder_identity: Some(terms.identity.clone()),
        lease_duration_seconds: i32::try_from(terms.duration.as_secs()).ok(),
        acquire_time: if stays { before.acquire_time.clone() } else { Some(now.clone()) },
        renew_time: Some(now),
        lease_transitions: Some(if stays { changes } else { changes.saturating_add(1) }),
        ..LeaseSpec::default()
    }
}

async fn release(api: &Api<Lease>, terms: &Terms) -> Result<(), kube::Error> {
    let mut lease = api.get(&terms.name).await?;
    if let Some(spec) = &mut lease.spec
        && spec.holder_identity.as_ref() == Some(&terms.identity)
    {
        spec.holder_identity = None;
        api.replace(&terms.name, &PostParams::default(), &lease).await?;
    }
    Ok(())
}
