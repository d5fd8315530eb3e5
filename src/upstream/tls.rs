//! TLS connectors, one for each set of trust and client certificate, made when first needed.
//!
//! A connector loads its roots once and keeps resumption tickets, so endpoints with the same settings share one.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::v2::Connector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::OnceCell;

use super::stamp::FileStamp;
use crate::config::file::ClientTls;

/// The files that tell connectors apart.
type Key = (Option<PathBuf>, Option<(PathBuf, PathBuf)>);

/// All connectors of this process.
#[derive(Default)]
pub(super) struct Connectors(Mutex<HashMap<Key, Arc<Lazy>>>);

/// A connector that is made when first used, off the workers' threads, and made anew when its files change.
pub(super) struct Lazy {
    key: Key,
    first: OnceCell<Arc<Connector>>,
    newer: ArcSwapOption<Connector>,
    /// The files that the connector in use was made of.
    seen: Mutex<Option<Vec<FileStamp>>>,
}

impl Connectors {
    /// The connector for these settings.
    pub(super) fn get(&self, tls: Option<&ClientTls>) -> Arc<Lazy> {
        let key: Key = tls.map_or((None, None), |tls| (tls.ca.clone(), tls.certificate.clone().zip(tls.key.clone())));
        let mut all = self.0.lock();
        all.retain(|_, lazy| Arc::strong_count(lazy) > 1);
        all.entry(key.clone()).or_insert_with(|| Arc::new(Lazy::new(key))).clone()
    }
}

impl Connectors {
    /// Makes connectors anew whose files have changed. Blocks. One that cannot be made leaves the one in use.
    pub(super) fn refresh(&self) {
        let all: Vec<Arc<Lazy>> = self.0.lock().values().cloned().collect();
        all.iter().for_each(|lazy| lazy.refresh());
    }
}

impl Lazy {
    fn new(key: Key) -> Self {
        Self { key, first: OnceCell::new(), newer: ArcSwapOption::empty(), seen: Mutex::new(None) }
    }

    /// The connector; made by the first caller.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub(super) async fn get(&self) -> Result<Arc<Connector>, String> {
        if let Some(newer) = self.newer.load_full() {
            return Ok(newer);
        }
        let make = || async {
            let key = self.key.clone();
            *self.seen.lock() = self.stamps();
            tokio::task::spawn_blocking(move || make(&key)).await.map_err(|e| e.to_string())?
        };
        self.first.get_or_try_init(make).await.cloned()
    }

    /// The connector, if it was ever needed.
    pub(super) fn made(&self) -> Option<Arc<Connector>> {
        self.newer.load_full().or_else(|| self.first.get().cloned())
    }

    fn refresh(&self) {
        // A file that is gone or still being written is waited for.
        let (Some(_), Some(now)) = (self.made(), self.stamps()) else { return };
        if now.is_empty() || self.seen.lock().as_ref() == Some(&now) {
            return;
        }
        match make(&self.key) {
            Ok(connector) => {
                self.newer.store(Some(connector));
                tracing::info!(files = ?self.key, "TLS files towards a provider read again");
            }
            Err(error) => tracing::warn!(error, "TLS files towards a provider changed and cannot be used"),
        }
        *self.seen.lock() = Some(now);
    }

    fn stamps(&self) -> Option<Vec<FileStamp>> {
        let (ca, pair) = &self.key;
        let files = ca.iter().chain(pair.iter().flat_map(|(certificate, key)| [certificate, key]));
        files.map(|path| FileStamp::settled(path)).collect()
    }
}

fn make(key: &Key) -> Result<Arc<Connector>, String> {
    // Pingora panics on files that it cannot use: look at them first.
    let mut options = ConnectorOptions::new(128);
    if let Some(ca) = &key.0 {
        let shown = ca.display();
        let certificates = CertificateDer::pem_file_iter(ca).map_err(|e| format!("ca {shown}: {e}"))?;
        let mut roots = rustls::RootCertStore::empty();
        for certificate in certificates {
            let certificate = certificate.map_err(|e| format!("ca {shown}: {e}"))?;
            roots.add(certificate).map_err(|e| format!("ca {shown}: {e}"))?;
        }
        if roots.is_empty() {
            return Err(format!("ca {shown}: no certificate in it"));
        }
        options.ca_file = Some(path_text(ca)?);
    }
    if let Some((certificate, private)) = &key.1 {
        let shown = certificate.display();
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(certificate).map_err(|e| format!("certificate {shown}: {e}"))?.collect();
        let chain = chain.map_err(|e| format!("certificate {shown}: {e}"))?;
        let secret = PrivateKeyDer::from_pem_file(private).map_err(|e| format!("key {}: {e}", private.display()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_client_auth_cert(chain, secret)
            .map_err(|e| format!("certificate {shown} and key {}: {e}", private.display()))?;
        options.cert_key_file = Some((path_text(certificate)?, path_text(private)?));
    }
    Ok(Arc::new(Connector::new(Some(options))))
}

fn path_text(path: &std::path::Path) -> Result<String, String> {
    path.to_str().map(str::to_owned).ok_or_else(|| format!("{}: the path is not UTF-8", path.display()))
}
