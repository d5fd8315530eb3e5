//! HTTP as the control plane speaks it: small requests and whole answers, over TLS (HTTP/2 or 1.1 by ALPN) or plain.
//!
//! Everything is bounded: connections, the time for a handshake, a head and a body, a body's size, and all bodies together.
//! Must not know what is asked: that is a [`Handler`]'s duty. Start with [`serve`].

mod body;
mod serve;

use std::future::Future;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

pub(super) use body::{Bodies, Whole, content_type};
pub(super) use serve::{Listener, serve};

/// Answers requests.
pub(super) trait Handler: Send + Sync + 'static {
    /// Answers one request. Dropped at any await when the client leaves.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Whole>> + Send;
}

/// An answer in plain text.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response<Whole> {
    page(status, "text/plain; charset=utf-8", text.into())
}

/// An answer.
pub(super) fn page(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Whole> {
    let mut response = Response::new(Whole::from(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}
