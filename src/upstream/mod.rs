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
mod pool;
mod stamp;
mod tls;

pub use conn::Conn;
pub use credential::{Credential, KeyInjection};
pub use error::{ConnectError, ExchangeError};
pub use head::{OutHead, RequestBody};
pub use link::{Link, Opened, Upstreams};
pub use stamp::FileStamp;

use std::time::Duration;

/// The bare byte stream of a connection that has been upgraded.
pub type Tunnel = crate::wire::Wire<pingora_core::protocols::Stream>;

/// `work` took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("it took longer than it may")]
pub struct Elapsed;

/// Waits for `work`, but no longer than `limit`.
///
/// # Errors
/// [`Elapsed`] when the time is over; `work` is dropped then.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    pingora_timeout::timeout(limit, work).await.map_err(|_| Elapsed)
}
