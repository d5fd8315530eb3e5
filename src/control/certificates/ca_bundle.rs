//! The trust written into the webhook configurations, so that the API server takes the certificate.
//!
//! Only `caBundle` is applied, under a field manager of its own: whoever applies the rest leaves it out, and neither undoes
//! the other's work. Start with [`publish`], which the leader calls; [`publish_first`] is for every replica.

use std::fmt::Debug;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Who owns the field.
const MANAGER: &str = "faregate-control-certificates";

/// Brings the trust into both configurations of this name, where they exist and have another.
///
/// # Errors
/// Those of the API server.
pub(super) async fn publish(client: &Client, name: &str, trust: &str) -> Result<(), kube::Error> {
    both(client, name, trust, |config| config.ca_bundle.as_ref().is_some_and(|b| b.0 == trust.as_bytes())).await
}

/// The same where there is no trust at all: whoever holds the Secret may write what it says, so that nobody waits for a
/// leader when the configurations were made anew (after a leader that could not give its Lease back, for as long as that
/// holds).
///
/// # Errors
/// Those of the API server.
pub(super) async fn publish_first(client: &Client, name: &str, trust: &str) -> Result<(), kube::Error> {
    both(client, name, trust, |config| config.ca_bundle.as_ref().is_some_and(|b| !b.0.is_empty())).await
}

async fn both(
    client: &Client,
    name: &str,
    trust: &str,
    is_right: impl Fn(&WebhookClientConfig) -> bool,
) -> Result<(), kube::Error> {
    let of = |entries: Option<Vec<_>>| entries.unwrap_or_default();
    let mutating = |configuration: MutatingWebhookConfiguration| {
        of(configuration.webhooks).into_iter().map(|entry| (entry.name, entry.client_config)).collect()
    };
    apply(client, name, trust, &is_right, mutating).await?;
    let of = |entries: Option<Vec<_>>| entries.unwrap_or_default();
    let validating = |configuration: ValidatingWebhookConfiguration| {
        of(configuration.webhooks).into_iter().map(|entry| (entry.name, entry.client_config)).collect()
    };
    apply(client, name, trust, &is_right, validating).await
}

async fn apply<K>(
    client: &Client,
    name: &str,
    trust: &str,
    is_right: impl Fn(&WebhookClientConfig) -> bool,
    entries: impl Fn(K) -> Vec<(String, WebhookClientConfig)>,
) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
    K: Resource<Scope = kube::core::ClusterResourceScope>,
{
    let api = Api::<K>::all(client.clone());
    let Some(configuration) = api.get_opt(name).await? else { return Ok(()) };
    let entries = entries(configuration);
    if entries.iter().all(|(_, config)| is_right(config)) {
        return Ok(());
    }
    let bundle = STANDARD.encode(trust);
    let webhooks: Vec<_> =
        entries.iter().map(|(name, _)| json!({ "name": name, "clientConfig": { "caBundle": bundle } })).collect();
    let (version, kind) = (K::api_version(&()), K::kind(&()));
    let patch = json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name }, "webhooks": webhooks });
    api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(patch)).await?;
    tracing::info!("the trust was written into the {kind} {name}");
    Ok(())
}
