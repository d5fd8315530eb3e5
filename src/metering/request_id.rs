//! The id of a call: the client's own `x-request-id` where it is sane, else one that sorts by time.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::random;

/// Longest id that is taken over from a client.
const MAX_LENGTH: usize = 128;

/// Crockford's base 32, as ULIDs use it.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The id of a call, and when it was given: make it as soon as the call is accepted.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId {
    text: Text,
    at: SystemTime,
}

#[derive(Clone, PartialEq, Eq)]
enum Text {
    Own([u8; 26]),
    Client(Box<str>),
}

impl RequestId {
    /// A new id: a ULID, that is 48 bits of milliseconds and 80 random bits in 26 characters. Sorts by time.
    pub fn new() -> Self {
        let at = SystemTime::now();
        let millis = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let mut bits = (millis << 80) | (u128::from(random::next() & 0xffff) << 64) | u128::from(random::next());
        let mut text = [b'0'; 26];
        for digit in text.iter_mut().rev() {
            *digit = DIGITS[(bits & 31) as usize];
            bits >>= 5;
        }
        Self { text: Text::Own(text), at }
    }

    /// The client's `x-request-id` when it is 1 to 128 visible ASCII characters, else a new one.
    pub fn from_client(header: Option<&[u8]>) -> Self {
        let sane = header
            .filter(|id| (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic))
            .and_then(|id| std::str::from_utf8(id).ok());
        match sane {
            Some(id) => Self { text: Text::Client(id.into()), at: SystemTime::now() },
            None => Self::new(),
        }
    }

    /// The id as it is sent and logged.
    pub fn as_str(&self) -> &str {
        match &self.text {
            // The digits are ASCII; the empty string cannot come up.
            Text::Own(text) => std::str::from_utf8(text).unwrap_or_default(),
            Text::Client(text) => text,
        }
    }

    /// When the id was given: the wall-clock time of the call.
    pub(super) fn at(&self) -> SystemTime {
        self.at
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_ids_are_unique_sort_by_time_and_hold_it() {
        let first = RequestId::new();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let second = RequestId::new();
        assert!(first.as_str() < second.as_str());
        assert_eq!(first.as_str().len(), 26);
        let millis = first
            .as_str()
            .bytes()
            .take(10)
            .fold(0u64, |n, digit| n << 5 | DIGITS.iter().position(|known| *known == digit).unwrap() as u64);
        let at = first.at().duration_since(UNIX_EPOCH).unwrap().as_millis();
        assert_eq!(u128::from(millis), at);
        let many: std::collections::BTreeSet<_> = (0..10_000).map(|_| RequestId::new().to_string()).collect();
        assert_eq!(many.len(), 10_000);
    }

    #[test]
    fn a_client_s_id_is_taken_only_when_it_is_sane() {
        assert_eq!(RequestId::from_client(Some(b"abc-123")).as_str(), "abc-123");
        assert_eq!(RequestId::from_client(Some(&[b'x'; 128])).as_str().len(), 128);
        for bad in [&b""[..], b"a b", b"a\nb", b"\xc3\xa9", b"a\"\x7f", &[b'x'; 129]] {
            assert_eq!(RequestId::from_client(Some(bad)).as_str().len(), 26, "{bad:?}");
        }
        assert_eq!(RequestId::from_client(None).as_str().len(), 26);
    }
}
