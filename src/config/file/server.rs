//! `server`: listeners, inbound keys, and the limits that protect the process.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::formats::{FilePath, Name, SocketAddress};
use super::super::units::{Size, Span};
use super::secret::SecretSource;

/// Listeners, limits and inbound keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address of the API.
    #[schemars(with = "SocketAddress")]
    pub listen: SocketAddr,
    /// Address of health, metrics and admin pages. Keep it private.
    #[schemars(with = "SocketAddress")]
    pub admin: SocketAddr,
    /// Serve the API over TLS (HTTP/1.1, and HTTP/2 by ALPN).
    pub tls: Option<ServerTls>,
    /// Inbound keys. Without any, the API is open and may listen on loopback only.
    pub keys: Vec<InboundKey>,
    /// Allow a public address without inbound keys.
    pub allow_open: bool,
    /// Take what changes something (`POST /admin/reload`) on the admin port from other machines too.
    pub allow_remote_admin: bool,
    /// Worker threads; 0 means one per core.
    pub workers: usize,
    /// Limits that protect this process.
    pub limits: Limits,
    /// How long a slow client may take.
    pub client_timeouts: ClientTimeouts,
    /// How long calls in flight may go on after SIGTERM.
    pub grace: Span,
    /// What it means when a client closes its sending side while it waits for the answer.
    pub half_close: HalfClose,
    /// Unix socket over which a new process takes over the listeners: `faregate run --upgrade`, or SIGUSR2 to the
    /// running process. No call is dropped.
    #[schemars(with = "Option<FilePath>")]
    pub upgrade_socket: Option<PathBuf>,
}

/// Certificate and key of the API listener, PEM files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// Certificate chain.
    #[schemars(with = "FilePath")]
    pub certificate: PathBuf,
    /// Private key.
    #[schemars(with = "FilePath")]
    pub key: PathBuf,
}

/// A key that clients must present as `Authorization: Bearer`, `x-api-key` or `api-key`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InboundKey {
    /// Becomes the `app` label of calls made with this key.
    #[schemars(with = "Name")]
    pub name: String,
    /// Where the key itself stands.
    pub key: SecretSource,
}

/// What a client's half-close means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HalfClose {
    /// The client is gone: cancel the upstream call (and its cost).
    #[default]
    Cancel,
    /// The client may still read: finish the call.
    Serve,
}

/// Limits that protect this process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Request line and headers: 431 beyond.
    pub head: Size,
    /// A request body that is read whole: 413 beyond. Uploads that stream through are not held and not limited.
    pub body: Size,
    /// All request bodies held at one time: 503 beyond.
    pub bodies_in_flight: Size,
    /// Calls at one time; 0 means no limit: 503 beyond.
    pub calls: usize,
    /// Client connections at one time; 0 means no limit.
    pub connections: usize,
}

/// How long a slow client may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientTimeouts {
    /// From a request's first byte to the end of its headers. A TLS handshake may take as long.
    pub head: Span,
    /// Between two reads of a request body.
    pub body: Span,
    /// Between requests on a kept connection.
    pub idle: Span,
    /// A client that does not take its answer: how long one write may wait.
    pub write: Span,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4000)),
            admin: SocketAddr::from(([127, 0, 0, 1], 4001)),
            tls: None,
            keys: Vec::new(),
            allow_open: false,
            allow_remote_admin: false,
            workers: 0,
            limits: Limits::default(),
            client_timeouts: ClientTimeouts::default(),
            grace: Span::secs(30),
            half_close: HalfClose::default(),
            upgrade_socket: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: Size(64 << 10), body: Size(32 << 20), bodies_in_flight: Size(256 << 20), calls: 0, connections: 0 }
    }
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self { head: Span::secs(10), body: Span::secs(30), idle: Span::secs(120), write: Span::secs(60) }
    }
}
