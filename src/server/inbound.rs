//! A client's byte stream.

use pingora_core::protocols::{ALPN, Stream};

use crate::wire::Socket;

/// One client's connection: the bare socket, or what Pingora made of it by TLS.
pub type Inbound = Socket<Stream>;

/// Whether client and server agreed on HTTP/2.
pub(super) fn is_h2(stream: &Stream) -> bool {
    matches!(stream.selected_alpn_proto(), Some(ALPN::H2))
}
