//! Who vouches for control.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The authorities that a process was started with.
#[derive(Debug, Clone)]
pub enum Authorities {
    /// These certificates, PEM.
    Inline(String),
    /// Those in this file, which is read at each connection.
    File(PathBuf),
    /// The system's.
    System,
}

impl Authorities {
    /// What an option means: PEM text, or the name of a file with such, or (absent, empty) the system's.
    pub fn new(option: Option<&str>) -> Self {
        match option.map(str::trim).filter(|option| !option.is_empty()) {
            Some(pem) if pem.starts_with("-----BEGIN") => Self::Inline(pem.into()),
            Some(path) => Self::File(path.into()),
            None => Self::System,
        }
    }

    fn read(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        match self {
            Self::Inline(pem) => certificates(pem),
            Self::File(path) => {
                let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
                let pem = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
                certificates(&pem).map_err(|error| failed(&error))
            }
            Self::System => rustls_native_certs::load_native_certs().map_err(|error| error.to_string()),
        }
    }

    /// Trusts these authorities, and those that control has named since.
    pub(super) fn client(&self, named: Option<&str>) -> Result<Arc<ClientConfig>, String> {
        let own = self.read();
        let named = named.map_or_else(|| Ok(Vec::new()), certificates).unwrap_or_default();
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(own.iter().flatten().chain(&named).cloned());
        if usable == 0 {
            return Err(format!(
                "the authorities of control: {}",
                own.err().unwrap_or_else(|| "none can be used".into())
            ));
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A new connection comes once an hour, or when everything is another than before.
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// The certificates of a PEM text; at least one that can be an authority.
pub(super) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.map_err(|error| error.to_string())?;
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(found.iter().cloned());
    if usable == 0 { Err("no certificate in it".into()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> String {
        rcgen::generate_simple_self_signed(vec!["control".to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn what_was_named_later_counts_beside_what_was_given() {
        let (own, named) = (authority(), authority());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let file = Authorities::new(path.to_str());
        assert!(file.client(None).unwrap_err().contains("ca.pem"));
        // A file that is gone does not take away what control has said.
        assert!(file.client(Some(&named)).is_ok());
        std::fs::write(&path, &own).unwrap();
        assert!(file.client(Some("nonsense")).is_ok());
        assert!(matches!(Authorities::new(Some(&own)), Authorities::Inline(_)));
        assert!(Authorities::new(Some(&own)).client(Some(&named)).is_ok());
        assert!(matches!(Authorities::new(Some(" ")), Authorities::System));
        assert!(certificates("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err());
    }
}
