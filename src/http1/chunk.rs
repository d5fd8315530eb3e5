//! The line before a chunk's data: `chunk-size [chunk-ext] CRLF` (RFC 9112 section 7.1).

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
    /// Bytes of its extensions, which are ignored.
    pub(super) extensions: usize,
}

/// Reads the chunk line at the front of `buf`; `Ok(None)`: incomplete so far. A fault is reported as soon as its byte
/// is there.
pub(super) fn parse(buf: &[u8]) -> Result<Option<ChunkLine>, BodyError> {
    let window = &buf[..buf.len().min(MAX_LINE)];
    let mut size = 0u64;
    let mut digits = 0;
    for byte in window {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => break,
        };
        digits += 1;
        if digits > 16 {
            return Err(BodyError::ChunkSizeOverflow);
        }
        size = size << 4 | u64::from(digit);
    }
    let end = match extensions_end(window, digits)? {
        Some(end) => end,
        None if window.len() == MAX_LINE => return Err(BodyError::ExtensionsTooLong),
        None => return Ok(None),
    };
    match window.get(end + 1) {
        Some(b'\n') => Ok(Some(ChunkLine { size, len: end + 2, extensions: end - digits })),
        Some(_) => Err(BodyError::ChunkLineEnd),
        None if window.len() == MAX_LINE => Err(BodyError::ExtensionsTooLong),
        None => Ok(None),
    }
}

/// Where the CR stands that ends the line.
fn extensions_end(line: &[u8], digits: usize) -> Result<Option<usize>, BodyError> {
    let mut in_extension = false;
    for (at, byte) in line.iter().enumerate().skip(digits) {
        match byte {
            _ if digits == 0 => return Err(BodyError::ChunkSize),
            b'\r' if in_extension || at == digits => return Ok(Some(at)),
            b'\n' => return Err(BodyError::ChunkLineEnd),
            b';' => in_extension = true,
            // Whitespace may stand before the semicolon of an extension, and nowhere else ("BWS").
            b' ' | b'\t' => {}
            0x21..=0x7e | 0x80.. if in_extension => {}
            // A line such as "5 \r\n", "0x5" or "5 5".
            _ if in_extension => return Err(BodyError::ChunkExtension),
            _ => return Err(BodyError::ChunkSize),
        }
    }
    Ok(None)
}
