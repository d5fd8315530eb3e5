//! Egress HTTP proxies: which one, by configuration or by the usual environment variables.
//!
//! `https` targets go through `CONNECT`; `http` targets are asked for in absolute form.

use std::sync::Arc;

use base64::Engine;

use crate::routing::Endpoint;

/// An HTTP proxy on the way out.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct EgressProxy {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    /// Value of `Proxy-Authorization`, where the URL names a user.
    pub(super) authorization: Option<Arc<str>>,
}

/// Never shows the authorization.
impl std::fmt::Debug for EgressProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EgressProxy({}:{})", self.host, self.port)
    }
}

/// The proxy for an endpoint: the provider's setting, else `HTTPS_PROXY` / `HTTP_PROXY` less `NO_PROXY`.
///
/// # Errors
/// What is wrong with the proxy's URL.
pub(super) fn choose(
    setting: Option<&str>,
    endpoint: &Endpoint,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Option<EgressProxy>, String> {
    let either = |name: &str| env(name).or_else(|| env(&name.to_ascii_lowercase())).filter(|v| !v.is_empty());
    match setting {
        Some("none") => Ok(None),
        Some(url) => parse(url).map(Some),
        None => {
            // HTTP_PROXY in capitals is left alone where a CGI-like client could set it; we are none.
            let Some(url) = either(if endpoint.tls { "HTTPS_PROXY" } else { "HTTP_PROXY" }) else { return Ok(None) };
            let exempt = either("NO_PROXY").is_some_and(|list| matches(&list, &endpoint.host, endpoint.port));
            if exempt || is_loopback(&endpoint.host) { Ok(None) } else { parse(&url).map(Some) }
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn parse(url: &str) -> Result<EgressProxy, String> {
    let uri: http::Uri = url.parse().map_err(|_| "egress proxy: not a URL".to_owned())?;
    if !matches!(uri.scheme_str(), None | Some("http")) {
        return Err("egress proxy: only http:// proxies are supported".into());
    }
    let authority = uri.authority().ok_or("egress proxy: the URL names no host")?;
    let authorization = authority.as_str().rsplit_once('@').map(|(user, _)| {
        let mut both: Vec<u8> = percent_encoding::percent_decode_str(user).collect();
        if !both.contains(&b':') {
            both.push(b':');
        }
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(&both)).into()
    });
    let port = authority.port_u16().unwrap_or(80);
    Ok(EgressProxy { host: authority.host().into(), port, authorization })
}

/// Whether a `NO_PROXY` list names the host: `*`, exact names, domain suffixes (with or without a leading dot), each
/// optionally with a port, and IPv4 or IPv6 networks in CIDR form.
fn matches(list: &str, host: &str, port: u16) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let ip: Option<std::net::IpAddr> = bare.parse().ok();
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let (Some(ip), Some((net, bits))) = (ip, entry.split_once('/')) {
            return in_network(ip, net, bits);
        }
        let (name, entry_port) = match entry.rsplit_once(':') {
            Some((name, p)) if !name.contains(':') => (name.to_owned(), p.parse::<u16>().ok()),
            _ => (entry.clone(), None),
        };
        if entry_port.is_some_and(|p| p != port) {
            return false;
        }
        let name = name.trim_start_matches("*").trim_start_matches('.');
        bare == name || bare.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
    })
}

fn in_network(ip: std::net::IpAddr, net: &str, bits: &str) -> bool {
    use std::net::IpAddr::{V4, V6};
    let (Ok(net), Ok(bits)) = (net.parse(), bits.parse::<u32>()) else { return false };
    match (ip, net) {
        (V4(ip), V4(net)) => bits <= 32 && (ip.to_bits() ^ net.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0,
        (V6(ip), V6(net)) => bits <= 128 && (ip.to_bits() ^ net.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(tls: bool, host: &str) -> Endpoint {
        let port = if tls { 443 } else { 80 };
        Endpoint { tls, host: host.into(), port, base_path: "".into(), authority: host.into() }
    }

    #[test]
    fn no_proxy_names_hosts_suffixes_ports_and_networks() {
        for (list, host, hit) in [
            ("*", "a.example", true),
            ("example.com", "api.example.com", true),
            (".example.com", "api.example.com", true),
            ("example.com", "badexample.com", false),
            ("example.com:8080", "example.com", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("fd00::/8", "[fd12::1]", true),
            ("0.0.0.0/0", "11.1.2.3", true),
        ] {
            assert_eq!(matches(list, host, 443), hit, "{list} {host}");
        }
    }

    #[test]
    fn configuration_wins_over_environment_and_loopback_is_exempt() {
        let env = |name: &str| (name == "HTTPS_PROXY").then(|| "http://u%40:p@proxy:3128".to_owned());
        let chosen = choose(None, &endpoint(true, "api.example.com"), env).unwrap().unwrap();
        assert_eq!((&*chosen.host, chosen.port), ("proxy", 3128));
        assert_eq!(chosen.authorization.as_deref(), Some("Basic dUA6cA=="));
        assert!(!format!("{chosen:?}").contains("dUA6cA"));
        assert_eq!(choose(None, &endpoint(false, "api.example.com"), env).unwrap(), None);
        assert_eq!(choose(Some("none"), &endpoint(true, "api.example.com"), env).unwrap(), None);
        assert_eq!(choose(None, &endpoint(true, "127.0.0.1"), env).unwrap(), None);
        assert!(choose(Some("socks5://x"), &endpoint(true, "h"), env).is_err());
    }
}
