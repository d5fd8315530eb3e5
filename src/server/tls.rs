//! The API listener's certificate, read again when its files change.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora_core::listeners::tls::Acceptor;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::file::ServerTls;

/// A certificate in use, and the files that it came from.
pub(super) struct Certificate {
    files: ServerTls,
    current: Arc<Current>,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Certificate {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub(super) fn new(files: ServerTls) -> Result<Self, String> {
        let current = Arc::new(Current(ArcSwap::from_pointee(read(&files)?)));
        Ok(Self { files, current })
    }

    /// Reads the files again; says whether there is a new certificate.
    ///
    /// # Errors
    /// Which file is wrong, and how; also while only one of the two files is new. The certificate in use stays.
    pub(super) fn refresh(&self) -> Result<bool, String> {
        let now = read(&self.files)?;
        if now.cert == self.current.0.load().cert {
            return Ok(false);
        }
        self.current.0.store(Arc::new(now));
        Ok(true)
    }

    /// Takes TLS connections with whatever certificate is current when each begins.
    ///
    /// # Errors
    /// TLS itself cannot be set up.
    pub(super) fn acceptor(&self) -> Result<Acceptor, String> {
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(self.current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Acceptor::from_server_config(Arc::new(config)))
    }
}

fn read(files: &ServerTls) -> Result<CertifiedKey, String> {
    let failed = |what: &str, path: &Path, error: &dyn std::fmt::Display| format!("{what} {}: {error}", path.display());
    let (certificate, key) = (&files.certificate, &files.key);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| failed("certificate", certificate, &error))?;
    if chain.is_empty() {
        return Err(failed("certificate", certificate, &"no PEM certificate in it"));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| failed("key", key, &error))?;
    CertifiedKey::from_der(chain, secret, &ring::default_provider()).map_err(|error| {
        format!("{}, with {}", failed("certificate", certificate, &error), failed("key", key, &"its key"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(files: &ServerTls, both: bool) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        if both {
            std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        }
    }

    #[test]
    fn a_rotated_pair_is_taken_and_half_a_pair_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let files = ServerTls { certificate: dir.path().join("c"), key: dir.path().join("k") };
        assert!(Certificate::new(files.clone()).err().unwrap().contains("certificate"));
        write(&files, true);
        let certificate = Certificate::new(files.clone()).unwrap();
        assert_eq!(certificate.refresh(), Ok(false));
        write(&files, false);
        let first = certificate.current.0.load_full();
        assert!(certificate.refresh().is_err());
        assert!(Arc::ptr_eq(&first, &certificate.current.0.load_full()));
        write(&files, true);
        assert_eq!(certificate.refresh(), Ok(true));
    }
}
