//! Making one new connection: addresses, happy eyeballs, egress proxy; TLS on top is Pingora's.

use std::fmt;
use std::net::SocketAddr as IpSocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt};
use pingora_core::connectors::L4Connect;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use pingora_core::upstreams::peer::{Peer, PeerOptions};
use pingora_error::{Error, ErrorType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::address::Addresses;
use super::egress::EgressProxy;

/// How long one address may keep the next one waiting (RFC 8305, 8: 250 ms).
const HEAD_START: Duration = Duration::from_millis(250);
/// A proxy's answer to CONNECT is no longer than this.
const MAX_CONNECT_REPLY: usize = 16 * 1024;

/// Connects to a host by all its addresses, through a proxy where there is one.
#[derive(Debug)]
pub(super) struct Dialer {
    pub(super) addresses: Arc<Addresses>,
    /// The proxy and, for `CONNECT`, the target's authority.
    pub(super) tunnel: Option<(EgressProxy, Box<str>)>,
}

#[async_trait]
impl L4Connect for Dialer {
    async fn connect(&self, _: &SocketAddr) -> pingora_error::Result<L4Stream> {
        let dialed = self.dial().await;
        dialed.map(L4Stream::from).map_err(|reason| Error::explain(ErrorType::ConnectError, reason))
    }
}

impl Dialer {
    /// A connection without TLS, or why there is none.
    pub(super) async fn dial(&self) -> Result<TcpStream, String> {
        let addresses = self.addresses.get().await?;
        let mut stream = race(&addresses).await.inspect_err(|_| self.addresses.distrust())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        if let Some((proxy, target)) = &self.tunnel {
            open_tunnel(&mut stream, proxy, target).await?;
        }
        Ok(stream)
    }
}

/// The first address that answers; each further one starts when the one before it failed or had its head start.
async fn race(addresses: &[IpSocketAddr]) -> Result<TcpStream, String> {
    let connect = |address: IpSocketAddr| async move {
        TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))
    };
    let mut rest = addresses.iter().copied();
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    running.extend(rest.next().map(connect));
    loop {
        let head_start =
            async { if rest.len() > 0 { tokio::time::sleep(HEAD_START).await } else { std::future::pending().await } };
        tokio::select! {
            done = running.next() => match done {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(failure)) => {
                    failures.push(failure);
                    running.extend(rest.next().map(connect));
                }
                None if failures.is_empty() => return Err("the name has no address".into()),
                None => return Err(failures.join("; ")),
            },
            () = head_start => running.extend(rest.next().map(connect)),
        }
    }
}

async fn open_tunnel(stream: &mut TcpStream, proxy: &EgressProxy, target: &str) -> Result<(), String> {
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n");
    if let Some(authorization) = &proxy.authorization {
        request.push_str("proxy-authorization: ");
        request.push_str(authorization);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    let broke = |error: std::io::Error| format!("egress proxy {}:{}: {error}", proxy.host, proxy.port);
    stream.write_all(request.as_bytes()).await.map_err(broke)?;
    let mut reply = Vec::with_capacity(256);
    // Byte by byte: what follows the head belongs to the tunnel.
    while !reply.ends_with(b"\r\n\r\n") {
        if reply.len() >= MAX_CONNECT_REPLY {
            return Err(format!("egress proxy {}:{}: its answer has no end", proxy.host, proxy.port));
        }
        reply.push(stream.read_u8().await.map_err(broke)?);
    }
    let status = reply.split(|b| *b == b' ').nth(1).unwrap_or_default();
    if status.len() == 3 && status.starts_with(b"2") {
        return Ok(());
    }
    let status = String::from_utf8_lossy(status).into_owned();
    Err(format!("egress proxy {}:{} refused CONNECT with status {status}", proxy.host, proxy.port))
}

/// An origin as Pingora's connectors see it.
#[derive(Clone)]
pub(super) struct OriginPeer {
    /// Never connected to: the [`Dialer`] knows the real addresses.
    pub(super) placeholder: SocketAddr,
    pub(super) shown: Arc<str>,
    pub(super) tls: bool,
    pub(super) sni: Arc<str>,
    pub(super) hash: u64,
    pub(super) options: PeerOptions,
}

impl fmt::Display for OriginPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Peer for OriginPeer {
    fn address(&self) -> &SocketAddr {
        &self.placeholder
    }

    fn tls(&self) -> bool {
        self.tls
    }

    fn sni(&self) -> &str {
        &self.sni
    }

    fn reuse_hash(&self) -> u64 {
        self.hash
    }

    fn get_peer_options(&self) -> Option<&PeerOptions> {
        Some(&self.options)
    }

    fn matches_fd<V: std::os::fd::AsRawFd>(&self, _: V) -> bool {
        true // the address is a placeholder, the hash is the identity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_address_is_tried() {
        let live = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let stream = race(&[dead, live.local_addr().unwrap()]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live.local_addr().unwrap());
        let error = race(&[dead, dead]).await.unwrap_err();
        assert_eq!(error.matches("refused").count(), 2, "{error}");
        assert!(race(&[]).await.unwrap_err().contains("no address"));
    }
}
