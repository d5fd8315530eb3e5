//! An authority of our own (`self`): the leader renews it in a Secret, all replicas serve what the Secret holds.
//!
//! A Secret that is deleted or spoilt is written again from memory: whoever trusts what was published takes what is served
//! all along, where another authority would be a stranger to every running sidecar.
//!
//! Start with [`Own::follow`], which every replica runs, and [`Own::lead`], which acts for the leader alone.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::runtime::watcher;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::rotation::{Policy, State};
use super::{Certificates, ca_bundle, secret};
use crate::control::watching::{self, Watched};
use crate::telemetry::Telemetry;

/// Longest time between two looks at what is due, and at configurations that somebody may have made anew.
const SLOWEST: Duration = Duration::from_secs(5);
/// Shortest.
const FASTEST: Duration = Duration::from_millis(200);

/// Where the authority is kept, and what holds for it.
pub(in crate::control) struct Own {
    pub(in crate::control) client: Client,
    pub(in crate::control) namespace: String,
    /// The Secret's name.
    pub(in crate::control) secret: String,
    /// The name of the webhook configurations that get the trust.
    pub(in crate::control) webhooks: String,
    pub(in crate::control) policy: Policy,
    pub(in crate::control) telemetry: Telemetry,
    pub(in crate::control) memory: Memory,
}

/// What the Secret held when it was last of use.
#[derive(Default)]
pub(in crate::control) struct Memory {
    state: Mutex<State>,
    /// The Secret is lost.
    lost: Notify,
}

impl Memory {
    fn note(&self, state: &State) {
        self.state.lock().clone_from(state);
    }
}

impl Own {
    /// Serves what the Secret holds, for ever.
    pub(in crate::control) async fn follow(self: Arc<Self>, certificates: Certificates) {
        let selector = format!("metadata.name={}", self.secret);
        let stream = watcher::watcher(self.api(), watching::config().fields(&selector));
        watching::follow("certificates", stream, self.telemetry.clone(), async |event| {
            let state = match &event {
                Watched::Set(held) => secret::read(held),
                Watched::Gone(_) => State::default(),
                Watched::Synced => return,
            };
            if state.is_whole() {
                self.memory.note(&state);
                // Before this replica is ready, so that who waits for that can make pods.
                let published = ca_bundle::publish_first(&self.client, &self.webhooks, &state.trust()).await;
                if let Err(error) = published {
                    tracing::warn!(%error, "whether the webhooks trust the certificate is not known; the leader sees to it");
                }
            } else {
                self.memory.lost.notify_one();
            }
            if let Some((chain, key)) = state.served()
                && let Err(error) = certificates.install(chain, key, &state.trust())
            {
                tracing::error!(%error, "the certificate in the Secret is of no use; the one before stays");
            }
        })
        .await;
    }

    /// Renews what is due for as long as this replica leads; for ever.
    pub(in crate::control) async fn lead(self: Arc<Self>, mut leads: watch::Receiver<bool>) {
        let Policy { certificate, settle, .. } = self.policy;
        let pause = (certificate / 12).min(settle / 4).clamp(FASTEST, SLOWEST);
        while leads.wait_for(|leads| *leads).await.is_ok() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            if let Err(error) = self.renew(i64::try_from(now).unwrap_or(i64::MAX)).await {
                self.telemetry.metrics().control_api_errors.with(["certificates"]).inc();
                tracing::warn!(%error, "certificates cannot be renewed; trying again");
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.memory.lost.notified() => {}
            }
        }
    }

    fn api(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Renews what is due at a time, in seconds since 1970.
    async fn renew(&self, now: i64) -> Result<(), String> {
        let said = |error: kube::Error| error.to_string();
        let before = self.api().get_opt(&self.secret).await.map_err(said)?;
        let held = before.as_ref().map(secret::read).unwrap_or_default();
        let known = self.memory.state.lock().clone();
        let lost = !held.is_whole() && known.is_whole();
        let state = if lost { known } else { held };
        let published = self.publish(&state).await;
        let next = match state.renewed(now, &self.policy, published.is_ok())? {
            Some(next) => next,
            None if lost => state.clone(),
            None => return published.map_err(said),
        };
        let wanted = secret::write(&self.secret, before.as_ref(), &next);
        // Each names the version that was read: of two that write, one is told so.
        let written = match &before {
            None => self.api().create(&PostParams::default(), &wanted).await,
            Some(_) => self.api().replace(&self.secret, &PostParams::default(), &wanted).await,
        };
        written.map_err(said)?;
        self.memory.note(&next);
        if lost {
            tracing::warn!("the Secret {} was deleted or spoilt: what it held is there again", self.secret);
        }
        for (what, changed) in [
            ("authority", next.trust() != state.trust()),
            ("certificate", next.served().map(|(chain, _)| chain) != state.served().map(|(chain, _)| chain)),
        ] {
            if changed {
                self.telemetry.metrics().control_rotations.with([what]).inc();
                tracing::info!("the {what} was renewed");
            }
        }
        published.map_err(said)?;
        self.publish(&next).await.map_err(said)
    }

    async fn publish(&self, state: &State) -> Result<(), kube::Error> {
        let trust = state.trust();
        if trust.is_empty() {
            return Ok(());
        }
        ca_bundle::publish(&self.client, &self.webhooks, &trust).await
    }
}
