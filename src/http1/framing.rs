//! How long a body is (RFC 9112 section 6). Anything that two readers could read differently is an error.

use http::Method;

use super::error::FramingError;
use super::head::{RequestHead, ResponseHead, Version};
use super::headers::{Headers, Seen, list};

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body at all.
    None,
    /// This many bytes.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// All bytes until the peer closes; responses only.
    UntilClose,
}

/// The framing of a request's body.
///
/// # Errors
/// Content-Length with Transfer-Encoding, several of either, a length that is not `1*DIGIT`, a transfer coding other
/// than exactly `chunked`, any transfer coding in HTTP/1.0.
pub fn request_framing(head: &RequestHead) -> Result<Framing, FramingError> {
    Ok(declared(head.version, &head.headers)?.unwrap_or(Framing::None))
}

/// The framing of the body of a response to a request with the method `request` (RFC 9112 section 6.3).
///
/// A 2xx to CONNECT has no body: what follows is the tunnel.
///
/// # Errors
/// As [`request_framing`]; not for responses that never have a body, whose framing fields are ignored.
pub fn response_framing(head: &ResponseHead, request: &Method) -> Result<Framing, FramingError> {
    let bodiless = *request == Method::HEAD
        || matches!(head.status, 100..=199 | 204 | 304)
        || (*request == Method::CONNECT && (200..300).contains(&head.status));
    if bodiless {
        return Ok(Framing::None);
    }
    Ok(declared(head.version, &head.headers)?.unwrap_or(Framing::UntilClose))
}

fn declared(version: Version, headers: &Headers) -> Result<Option<Framing>, FramingError> {
    let coded = headers.seen(Seen::TRANSFER_ENCODING);
    let sized = headers.seen(Seen::CONTENT_LENGTH);
    match (coded, sized) {
        (false, false) => Ok(None),
        (false, true) => length(headers).map(|length| Some(Framing::Length(length))),
        (true, true) => Err(FramingError::LengthAndEncoding),
        (true, false) if version == Version::Http10 => Err(FramingError::EncodingInHttp10),
        (true, false) => chunked(headers).map(|()| Some(Framing::Chunked)),
    }
}

fn length(headers: &Headers) -> Result<u64, FramingError> {
    if headers.seen(Seen::SEVERAL_LENGTHS) {
        return Err(FramingError::SeveralLengths);
    }
    let value = headers.get("content-length").unwrap_or_default();
    if value.is_empty() {
        return Err(FramingError::InvalidLength);
    }
    value
        .iter()
        .try_fold(0u64, |length, byte| {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
            length.checked_mul(10)?.checked_add(u64::from(digit))
        })
        .ok_or(FramingError::InvalidLength)
}

fn chunked(headers: &Headers) -> Result<(), FramingError> {
    let mut values = headers.get_all("transfer-encoding");
    let value = values.next().unwrap_or_default();
    if values.next().is_some() {
        return Err(FramingError::SeveralEncodings);
    }
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    // Beyond telling 501 from 400 the difference does not matter: both are refused.
    let known = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    if value.is_empty() || list(value).any(known) {
        Err(FramingError::InvalidEncoding)
    } else {
        Err(FramingError::UnknownEncoding)
    }
}
