//! A provider's base URL, taken apart once so that no call parses it again.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Where a provider's API stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether the scheme is `https`.
    pub tls: bool,
    /// Name or address to connect to, in lower case; an IPv6 address without its brackets.
    pub host: Arc<str>,
    /// The URL's port, else the scheme's: 443 or 80.
    pub port: u16,
    /// Path that comes before an operation's own, without a trailing slash: `/v1`, or empty.
    pub base_path: Arc<str>,
    /// For the `Host` header: the port only where it is not the scheme's, an IPv6 address in brackets.
    pub authority: Arc<str>,
}

/// Why a base URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither `http` nor `https`.
    #[error("the URL must start with http:// or https://")]
    Scheme,
    /// `user:password@`.
    #[error("the URL must hold no user or password; use `credentials`")]
    UserInfo,
    /// No host, or one with impossible characters.
    #[error("the URL's host is not a name or an address (write an international name in its xn-- form)")]
    Host,
    /// Not a port.
    #[error("the URL's port is not a number from 1 to 65535")]
    Port,
    /// `?` or `#`.
    #[error("the URL must end with its path, without `?` or `#`")]
    Query,
    /// Characters that cannot stand in a path.
    #[error("the URL's path holds characters that must be percent-encoded")]
    Path,
}

impl Endpoint {
    /// Takes a base URL apart.
    ///
    /// # Errors
    /// When the URL is not an absolute `http` or `https` URL of host, port and path alone.
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = url.trim().split_once("://").ok_or(EndpointError::Scheme)?;
        let tls = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => true,
            _ if scheme.eq_ignore_ascii_case("http") => false,
            _ => return Err(EndpointError::Scheme),
        };
        if rest.contains(['?', '#']) {
            return Err(EndpointError::Query);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(EndpointError::UserInfo);
        }
        let (host, port) = split_port(authority)?;
        let scheme_port = if tls { 443 } else { 80 };
        let port = port.unwrap_or(scheme_port);
        let host = check_host(host)?;
        let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let authority = if port == scheme_port { shown } else { format!("{shown}:{port}") };
        let base_path = path.trim_end_matches('/');
        if !base_path.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b)) {
            return Err(EndpointError::Path);
        }
        Ok(Self { tls, host: host.into(), port, base_path: base_path.into(), authority: authority.into() })
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), EndpointError> {
    let colon = match authority.rfind(']') {
        Some(end) if authority.len() == end + 1 => None,
        Some(end) if authority[end + 1..].starts_with(':') => Some(end + 1),
        Some(_) => return Err(EndpointError::Host),
        None if authority.starts_with('[') => return Err(EndpointError::Host),
        None => authority.find(':'),
    };
    let Some(colon) = colon else { return Ok((authority, None)) };
    let digits = &authority[colon + 1..];
    match digits.parse() {
        Ok(port) if port != 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Ok((&authority[..colon], Some(port))),
        _ => Err(EndpointError::Port),
    }
}

fn check_host(host: &str) -> Result<String, EndpointError> {
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(EndpointError::Host)?;
        let address: Ipv6Addr = inner.parse().map_err(|_| EndpointError::Host)?;
        return Ok(address.to_string());
    }
    let label = |l: &str| {
        !l.is_empty() && l.len() <= 63 && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    // Digits and dots alone are an address, or nothing that a resolver should ever see.
    let numeric = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if host.len() > 253 || !name.split('.').all(label) || (numeric && host.parse::<Ipv4Addr>().is_err()) {
        return Err(EndpointError::Host);
    }
    Ok(host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        match Endpoint::parse(url) {
            Ok(e) => format!("{} {} {} {} {}", e.tls, e.host, e.port, e.base_path, e.authority),
            Err(e) => format!("{e:?}"),
        }
    }

    #[test]
    fn takes_urls_apart() {
        let cases = [
            ("https://api.example.com/v1", "true api.example.com 443 /v1 api.example.com"),
            ("https://api.example.com/v1/", "true api.example.com 443 /v1 api.example.com"),
            ("HTTPS://API.Example.com", "true api.example.com 443  api.example.com"),
            ("http://localhost:8000/", "false localhost 8000  localhost:8000"),
            ("http://localhost:80", "false localhost 80  localhost"),
            ("https://h:80/a/b//", "true h 80 /a/b h:80"),
            ("http://[::1]:8080/v1", "false ::1 8080 /v1 [::1]:8080"),
            ("https://[2001:DB8:0:0::1]", "true 2001:db8::1 443  [2001:db8::1]"),
            ("http://10.0.0.1/x%20y", "false 10.0.0.1 80 /x%20y 10.0.0.1"),
            (
                "http://llama_server.default.svc.cluster.local.:1",
                "false llama_server.default.svc.cluster.local. 1  llama_server.default.svc.cluster.local.:1",
            ),
        ];
        for (url, want) in cases {
            assert_eq!(shown(url), want, "{url}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_use() {
        let cases = [
            ("api.example.com/v1", "Scheme"),
            ("ftp://h", "Scheme"),
            ("https://", "Host"),
            ("https:///v1", "Host"),
            ("https://:443/v1", "Host"),
            ("https://user:pass@h/v1", "UserInfo"),
            ("https://h:0", "Port"),
            ("https://h:65536", "Port"),
            ("https://h:+80", "Port"),
            ("https://h:", "Port"),
            ("https://a:b:c", "Port"),
            ("https://::1/", "Port"),
            ("https://[::1", "Host"),
            ("https://[::1]x", "Host"),
            ("https://[fe80::1%25eth0]", "Host"),
            ("https://h/v1?x=1", "Query"),
            ("https://h#f", "Query"),
            ("https://h/a b", "Path"),
            ("https://bücher.example", "Host"),
            ("https://a..b", "Host"),
            ("https://1.2.3", "Host"),
            ("https://h\r\nx", "Host"),
        ];
        for (url, want) in cases {
            assert_eq!(shown(url), want, "{url}");
        }
    }
}
