//! Where control is.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};

/// For one of its addresses to answer.
const CONNECT: Duration = Duration::from_secs(5);

/// Not an address of control.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no URL such as https://faregate-control.faregate-system.svc:8444")]
pub struct AddressError(String);

/// An `https` URL, taken apart.
#[derive(Debug, Clone)]
pub struct Address {
    /// Host and port as they stand in the URL.
    pub authority: String,
    /// The name that the certificate must bear.
    pub name: ServerName<'static>,
    host: String,
    port: u16,
}

impl Address {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// It leads nowhere, or not over TLS, or says more than where.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let find = || {
            let uri: http::Uri = url.trim().parse().ok()?;
            let authority = uri.authority().filter(|a| !a.host().is_empty() && !a.as_str().contains('@'))?;
            if uri.scheme_str() != Some("https") || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
                return None;
            }
            let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(host.clone()).ok()?;
            Some(Self { authority: authority.to_string(), name, port: authority.port_u16().unwrap_or(443), host })
        };
        // A password may stand in it.
        find().ok_or_else(|| AddressError(url.rsplit('@').next().unwrap_or_default().into()))
    }

    /// Connects to the first of its addresses that answers.
    ///
    /// # Errors
    /// The name has no address, or none of them answers: the last one's error.
    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in lookup_host((self.host.as_str(), self.port)).await? {
            match attempt(address).await {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await??;
    socket.set_nodelay(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_over_tls() {
        let shown = |url| Address::parse(url).map(|a| (a.authority, a.host, a.port)).map_err(|e| e.to_string());
        assert_eq!(shown("https://control.svc:8444").unwrap(), ("control.svc:8444".into(), "control.svc".into(), 8444));
        assert_eq!(shown("https://[::1]/").unwrap(), ("[::1]".into(), "::1".into(), 443));
        for url in ["", "control:8444", "http://control", "https://", "https://c/path", "https://c?x", "https://a b"] {
            assert!(shown(url).is_err(), "{url}");
        }
        assert!(!shown("https://user:secret@c").unwrap_err().contains("secret"));
    }
}
