//! Heads and chunks as bytes, appended to a buffer that the caller writes in one go.
//!
//! Nothing is checked again here: names and values came through the parser, an HTTP/2 library or the configuration's
//! validation. Debug builds assert that no line break slips in.

use http::{Method, StatusCode};

/// Ends a chunked body without trailers (RFC 9112 section 7.1).
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// `HTTP/1.1 200 OK` and CRLF; an unregistered code gets an empty reason phrase, its space kept (RFC 9112 section 4).
pub fn write_status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    let digit = |n: u16| b'0' + (n % 10) as u8;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
    let reason = StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    out.extend_from_slice(reason.unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `POST /v1/x HTTP/1.1` and CRLF. `target` in the form that the receiver is to see.
pub fn write_request_line(out: &mut Vec<u8>, method: &Method, target: &str) {
    debug_assert!(target.bytes().all(|b| b.is_ascii_graphic()), "request target with whitespace or control bytes");
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// One field line.
pub fn write_header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    debug_assert!(memchr::memchr3(b'\r', b'\n', 0, value).is_none(), "header value with a line break");
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The line before a chunk of `len` bytes. The caller appends the data and CRLF. `len` must not be 0, which would end
/// the body.
pub fn write_chunk_head(out: &mut Vec<u8>, len: usize) {
    debug_assert!(len > 0, "an empty chunk ends the body");
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[len >> (digit * 4) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

/// One whole chunk; nothing at all when `data` is empty.
pub fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    write_chunk_head(out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}
