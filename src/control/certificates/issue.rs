//! Making certificates, and reading what others need to know of one.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;

/// Ends every certificate in PEM.
const END: &str = "-----END CERTIFICATE-----";
/// Ends every key in PEM.
const END_OF_KEY: &str = "-----END PRIVATE KEY-----";

/// A certificate, and what rotation asks of it. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) pem: String,
    pub(super) from: i64,
    pub(super) until: i64,
    pub(super) subject: String,
    pub(super) issuer: String,
    /// Host names and addresses.
    pub(super) names: BTreeSet<String>,
    /// The public key, to find the private one by.
    pub(super) public: Vec<u8>,
}

/// The time in which a certificate holds, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    pub(super) from: i64,
    pub(super) until: i64,
}

type Made = Result<(Certificate, String), String>;

/// An authority, and its key as PEM.
pub(super) fn authority(subject: &str, validity: Validity) -> Made {
    let key = KeyPair::generate().map_err(said)?;
    let mut params = authority_params(subject);
    set_validity(&mut params, validity);
    let pem = params.self_signed(&key).map_err(said)?.pem();
    Ok((one(&pem)?, key.serialize_pem()))
}

/// A certificate for these names by an authority, and its key as PEM.
pub(super) fn leaf(names: &BTreeSet<String>, validity: Validity, authority: (&Certificate, &str)) -> Made {
    let (signer, signers_key) = authority;
    let issuer = Issuer::new(authority_params(&signer.subject), KeyPair::from_pem(signers_key).map_err(said)?);
    let key = KeyPair::generate().map_err(said)?;
    let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>()).map_err(said)?;
    params.distinguished_name = named(names.first().map_or("faregate", String::as_str));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, validity);
    let pem = params.signed_by(&key, &issuer).map_err(said)?.pem();
    Ok((one(&pem)?, key.serialize_pem()))
}

/// Every certificate of a PEM text, in order.
///
/// # Errors
/// The first that cannot be read.
pub(super) fn read(pem: &str) -> Result<Vec<Certificate>, String> {
    blocks(pem, END).map(one).collect()
}

/// Every key of a PEM text with its public part.
pub(super) fn keys(pem: &str) -> Vec<(Vec<u8>, String)> {
    let read = |block: &str| {
        let key = KeyPair::from_pem(block).ok()?;
        Some((key.subject_public_key_info(), format!("{block}\n")))
    };
    blocks(pem, END_OF_KEY).filter_map(read).collect()
}

fn blocks<'t>(pem: &'t str, end: &'t str) -> impl Iterator<Item = &'t str> {
    pem.split_inclusive(end).map(str::trim).filter(move |block| block.ends_with(end))
}

fn one(pem: &str) -> Result<Certificate, String> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(said)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(said)?;
    let alternatives = parsed.subject_alternative_name().map_err(said)?;
    let names = alternatives.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    });
    Ok(Certificate {
        pem: format!("{}\n", pem.trim()),
        from: parsed.validity().not_before.timestamp(),
        until: parsed.validity().not_after.timestamp(),
        subject: common_name(parsed.subject()),
        issuer: common_name(parsed.issuer()),
        names: names.collect(),
        public: parsed.public_key().raw.to_vec(),
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn common_name(name: &x509_parser::x509::X509Name<'_>) -> String {
    name.iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default().to_owned()
}

fn authority_params(subject: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(subject);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn set_validity(params: &mut CertificateParams, Validity { from, until }: Validity) {
    let at = |seconds: i64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    params.not_before = at(from);
    params.not_after = at(until);
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
