//! What a message says about its connection: persistence, hop-by-hop fields, `Expect`.

use super::head::{RequestHead, Version};
use super::headers::{Headers, Seen, list};

/// Whether the connection may carry another message after this one (RFC 9112 section 9.3): HTTP/1.1 unless `close`,
/// HTTP/1.0 only with `keep-alive`. `close` beats `keep-alive`. A response body that ends with the connection
/// ([`Framing::UntilClose`](super::Framing::UntilClose)) is for the caller to see.
#[must_use]
pub fn keeps_alive(version: Version, headers: &Headers) -> bool {
    match version {
        Version::Http10 => headers.seen(Seen::KEEP_ALIVE) && !headers.seen(Seen::CLOSE),
        Version::Http11 => !headers.seen(Seen::CLOSE),
        Version::Http2 => true,
    }
}

/// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1; to be ignored in
/// HTTP/1.0).
#[must_use]
pub fn expects_continue(head: &RequestHead) -> bool {
    head.version == Version::Http11
        && head.headers.seen(Seen::EXPECT)
        && head.headers.get_all("expect").any(|value| value.eq_ignore_ascii_case(b"100-continue"))
}

/// Whether the sender of a request can be sent trailer fields, and says so (RFC 9110 section 10.1.4). HTTP/1.0 has no
/// chunks to put them behind.
#[must_use]
pub fn takes_trailers(head: &RequestHead) -> bool {
    head.version != Version::Http10
        && head.headers.get_all("te").any(|value| list(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers")))
}

/// Whether a field is about the connection and must not be forwarded (RFC 9110 section 7.6.1).
#[must_use]
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    let known: &[&[u8]] = match name.len() {
        2 => &[b"te"],
        7 => &[b"trailer", b"upgrade"],
        10 => &[b"connection", b"keep-alive"],
        16 => &[b"proxy-connection"],
        17 => &[b"transfer-encoding"],
        18 => &[b"proxy-authenticate"],
        19 => &[b"proxy-authorization"],
        _ => return false,
    };
    known.iter().any(|k| name.eq_ignore_ascii_case(k))
}

/// Whether a Connection field of this message names the field, which thereby is hop-by-hop (RFC 9110 section 7.6.1).
/// A bit test when no Connection field names any.
#[must_use]
pub fn nominated(headers: &Headers, name: &[u8]) -> bool {
    headers.seen(Seen::NOMINATES)
        && headers.get_all("connection").any(|value| list(value).any(|option| option.eq_ignore_ascii_case(name)))
}
