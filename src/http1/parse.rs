//! Heads off the front of a read buffer. `httparse` finds the tokens; what it lets by is refused here.
//!
//! Only the first `limit` bytes are ever looked at, so that the verdict does not depend on how the bytes were split.

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use http::Method;
use httparse::Status;

use super::authority::Authority;
use super::diagnose::{request_fault, response_fault};
use super::error::HeadError;
use super::head::{RequestHead, ResponseHead, Version};
use super::headers::{FieldList, Headers, Seen};
use super::target::Target;

/// The most field lines that a head may have.
pub const MAX_FIELDS: usize = 128;

/// Splits a request head off the front of `buf` when it is complete; `Ok(None)`: read more, then ask again.
///
/// Empty lines before the request line are dropped (RFC 9112 section 2.2). `limit` is in bytes, from the request line
/// to the empty line. After an error nothing of `buf` can be trusted.
///
/// # Errors
/// The first rule that the head breaks. An error is reported as early as the bytes show it.
pub fn parse_request(buf: &mut BytesMut, limit: usize) -> Result<Option<RequestHead>, HeadError> {
    skip_empty_lines(buf)?;
    let window = window(buf, limit);
    let mut storage = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let end = match request.parse_with_uninit_headers(window, &mut storage) {
        Ok(Status::Complete(end)) => end,
        Ok(Status::Partial) => return unfinished(window, limit),
        Err(error) => return Err(request_fault(window).unwrap_or(HeadError::from(error))),
    };
    let block = &window[..end];
    let mut fields = FieldList::default();
    if !fields.read(block, request.headers) {
        return Err(HeadError::BareLf);
    }
    let method = request.method.unwrap_or_default();
    let target_start = method.len() + 1;
    let target_end = target_start + request.path.unwrap_or_default().len();
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| HeadError::Method)?;
    let version = version(request.version);

    let block = buf.split_to(end).freeze();
    let target = Target::new(block.slice(target_start..target_end));
    target.check(&method)?;
    let headers = fields.over(block);
    check_host(&headers, version, &target)?;
    Ok(Some(RequestHead::parsed(method, target, version, headers)))
}

/// Splits a response head off the front of `buf` when it is complete; `Ok(None)`: read more, then ask again. Interim
/// (1xx) heads are returned as well: the caller asks again for the final one.
///
/// The reason phrase may be missing with its space, and may hold bytes beyond ASCII: real servers do both.
///
/// # Errors
/// As [`parse_request`].
pub fn parse_response(buf: &mut BytesMut, limit: usize) -> Result<Option<ResponseHead>, HeadError> {
    let window = window(buf, limit);
    if matches!(window.first(), Some(b'\r' | b'\n')) {
        // RFC 9112 section 2.2 has servers skip empty lines, not clients: here they would be a stray body.
        return Err(HeadError::StatusLine);
    }
    let mut storage = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let end = match parser.parse_response_with_uninit_headers(&mut response, window, &mut storage) {
        Ok(Status::Complete(end)) => end,
        Ok(Status::Partial) => return unfinished(window, limit),
        Err(error) => return Err(response_fault(window).unwrap_or(HeadError::from(error))),
    };
    let mut fields = FieldList::default();
    if !fields.read(&window[..end], response.headers) {
        return Err(HeadError::BareLf);
    }
    let status = response.code.filter(|code| *code >= 100).ok_or(HeadError::StatusLine)?;
    let version = version(response.version);
    let headers = fields.over(buf.split_to(end).freeze());
    Ok(Some(ResponseHead { status, version, headers }))
}

fn skip_empty_lines(buf: &mut BytesMut) -> Result<(), HeadError> {
    while buf.starts_with(b"\r\n") {
        buf.advance(2);
    }
    if buf.first() == Some(&b'\n') { Err(HeadError::BareLf) } else { Ok(()) }
}

fn window(buf: &BytesMut, limit: usize) -> &[u8] {
    // Spans are 32 bits wide.
    &buf[..buf.len().min(limit).min(u32::MAX as usize)]
}

fn unfinished<T>(window: &[u8], limit: usize) -> Result<Option<T>, HeadError> {
    if window.len() >= limit { Err(HeadError::TooLarge { limit }) } else { Ok(None) }
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Http10 } else { Version::Http11 }
}

/// RFC 9112 section 3.2: exactly one valid Host in HTTP/1.1; section 3.2.2: not at odds with the target.
fn check_host(headers: &Headers, version: Version, target: &Target) -> Result<(), HeadError> {
    if !headers.seen(Seen::HOST) {
        return if version == Version::Http10 { Ok(()) } else { Err(HeadError::MissingHost) };
    }
    let mut hosts = headers.get_all("host");
    let host = hosts.next().and_then(Authority::parse).ok_or(HeadError::InvalidHost);
    if hosts.next().is_some() {
        return Err(HeadError::SeveralHosts);
    }
    let host = host?;
    match target.authority().and_then(Authority::parse) {
        Some(authority) if !authority.same_as(&host, target.default_port()) => Err(HeadError::HostMismatch),
        _ => Ok(()),
    }
}
