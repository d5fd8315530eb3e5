//! Providers of a routing table as places that connections lead to. Links outlive reloads that do not change them,
//! and with them their pools, addresses and keys.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr as IpSocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pingora_core::connectors::http::v2::Connector;
use pingora_core::protocols::ALPN;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::upstreams::peer::PeerOptions;

use super::Outbound;
use super::address::Addresses;
use super::conn::Conn;
use super::connect::{Dialer, OriginPeer};
use super::credential::Credential;
use super::egress;
use super::error::ConnectError;
use super::h1::H1;
use super::h2::H2;
use super::pool::Pool;
use super::tls::{Connectors, Lazy};
use crate::config::file::{self, HttpVersion};
use crate::routing::{Endpoint, Provider, RoutingTable};

/// Idle connections kept for a provider that says nothing else.
const DEFAULT_MAX_IDLE: usize = 64;
/// Streams on one HTTP/2 connection.
const H2_STREAMS: usize = 100;
/// Flow-control window of one HTTP/2 stream, and of a connection.
const H2_STREAM_WINDOW: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// The same failure to connect is logged again after this.
const SAY_AGAIN: Duration = Duration::from_secs(30);
/// How long an HTTP/2 connection without streams is kept.
const H2_IDLE: Duration = Duration::from_secs(55);

/// The links of every provider of one routing table, by the provider's index.
pub struct Upstreams {
    links: Vec<Arc<Link>>,
    connectors: Arc<Connectors>,
}

/// One provider.
pub struct Link {
    settings: file::Provider,
    origins: Vec<(Endpoint, Arc<Origin>)>,
    credential: Credential,
}

/// One host and port of a provider.
pub struct Origin {
    shown: Arc<str>,
    connector: Arc<Lazy>,
    peer: OriginPeer,
    dialer: Arc<Dialer>,
    h2: bool,
    forward: Option<Arc<ForwardProxy>>,
    /// The provider is reached through a proxy of whatever kind.
    behind_proxy: bool,
    pool: Pool<(Box<H1>, Permit)>,
    open: Arc<AtomicUsize>,
    max_open: usize,
    /// The last failure that the operator was told of, and when.
    said: Mutex<Option<(String, Instant)>>,
}

/// A proxy that is asked for `http` targets in absolute form.
#[derive(Debug)]
pub(super) struct ForwardProxy {
    /// `http://host:port`.
    pub(super) origin: String,
    pub(super) authorization: Option<Arc<str>>,
}

/// Counts one open connection for as long as it lives.
pub(super) struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A connection, and how it was had.
pub struct Opened {
    /// The connection.
    pub conn: Conn,
    /// It was kept from an earlier call.
    pub reused: bool,
    /// How long it took to make it; zero when reused.
    pub took: Duration,
}

impl Upstreams {
    /// Links for a table's providers. Those that are the same as in `previous` are kept.
    ///
    /// # Errors
    /// What cannot be used, with the provider's name in front.
    pub fn compile(
        table: &RoutingTable,
        previous: Option<&Self>,
        env: impl Fn(&str) -> Option<String> + Copy,
    ) -> Result<Self, Vec<String>> {
        let connectors = previous.map_or_else(Arc::default, |p| p.connectors.clone());
        let mut links = Vec::with_capacity(table.providers().len());
        let mut errors = Vec::new();
        for provider in table.providers() {
            // Nearly always it stands where it stood.
            let kept = previous.and_then(|p| {
                let same = p.links.get(provider.index).filter(|link| link.serves(provider));
                same.or_else(|| p.links.iter().find(|link| link.serves(provider)))
            });
            match kept {
                Some(link) => {
                    link.credential.refresh();
                    links.push(link.clone());
                }
                None => match Link::new(provider, &connectors, env) {
                    Ok(link) => links.push(Arc::new(link)),
                    Err(error) => errors.push(format!("providers.{}: {error}", provider.name)),
                },
            }
        }
        if errors.is_empty() { Ok(Self { links, connectors }) } else { Err(errors) }
    }

    /// The link of a provider of the same table.
    pub fn link(&self, provider: &Provider) -> Option<&Arc<Link>> {
        self.links.get(provider.index)
    }

    /// Reads changed key and certificate files and drops connections that were idle for too long. Blocks.
    pub fn tend(&self) {
        self.connectors.refresh();
        for link in &self.links {
            link.credential.refresh();
            for (_, origin) in &link.origins {
                origin.pool.expire();
            }
        }
    }
}

impl Link {
    fn new(
        provider: &Provider,
        connectors: &Connectors,
        env: impl Fn(&str) -> Option<String> + Copy,
    ) -> Result<Self, String> {
        let settings = provider.config.clone();
        let mut origins: Vec<(Endpoint, Arc<Origin>)> = Vec::new();
        for (_, endpoint) in provider.endpoints() {
            if !origins.iter().any(|(known, _)| is_same(known, endpoint)) {
                origins.push((endpoint.clone(), Arc::new(Origin::new(endpoint, &settings, connectors, env)?)));
            }
        }
        let credential = Credential::new(settings.credentials.as_ref(), |dialect| provider.auth(dialect).clone(), env);
        Ok(Self { settings, origins, credential })
    }

    /// Whether this link is what the provider needs, so that it can be kept across a reload.
    fn serves(&self, provider: &Provider) -> bool {
        self.settings == provider.config
            && provider.endpoints().all(|(_, endpoint)| self.origins.iter().any(|(known, _)| is_same(known, endpoint)))
    }

    /// The provider's key.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// A connection to one of the provider's endpoints: one that is kept at this time, or else, and without a time, a
    /// new one.
    ///
    /// # Errors
    /// Why there is none. Takes no longer than `timeout`.
    pub async fn open(
        &self,
        endpoint: &Endpoint,
        timeout: Duration,
        kept: Option<Instant>,
    ) -> Result<Opened, ConnectError> {
        let known = self.origins.iter().find(|(known, _)| is_same(known, endpoint));
        let (_, origin) = known.ok_or_else(|| ConnectError::Resolve {
            host: endpoint.host.to_string(),
            reason: "it is no endpoint of this provider".into(),
        })?;
        origin.open(timeout, kept).await
    }

    /// Idle and open HTTP/1.1 connections.
    pub fn connections(&self) -> (usize, usize) {
        self.origins.iter().fold((0, 0), |(idle, open), (_, origin)| {
            (idle + origin.pool.len(), open + origin.open.load(Ordering::Relaxed))
        })
    }
}

/// Whether connections to one endpoint serve the other.
fn is_same(one: &Endpoint, other: &Endpoint) -> bool {
    one.port == other.port && one.tls == other.tls && one.host == other.host
}

impl Origin {
    fn new(
        endpoint: &Endpoint,
        settings: &file::Provider,
        connectors: &Connectors,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        static IDENTITY: AtomicU64 = AtomicU64::new(0);
        let proxy = egress::choose(settings.proxy.as_deref(), endpoint, env)?;
        let shown: Arc<str> = format!("{}:{}", endpoint.host, endpoint.port).into();
        let behind_proxy = proxy.is_some();
        let (addresses, tunnel, forward) = match proxy {
            None => (Addresses::new(&endpoint.host, endpoint.port), None, None),
            Some(proxy) => {
                let addresses = Addresses::new(&proxy.host, proxy.port);
                if endpoint.tls {
                    (addresses, Some((proxy, Box::from(&*shown))), None)
                } else {
                    let origin = format!("http://{}", endpoint.authority);
                    (addresses, None, Some(Arc::new(ForwardProxy { origin, authorization: proxy.authorization })))
                }
            }
        };
        let h2 = settings.http == Some(HttpVersion::Http2);
        if h2 && !endpoint.tls {
            return Err("http: \"2\" needs an https:// URL".into());
        }
        let mut options = PeerOptions::new();
        options.alpn = if h2 { ALPN::H2 } else { ALPN::H1 };
        options.max_h2_streams = H2_STREAMS;
        options.h2_stream_window_size = Some(H2_STREAM_WINDOW);
        options.h2_connection_window_size = Some(H2_CONNECTION_WINDOW);
        let dialer = Arc::new(Dialer { addresses, tunnel });
        options.custom_l4 = Some(dialer.clone());
        let bare = endpoint.host.trim_start_matches('[').trim_end_matches(']');
        let sni = settings.tls.as_ref().and_then(|tls| tls.server_name.as_deref()).unwrap_or(bare);
        if endpoint.tls && rustls::pki_types::ServerName::try_from(sni).is_err() {
            // Without a name Pingora would not look at the certificate at all.
            return Err(format!("tls: `{sni}` is no name that a certificate could be for; set `server_name`"));
        }
        let peer = OriginPeer {
            placeholder: SocketAddr::Inet(IpSocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
            shown: shown.clone(),
            tls: endpoint.tls,
            sni: sni.into(),
            // Each origin is an identity of its own: CA, proxy and tenant never mix.
            hash: RandomState::new().hash_one(IDENTITY.fetch_add(1, Ordering::Relaxed)),
            options,
        };
        Ok(Self {
            shown,
            connector: connectors.get(settings.tls.as_ref()),
            peer,
            dialer,
            h2,
            forward,
            behind_proxy,
            pool: Pool::new(settings.max_idle.unwrap_or(DEFAULT_MAX_IDLE)),
            open: Arc::default(),
            said: Mutex::new(None),
            max_open: settings.max_connections.filter(|max| *max > 0).unwrap_or(usize::MAX),
        })
    }

    async fn open(self: &Arc<Self>, timeout: Duration, kept: Option<Instant>) -> Result<Opened, ConnectError> {
        let opened = self.try_open(timeout, kept).await;
        opened.inspect_err(|error| self.complain(error))
    }

    /// Tells the operator, who would not hear of it while other targets serve; the same thing now and then only.
    fn complain(&self, error: &ConnectError) {
        let text = error.to_string();
        let mut said = self.said.lock();
        if said.as_ref().is_none_or(|(before, at)| *before != text || at.elapsed() > SAY_AGAIN) {
            tracing::warn!("{text}");
            *said = Some((text, Instant::now()));
        }
    }

    async fn try_open(self: &Arc<Self>, timeout: Duration, kept: Option<Instant>) -> Result<Opened, ConnectError> {
        if let Some(now) = kept.filter(|_| !self.h2) {
            while let Some((mut h1, permit)) = self.pool.take(now) {
                if h1.is_alive() {
                    return Ok(Opened { conn: Conn::h1(h1, self.clone(), permit), reused: true, took: Duration::ZERO });
                }
            }
        }
        let permit = self.permit()?;
        let began = Instant::now();
        let made = pingora_timeout::timeout(timeout, Box::pin(self.make(permit, kept.is_none()))).await;
        let (conn, reused) =
            made.map_err(|_| ConnectError::Timeout { host: self.shown.to_string(), after: timeout })??;
        Ok(Opened { conn, reused, took: began.elapsed() })
    }

    fn permit(&self) -> Result<Permit, ConnectError> {
        if self.open.fetch_add(1, Ordering::AcqRel) < self.max_open {
            return Ok(Permit(self.open.clone()));
        }
        self.open.fetch_sub(1, Ordering::AcqRel);
        Err(ConnectError::Exhausted { host: self.shown.to_string(), limit: self.max_open })
    }

    async fn make(self: &Arc<Self>, permit: Permit, fresh: bool) -> Result<(Conn, bool), ConnectError> {
        let host = || self.shown.to_string();
        if !self.peer.tls {
            let dialed = self.dialer.dial().await;
            let stream = dialed.map_err(|reason| ConnectError::Refused { host: host(), reason })?;
            let h1 = Box::new(H1::new(Outbound::Plain(stream), self.forward.clone()));
            return Ok((Conn::h1(h1, self.clone(), permit), false));
        }
        let refused =
            |error: Box<pingora_error::Error>| ConnectError::Refused { host: host(), reason: explain(&error) };
        let connector = self.connector.get().await.map_err(|reason| ConnectError::Tls { host: host(), reason })?;
        if !self.h2 {
            let stream = connector.transport().new_stream(&self.peer).await.map_err(refused)?;
            let h1 = Box::new(H1::new(Outbound::Tls(stream), self.forward.clone()));
            return Ok((Conn::h1(h1, self.clone(), permit), false));
        }
        if !fresh && let Some(session) = reused_h2(&connector, &self.peer).await {
            return Ok((Conn::h2(Box::new(H2::new(session)), self.clone(), permit), true));
        }
        match connector.new_http_session::<_, ()>(&self.peer).await.map_err(refused)? {
            HttpSession::H2(session) => Ok((Conn::h2(Box::new(H2::new(session)), self.clone(), permit), false)),
            _ => Err(ConnectError::Refused { host: host(), reason: "the provider does not speak HTTP/2".into() }),
        }
    }

    pub(super) fn is_behind_proxy(&self) -> bool {
        self.behind_proxy
    }

    pub(super) fn keep_h1(&self, h1: Box<H1>, permit: Permit, now: Instant) {
        let home = h1.home();
        self.pool.put((h1, permit), home, now);
    }

    pub(super) fn keep_h2(&self, h2: H2) {
        if let Some(connector) = self.connector.made() {
            connector.release_http_session(h2.into_session(), &self.peer, Some(H2_IDLE));
        }
    }
}

async fn reused_h2(
    connector: &Connector,
    peer: &OriginPeer,
) -> Option<pingora_core::protocols::http::v2::client::Http2Session> {
    connector.reused_http_session(peer).await.ok().flatten()
}

/// The transport's reason, without Pingora's own context around it.
fn explain(error: &pingora_error::Error) -> String {
    let root = error.root_cause();
    let context = error.context.as_ref().map(|context| context.as_str().to_owned()).unwrap_or_default();
    let said = root.to_string();
    let whole = if root.source().is_some() || said.contains(&context) { said } else { format!("{said}: {context}") };
    // "local address A: TLS connect() failed:  TLSHandshakeFailure context: ... cause: REASON, SNI: NAME"
    match whole.rsplit_once("cause: ") {
        Some((before, reason)) if before.contains("TLS") => format!("TLS: {}", reason.trim()),
        _ => whole.split_once(" context: ").map_or(&*whole, |(_, said)| said).trim().to_owned(),
    }
}
