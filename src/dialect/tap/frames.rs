//! A response in the binary framing of AWS event streams (`application/vnd.amazon.eventstream`): each message has a
//! length, headers that name its kind, and a payload of JSON.
//!
//! Format: the "Amazon Event Stream Specification" of Smithy. A message that does not fit its own lengths or checksums
//! ends the reading: what it says, and what follows, may be anything. The client gets all bytes as they came.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem::Finder;

use super::super::native::Family;
use super::super::{DialectId, Operation, json};
use super::Seen;

/// Longest message that is read; a longer one is passed over.
const MAX_MESSAGE: usize = 1024 * 1024;
/// Two lengths and their checksum.
const PRELUDE: usize = 12;
/// Checksum of the message.
const TRAILER: usize = 4;
/// Room for an unfinished message that is kept between messages.
const KEEP_CAPACITY: usize = 16 * 1024;
const TEXT: u8 = 7;

/// Reads one event stream.
#[derive(Debug)]
pub(super) struct Frames {
    family: Family,
    operation: Operation,
    /// An unfinished message.
    carry: Vec<u8>,
    /// Bytes left of one that is passed over.
    skip: usize,
    unreadable: bool,
    worth: [Finder<'static>; 3],
}

impl Frames {
    pub(super) fn new(family: Family, operation: Operation) -> Self {
        let worth = ["usage", "amazon-bedrock-invocationMetrics", "rror"].map(Finder::new);
        Self { family, operation, carry: Vec::new(), skip: 0, unreadable: false, worth }
    }

    /// Whether a message has begun and not ended.
    pub(super) fn mid_event(&self) -> bool {
        !self.carry.is_empty() || self.skip > 0
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], seen: &mut Seen) {
        while !bytes.is_empty() && !self.unreadable {
            if self.skip > 0 {
                let passed = self.skip.min(bytes.len());
                self.skip -= passed;
                bytes = &bytes[passed..];
            } else if self.carry.is_empty() && bytes.len() >= PRELUDE {
                // The common case: the whole message stands in one chunk.
                match self.length(bytes, seen) {
                    Some(length) if length <= bytes.len() => {
                        self.message(&bytes[..length], seen);
                        bytes = &bytes[length..];
                    }
                    Some(_) => {
                        self.carry.extend_from_slice(bytes);
                        return;
                    }
                    None => {}
                }
            } else {
                bytes = self.goes_on(bytes, seen);
            }
        }
    }

    /// More of a message that is not complete; what is left after it.
    fn goes_on<'a>(&mut self, bytes: &'a [u8], seen: &mut Seen) -> &'a [u8] {
        let take = PRELUDE.saturating_sub(self.carry.len()).min(bytes.len());
        self.carry.extend_from_slice(&bytes[..take]);
        let bytes = &bytes[take..];
        if self.carry.len() < PRELUDE {
            return bytes;
        }
        let carry = std::mem::take(&mut self.carry);
        let Some(length) = self.length(&carry, seen) else {
            // To be passed over: the prelude was.
            self.skip = self.skip.saturating_sub(carry.len());
            return bytes;
        };
        self.carry = carry;
        let take = length.saturating_sub(self.carry.len()).min(bytes.len());
        self.carry.extend_from_slice(&bytes[..take]);
        if self.carry.len() == length {
            let mut message = std::mem::take(&mut self.carry);
            self.message(&message, seen);
            message.clear();
            message.shrink_to(KEEP_CAPACITY);
            self.carry = message;
        }
        &bytes[take..]
    }

    /// The length of the message that starts here; `None` where it is none, or passed over.
    fn length(&mut self, bytes: &[u8], seen: &mut Seen) -> Option<usize> {
        let number = |at: usize| -> Option<usize> {
            let four = bytes.get(at..at + 4)?;
            usize::try_from(u32::from_be_bytes(four.try_into().ok()?)).ok()
        };
        let (Some(length), Some(headers)) = (number(0), number(4)) else {
            self.unreadable = true;
            return None;
        };
        let fits = length.checked_sub(PRELUDE + TRAILER).is_some_and(|room| headers <= room);
        if !fits || !checks(bytes.get(..PRELUDE).unwrap_or_default()) {
            self.unreadable = true;
            return None;
        }
        if length > MAX_MESSAGE {
            self.skip = length;
            seen.content = true;
            return None;
        }
        Some(length)
    }

    fn message(&mut self, message: &[u8], seen: &mut Seen) {
        if !checks(message) {
            self.unreadable = true;
            return;
        }
        let Some(headers) = message.get(4..8).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes) else {
            return;
        };
        let end = PRELUDE + usize::try_from(headers).unwrap_or(usize::MAX - PRELUDE);
        let (Some(headers), Some(payload)) =
            (message.get(PRELUDE..end), message.get(end..message.len().saturating_sub(TRAILER)))
        else {
            return;
        };
        let kind = Kind::read(headers);
        if kind.is_failure() {
            seen.note_error(DialectId::Opaque, &kind.error(payload));
            return;
        }
        match self.family {
            // The model's own event, wrapped.
            Family::Assorted => {
                let wrapped = json::field(payload, "bytes").and_then(json::text);
                let Some(data) = wrapped.and_then(|text| STANDARD.decode(text.as_bytes()).ok()) else { return };
                if !seen.content || self.worth.iter().any(|word| word.find(&data).is_some()) {
                    seen.event(|seen| self.family.read_data(self.operation, b"", &data, seen));
                } else {
                    seen.contents += 1;
                }
            }
            family if !seen.content || kind.event == b"metadata" => {
                seen.event(|seen| family.read_data(self.operation, kind.event, payload, seen));
            }
            _ => seen.contents += u64::from(kind.event == b"contentBlockDelta"),
        }
    }
}

/// Whether the CRC-32 that these bytes end with is that of the bytes before it.
fn checks(bytes: &[u8]) -> bool {
    bytes.split_last_chunk::<4>().is_some_and(|(said, sum)| crc32fast::hash(said).to_be_bytes() == *sum)
}

/// What the headers of a message say.
#[derive(Debug, Default)]
struct Kind<'a> {
    message: &'a [u8],
    event: &'a [u8],
    /// The name of an exception, or the code of an error.
    failure: &'a [u8],
    words: &'a [u8],
}

impl<'a> Kind<'a> {
    fn read(mut headers: &'a [u8]) -> Self {
        let mut kind = Self::default();
        while let Some((name, value, rest)) = header(headers) {
            match name {
                b":message-type" => kind.message = value,
                b":event-type" => kind.event = value,
                b":exception-type" | b":error-code" => kind.failure = value,
                b":error-message" => kind.words = value,
                _ => {}
            }
            headers = rest;
        }
        kind
    }

    fn is_failure(&self) -> bool {
        matches!(self.message, b"exception" | b"error")
    }

    /// The failure as JSON. An exception's words stand in its payload.
    fn error(&self, payload: &[u8]) -> Vec<u8> {
        let quoted = |text: &[u8]| serde_json::Value::from(String::from_utf8_lossy(text)).to_string();
        let words = match json::field(payload, "message") {
            Some(message) => message.to_vec(),
            None => quoted(self.words).into_bytes(),
        };
        [b"{\"code\":", quoted(self.failure).as_bytes(), b",\"message\":", &words, b"}"].concat()
    }
}

/// The first header: its name, its text (empty where it is none), and what follows.
fn header(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(length.into())?;
    let (&kind, rest) = rest.split_first()?;
    let fixed = match kind {
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        9 => 16,
        6 | TEXT => {
            let (length, rest) = rest.split_first_chunk()?;
            let (value, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
            return Some((name, if kind == TEXT { value } else { b"" }, rest));
        }
        _ => return None,
    };
    let (_, rest) = rest.split_at_checked(fixed)?;
    Some((name, b"", rest))
}
