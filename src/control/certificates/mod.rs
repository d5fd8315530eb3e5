//! The certificate that the control plane serves, and the trust that goes with it. Both change while connections go on: the
//! certificate with the next handshake, the trust by a channel.
//!
//! - [`rotation`]: an authority of our own and its certificates: when each is renewed, in what order. Pure.
//! - [`issue`]: making and reading certificates. Pure but for randomness.
//! - [`own`]: that authority, kept in a Secret by the leader and followed by all (`self`).
//! - [`files`]: certificates that somebody else makes (cert-manager, the operator).
//! - [`ca_bundle`]: the trust written into the webhook configurations.
//!
//! Must not know what is served. Start with [`Certificates`].

pub(super) mod ca_bundle;
pub(super) mod files;
mod issue;
pub(super) mod own;
pub mod rotation;
mod secret;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use crate::telemetry::Telemetry;

/// The certificate in use and the trust; clones share them.
#[derive(Clone)]
pub struct Certificates {
    serving: Arc<Serving>,
    /// PEM of the authorities; empty until they are known.
    trust: Arc<watch::Sender<Arc<str>>>,
    telemetry: Telemetry,
}

#[derive(Debug, Default)]
struct Serving(ArcSwapOption<CertifiedKey>);

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

impl Certificates {
    /// None yet: handshakes fail until there is one.
    pub fn new(telemetry: Telemetry) -> Self {
        let trust = Arc::new(watch::Sender::new(Arc::from("")));
        Self { serving: Arc::default(), trust, telemetry }
    }

    /// TLS with whatever certificate is current when a handshake begins, and these protocols.
    ///
    /// # Errors
    /// TLS itself cannot be set up.
    pub fn server_config(&self, alpn: &[&str]) -> Result<Arc<rustls::ServerConfig>, rustls::Error> {
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.serving) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// The authorities that clients should trust, as PEM; empty until they are known.
    pub fn trust(&self) -> watch::Receiver<Arc<str>> {
        self.trust.subscribe()
    }

    /// Whether there is a certificate to serve.
    pub fn is_there(&self) -> bool {
        self.serving.0.load().is_some()
    }

    /// Takes a certificate with its key, and the trust, into use. The trust first: who hears of it is ready for the
    /// certificate.
    ///
    /// # Errors
    /// What is wrong with them; what was in use stays.
    fn install(&self, chain: &str, key: &str, trust: &str) -> Result<(), String> {
        let certified = certified(chain, key)?;
        let certificates = issue::read(trust)?;
        let latest = certificates.iter().map(|certificate| certificate.until).max();
        let latest = latest.ok_or("there is no authority's certificate")?;
        self.trust.send_if_modified(|known| {
            let is_new = **known != *trust;
            if is_new {
                *known = Arc::from(trust);
            }
            is_new
        });
        let is_new = self.serving.0.load().as_ref().is_none_or(|known| known.cert != certified.cert);
        if is_new {
            self.serving.0.store(Some(Arc::new(certified)));
            tracing::info!("a certificate was taken into use");
        }
        let expiry = &self.telemetry.metrics().control_certificate_expiry;
        let until = issue::read(chain)?.first().map_or(0, |leaf| leaf.until);
        expiry.with(["serving"]).set(until);
        expiry.with(["authority"]).set(latest);
        Ok(())
    }
}

fn certified(chain: &str, key: &str) -> Result<CertifiedKey, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let chain = chain.map_err(|error| format!("the certificate: {error}"))?;
    if chain.is_empty() {
        return Err("there is no PEM certificate".into());
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| format!("the key: {error}"))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| format!("certificate and key do not fit: {error}"))
}
