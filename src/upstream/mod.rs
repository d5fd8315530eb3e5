//! The way to the providers: names, connections, pools, TLS, keys.
//!
//! Knows the providers of a routing table, and nothing of routes, bodies' meaning or clients. Start with
//! [`Upstreams`], which a routing table is compiled to, then [`Link::open`].

mod address;
mod conn;
mod connect;
mod credential;
mod egress;
mod error;
mod h1;
mod h2;
mod head;
mod link;
mod patience;
mod pool;
mod stamp;
mod tls;

pub use conn::Conn;
pub use credential::{Credential, KeyInjection};
pub use error::{ConnectError, ExchangeError};
pub use head::{OutHead, RequestBody};
pub use link::{Link, Opened, Upstreams};
pub use patience::{Elapsed, Patience, within};
pub use stamp::FileStamp;

/// A provider's connection: the bare socket, or what Pingora made of it by TLS.
pub type Outbound = crate::wire::Socket<pingora_core::protocols::Stream>;

/// The bare byte stream of a connection that has been upgraded.
pub type Tunnel = crate::wire::Wire<Outbound>;
