//! Files that the configuration names: there, readable, and what they should be.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::super::tree::shorten;
use super::{Report, Step, at};

/// Keys and certificates are smaller.
const LARGEST: u64 = 4 << 20;

/// The text of a file; findings say why there is none.
pub(super) fn read(report: &mut Report<'_, '_>, path: &[Step<'_>], file: &Path) -> Option<String> {
    if !report.surroundings.files {
        return None;
    }
    let name = file.to_string_lossy();
    let name = shorten(&name);
    let mut text = String::new();
    let result = std::fs::File::open(file).and_then(|f| f.take(LARGEST + 1).read_to_string(&mut text));
    match result {
        Ok(n) if n as u64 <= LARGEST => return Some(text),
        Ok(_) => report.error(path, format!("the file {name} is too large to be a key or certificate"), ""),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let advice =
                if file.is_relative() { "relative paths begin where Faregate is started" } else { "check the path" };
            report.absent(path, format!("there is no file {name}"), advice);
        }
        Err(e) if e.kind() == ErrorKind::InvalidData => {
            report.error(path, format!("the file {name} is not text"), "it must hold a bare key, or PEM");
        }
        Err(e) => {
            let message = format!("the file {name} cannot be read: {}", e.kind());
            report.absent(path, message, "it must be readable for the user that Faregate runs as");
        }
    }
    None
}

/// Whether a file could be made: its directory is there.
pub(super) fn parent(report: &mut Report<'_, '_>, path: &[Step<'_>], file: &Path) {
    if !report.surroundings.files {
        return;
    }
    let name = file.to_string_lossy();
    let name = shorten(&name);
    if file.is_dir() {
        report.error(path, format!("{name} is a directory"), "name a file in it");
        return;
    }
    if let Some(parent) = file.parent().filter(|p| !p.as_os_str().is_empty() && !p.is_dir()) {
        let message = format!("there is no directory {}", shorten(&parent.to_string_lossy()));
        report.absent(path, message, "make it; Faregate makes the file, not the directory");
    }
}

/// CA certificates to trust.
pub(super) fn roots(report: &mut Report<'_, '_>, path: &[Step<'_>], file: &Path) {
    let Some(text) = read(report, path, file) else { return };
    let Some(certificates) = certificates(report, path, &text) else { return };
    let mut roots = rustls::RootCertStore::empty();
    if certificates.into_iter().any(|c| roots.add(c).is_err()) {
        report.error(
            path,
            "a certificate in this file cannot be read",
            "write the CA's certificate out again in PEM form",
        );
    }
}

/// A certificate chain and its key, at the keys `certificate` and `key` of `path`.
pub(super) fn certificate_and_key(report: &mut Report<'_, '_>, path: &[Step<'_>], certificate: &Path, key: &Path) {
    let (at_certificate, at_key) = (at![path; "certificate"], at![path; "key"]);
    let chain =
        read(report, &at_certificate, certificate).and_then(|text| certificates(report, &at_certificate, &text));
    let secret = read(report, &at_key, key).and_then(|text| private_key(report, &at_key, &text));
    let (Some(chain), Some(secret)) = (chain, secret) else { return };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    match rustls::sign::CertifiedKey::from_der(chain, secret, &provider) {
        Ok(_) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            let advice = "the key must be that of the first certificate in the chain";
            report.error(&at_key, "this key does not belong to the certificate", advice);
        }
        Err(e) => report.error(&at_certificate, format!("the certificate and its key cannot be used: {e}"), ""),
    }
}

fn certificates(report: &mut Report<'_, '_>, path: &[Step<'_>], text: &str) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => return Some(all),
        Ok(_) if text.contains("PRIVATE KEY-----") => {
            report.error(path, "the file holds a key, no certificate", "are `certificate` and `key` swapped?");
        }
        Ok(_) => report.error(path, "no certificate in this file", "it must hold `-----BEGIN CERTIFICATE-----`"),
        Err(_) => {
            report.error(path, "the certificates in this file cannot be read", "the PEM text is broken or cut off")
        }
    }
    None
}

fn private_key(report: &mut Report<'_, '_>, path: &[Step<'_>], text: &str) -> Option<PrivateKeyDer<'static>> {
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(key) => return Some(key),
        Err(_) if text.contains("BEGIN ENCRYPTED PRIVATE KEY") => {
            report.error(path, "the key is encrypted with a password", "decrypt it: openssl pkey -in KEY -out PLAIN");
        }
        Err(_) if text.contains("BEGIN CERTIFICATE") => {
            report.error(path, "the file holds a certificate, no key", "are `certificate` and `key` swapped?");
        }
        Err(_) => report.error(path, "no private key in this file", "it must hold `-----BEGIN PRIVATE KEY-----`"),
    }
    None
}
