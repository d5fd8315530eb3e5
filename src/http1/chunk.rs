//! The line before a chunk's data: `chunk-size [chunk-ext] CRLF` (RFC 9112 section 7.1).
//!
//! Extensions are ignored, but read by their whole grammar: parsers that disagree about where one ends disagree about
//! where the data begins.

use super::error::BodyError;

/// The longest chunk line that is read, CRLF included, in bytes.
pub(super) const MAX_LINE: usize = 256;

/// A chunk line that was read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkLine {
    /// Bytes of data in the chunk; 0 is the last chunk.
    pub(super) size: u64,
    /// Bytes of the line, CRLF included.
    pub(super) len: usize,
    /// Bytes of its extensions.
    pub(super) extensions: usize,
}

/// An end was found, or the bytes ended before one was.
type Walk<T = usize> = Result<Option<T>, BodyError>;

/// Reads the chunk line at the front of `buf`; `Ok(None)`: incomplete so far. A fault is reported as soon as its byte
/// is there.
pub(super) fn parse(buf: &[u8]) -> Walk<ChunkLine> {
    let window = &buf[..buf.len().min(MAX_LINE)];
    let Some((size, digits)) = size(window)? else { return Ok(None) };
    match line_end(window, digits)? {
        Some(len) => Ok(Some(ChunkLine { size, len, extensions: len - digits - 2 })),
        None if window.len() == MAX_LINE => Err(BodyError::ExtensionsTooLong),
        None => Ok(None),
    }
}

/// `1*HEXDIG`: the value, and how many digits.
fn size(line: &[u8]) -> Walk<(u64, usize)> {
    let mut size = 0;
    for (digits, byte) in line.iter().enumerate() {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ if digits == 0 => return Err(BodyError::ChunkSize),
            _ => return Ok(Some((size, digits))),
        };
        if digits == 16 {
            return Err(BodyError::ChunkSizeOverflow);
        }
        size = size << 4 | u64::from(digit);
    }
    Ok(None)
}

/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ) CRLF` (RFC 9112 section 7.1.1): where it ends.
fn line_end(line: &[u8], digits: usize) -> Walk {
    let mut at = digits;
    loop {
        let next = skip(line, at, is_whitespace);
        match line.get(next) {
            None => return Ok(None),
            Some(b';') => match extension(line, next + 1)? {
                Some(end) => at = end,
                None => return Ok(None),
            },
            Some(b'\r') if next == at => {
                return match line.get(next + 1) {
                    None => Ok(None),
                    Some(b'\n') => Ok(Some(next + 2)),
                    Some(_) => Err(BodyError::ChunkLineEnd),
                };
            }
            Some(b'\n') => return Err(BodyError::ChunkLineEnd),
            // A line such as "5 \r\n", "0x5", "5_0" or "5 5".
            Some(_) if at == digits => return Err(BodyError::ChunkSize),
            Some(_) => return Err(BodyError::ChunkExtension),
        }
    }
}

/// The end of the extension whose name begins at `from`, whitespace aside.
fn extension(line: &[u8], from: usize) -> Walk {
    let Some(name_end) = token(line, skip(line, from, is_whitespace))? else { return Ok(None) };
    let next = skip(line, name_end, is_whitespace);
    match line.get(next) {
        None => Ok(None),
        Some(b'=') => {
            let value = skip(line, next + 1, is_whitespace);
            if line.get(value) == Some(&b'"') { quoted(line, value + 1) } else { token(line, value) }
        }
        Some(_) => Ok(Some(name_end)),
    }
}

fn token(line: &[u8], from: usize) -> Walk {
    let end = skip(line, from, super::diagnose::is_tchar);
    match line.get(end) {
        None => Ok(None),
        Some(b'\n') => Err(BodyError::ChunkLineEnd),
        Some(_) if end == from => Err(BodyError::ChunkExtension),
        Some(_) => Ok(Some(end)),
    }
}

/// The end of a quoted string (RFC 9110 section 5.6.4) that was opened just before `from`.
fn quoted(line: &[u8], from: usize) -> Walk {
    let mut at = from;
    loop {
        match line.get(at) {
            None => return Ok(None),
            Some(b'"') => return Ok(Some(at + 1)),
            Some(b'\n') => return Err(BodyError::ChunkLineEnd),
            Some(byte) if !is_text(*byte) => return Err(BodyError::ChunkExtension),
            Some(b'\\') => match line.get(at + 1) {
                None => return Ok(None),
                Some(byte) if !is_text(*byte) => return Err(BodyError::ChunkExtension),
                Some(_) => at += 2,
            },
            Some(_) => at += 1,
        }
    }
}

fn is_whitespace(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

fn is_text(b: u8) -> bool {
    b == b'\t' || (b >= b' ' && b != 0x7f)
}

/// The first place at or after `from` whose byte is not `matching`.
fn skip(line: &[u8], from: usize, matching: impl Fn(u8) -> bool) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    from + rest.iter().position(|b| !matching(*b)).unwrap_or(rest.len())
}
