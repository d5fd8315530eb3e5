//! The trailer section after the last chunk (RFC 9112 section 7.1.2).

use bytes::BytesMut;
use httparse::Status;

use super::connection::is_hop_by_hop;
use super::diagnose::trailer_fault;
use super::error::{BodyError, HeadError};
use super::headers::{FieldList, Headers};

/// The longest trailer section that is read, its empty line included, in bytes.
pub(super) const MAX_SECTION: usize = 8 * 1024;

/// The most trailer fields.
const MAX_FIELDS: usize = 64;

/// Splits the trailer section, empty line included, off the front of `buf`; `Ok(None)`: incomplete so far.
pub(super) fn parse(buf: &mut BytesMut) -> Result<Option<Headers>, BodyError> {
    if buf.starts_with(b"\r\n") {
        let _ = buf.split_to(2);
        return Ok(Some(Headers::default()));
    }
    let window = &buf[..buf.len().min(MAX_SECTION)];
    let mut storage = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let (end, found) = match httparse::parse_headers(window, &mut storage) {
        Ok(Status::Complete(complete)) => complete,
        Ok(Status::Partial) if window.len() == MAX_SECTION => return Err(BodyError::TrailersTooLarge),
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(BodyError::TrailersTooLarge),
        Err(error) => return Err(BodyError::Trailer(trailer_fault(window).unwrap_or(HeadError::from(error)))),
    };
    let mut fields = FieldList::default();
    if !fields.read(&window[..end], found) {
        return Err(BodyError::Trailer(HeadError::BareLf));
    }
    fields.retain(window, |name| !is_forbidden(name));
    Ok(Some(fields.over(buf.split_to(end).freeze())))
}

/// Fields that must not be taken from a trailer: they frame, route, authenticate or describe the message, and a reader
/// that merged them into the head would act on them too late (RFC 9110 section 6.5.1).
fn is_forbidden(name: &[u8]) -> bool {
    const FORBIDDEN: [&[u8]; 18] = [
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
        b"max-forwards",
        b"pragma",
        b"range",
        b"set-cookie",
        b"www-authenticate",
        b"x-api-key",
        b"api-key",
        b"age",
        b"location",
    ];
    is_hop_by_hop(name) || FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}
