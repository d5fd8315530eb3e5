//! A request head on its way out, before it is known whether HTTP/1.1 or HTTP/2 carries it.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;

/// A request head. Framing headers (`content-length`, `transfer-encoding`) and `host` are not among `lines`: the
/// connection adds what its version needs.
#[derive(Debug)]
pub struct OutHead {
    /// Request method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Value of `host` or `:authority`.
    pub authority: Arc<str>,
    /// Complete header lines, `name: value\r\n` each, validated by whoever wrote them.
    pub lines: Vec<u8>,
}

/// How a request's body comes.
#[derive(Debug, Clone, Copy)]
pub enum RequestBody<'a> {
    /// None at all; no framing header is sent.
    None,
    /// All of it is here.
    Whole(&'a Bytes),
    /// It follows in chunks, of a known length in all or not.
    Streamed(Option<u64>),
}

impl OutHead {
    /// The header lines as pairs.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.split(|b| *b == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back_as_pairs() {
        let head = OutHead {
            method: Method::POST,
            target: "/".into(),
            authority: "h".into(),
            lines: b"a: b\r\nc: d:e\r\n".to_vec(),
        };
        let pairs: Vec<_> = head.pairs().collect();
        assert_eq!(pairs, [(&b"a"[..], &b"b"[..]), (&b"c"[..], &b"d:e"[..])]);
    }
}
