//! Which rule a refused head breaks. Off the fast path: runs only after `httparse` said no, without saying where.
//!
//! Walks the bytes once and reports the first fault, so that the answer is the same however much was read behind it.

use super::error::HeadError;
use super::parse::MAX_FIELDS;

/// A fault was found, or the bytes ended before one was.
type Walk<T = usize> = Result<Option<T>, HeadError>;

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::HeaderName => Self::FieldName,
            httparse::Error::HeaderValue => Self::FieldValue,
            httparse::Error::NewLine => Self::BareCr,
            httparse::Error::Status => Self::StatusLine,
            httparse::Error::Token => Self::RequestLine,
            httparse::Error::TooManyHeaders => Self::TooManyFields,
            httparse::Error::Version => Self::Version,
        }
    }
}

/// The first fault of a request head.
pub(super) fn request_fault(head: &[u8]) -> Option<HeadError> {
    request_line(head).and_then(|end| end.map_or(Ok(()), |end| field_lines(&head[end..]))).err()
}

/// The first fault of a response head.
pub(super) fn response_fault(head: &[u8]) -> Option<HeadError> {
    status_line(head).and_then(|end| end.map_or(Ok(()), |end| field_lines(&head[end..]))).err()
}

/// The first fault of a trailer section.
pub(super) fn trailer_fault(section: &[u8]) -> Option<HeadError> {
    field_lines(section).err()
}

fn request_line(head: &[u8]) -> Walk {
    let method_end = run(head, 0, is_tchar);
    match head.get(method_end) {
        None => return Ok(None),
        Some(b' ') if method_end > 0 => {}
        Some(b'\r') if method_end == 0 => return line_end(head, 0, HeadError::RequestLine),
        Some(b' ' | b'\t' | b'\r' | b'\n') => return Err(HeadError::RequestLine),
        Some(_) => return Err(HeadError::Method),
    }
    let target_start = method_end + 1;
    let target_end = run(head, target_start, |b| b.is_ascii_graphic());
    match head.get(target_end) {
        None => return Ok(None),
        Some(b' ') if target_end > target_start => {}
        Some(b' ' | b'\t') => return Err(HeadError::RequestLine),
        // HTTP/0.9, or the version forgotten.
        Some(b'\r' | b'\n') => return Err(HeadError::Version),
        Some(_) => return Err(HeadError::Target),
    }
    let Some(version_end) = version(head, target_end + 1)? else { return Ok(None) };
    line_end(head, version_end, HeadError::RequestLine)
}

fn status_line(head: &[u8]) -> Walk {
    let Some(at) = version(head, 0)? else { return Ok(None) };
    let code = head.get(at..).unwrap_or_default();
    for (i, byte) in code.iter().take(4).enumerate() {
        if !(if i == 0 { *byte == b' ' } else { byte.is_ascii_digit() }) {
            return Err(if i == 0 { HeadError::Version } else { HeadError::StatusLine });
        }
    }
    match code.get(4) {
        None => Ok(None),
        Some(b' ') => {
            let end = run(head, at + 5, |b| b == b'\t' || (b >= b' ' && b != 0x7f));
            line_end(head, end, HeadError::StatusLine)
        }
        Some(_) => line_end(head, at + 4, HeadError::StatusLine),
    }
}

fn version(head: &[u8], at: usize) -> Walk {
    for (i, wanted) in b"HTTP/1.".iter().enumerate() {
        match head.get(at + i) {
            None => return Ok(None),
            Some(b' ' | b'\t') if i == 0 && at > 0 => return Err(HeadError::RequestLine),
            Some(byte) if byte != wanted => return Err(HeadError::Version),
            Some(_) => {}
        }
    }
    match head.get(at + 7) {
        None => Ok(None),
        Some(b'0' | b'1') => Ok(Some(at + 8)),
        Some(_) => Err(HeadError::Version),
    }
}

fn field_lines(block: &[u8]) -> Result<(), HeadError> {
    let mut at = 0;
    for count in 0.. {
        let name_end = run(block, at, is_tchar);
        match block.get(name_end) {
            None => return Ok(()),
            Some(b'\r' | b'\n') if name_end == at => return line_end(block, at, HeadError::FieldName).map(|_| ()),
            Some(b' ' | b'\t') if name_end == at && count == 0 => return Err(HeadError::LeadingWhitespace),
            Some(b' ' | b'\t') if name_end == at => return Err(HeadError::ObsFold),
            Some(b':') if name_end > at => {}
            Some(b' ' | b'\t') => return Err(HeadError::SpaceBeforeColon),
            Some(b'\r' | b'\n') => return Err(HeadError::MissingColon),
            Some(_) => return Err(HeadError::FieldName),
        }
        let value_end = run(block, name_end + 1, |b| b == b'\t' || (b >= b' ' && b != 0x7f));
        match line_end(block, value_end, HeadError::FieldValue)? {
            None => return Ok(()),
            Some(_) if count == MAX_FIELDS => return Err(HeadError::TooManyFields),
            Some(next) => at = next,
        }
    }
    Ok(())
}

/// Where the next line begins, when a CRLF stands at `at`.
fn line_end(head: &[u8], at: usize, otherwise: HeadError) -> Walk {
    match (head.get(at), head.get(at + 1)) {
        (None, _) | (Some(b'\r'), None) => Ok(None),
        (Some(b'\r'), Some(b'\n')) => Ok(Some(at + 2)),
        (Some(b'\r'), Some(_)) => Err(HeadError::BareCr),
        (Some(b'\n'), _) => Err(HeadError::BareLf),
        _ => Err(otherwise),
    }
}

/// The end of the run of `matching` bytes that begins at `from`.
fn run(bytes: &[u8], from: usize, matching: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().position(|b| !matching(*b)).unwrap_or(rest.len())
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_tchar(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}
