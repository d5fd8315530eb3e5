//! JSON that arrives in pieces: picks a few members out of an object of any size, in bounded memory.
//!
//! Looks at the members of the outermost object and, where asked to, of objects right inside it. Trusts that brackets
//! match (what is read here was written by a provider and goes to the client unchanged); for a whole body in memory
//! see `json`.

use std::ops::Range;

use smallvec::{SmallVec, smallvec};

use super::json::{self, Members};

/// Longest value that is kept. A longer one counts as not seen.
pub(super) const MAX_VALUE: usize = 64 * 1024;
/// Longest key that can match.
const MAX_KEY: usize = 64;

/// What to pick.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picks {
    /// Keys whose values are kept.
    pub(super) keys: &'static [&'static str],
    /// Keys of the objects whose members are looked at like those of the outermost one.
    pub(super) inside: &'static [&'static str],
}

/// White space and the bytes of a byte order mark.
pub(super) fn may_precede(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0xEF | 0xBB | 0xBF)
}

/// Reads one JSON object piece by piece.
#[derive(Debug)]
pub(super) struct Walker {
    picks: Picks,
    mode: Mode,
    /// Brackets open.
    depth: u32,
    /// Depth of the object whose members are looked at: 1, or 2 inside `picks.inside`.
    level: u32,
    escaped: bool,
    key: Vec<u8>,
    /// The key whose value is being kept, and where in `values` it begins.
    capture: Option<(usize, usize)>,
    /// Values that were picked, one after the other.
    values: Vec<u8>,
    /// Where in `values` each key's stands.
    found: SmallVec<[Option<Range<usize>>; 13]>,
    /// Which keys were met, one bit each, whatever became of their values.
    met: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Before the outermost object.
    Start,
    /// Between members: a key, a comma or the closing bracket follows.
    Between,
    /// Inside a key.
    Key,
    /// After a key: a colon, then a value.
    Colon,
    /// Inside a value that is a string.
    Text,
    /// Inside a value that is a number or a word.
    Scalar,
    /// Inside a value that is an object or array.
    Nested,
    /// Inside a string of such a value.
    NestedText,
    /// After the outermost object.
    Complete,
    /// No JSON object.
    Unreadable,
}

impl Walker {
    pub(super) fn new(picks: Picks) -> Self {
        Self {
            picks,
            mode: Mode::Start,
            depth: 0,
            level: 1,
            escaped: false,
            // Grown once, and only for what comes in pieces.
            key: Vec::new(),
            capture: None,
            values: Vec::new(),
            found: smallvec![None; picks.keys.len()],
            met: 0,
        }
    }

    /// Whether nothing but white space was read yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.mode == Mode::Start
    }

    /// Whether the outermost object is complete.
    pub(super) fn is_complete(&self) -> bool {
        self.mode == Mode::Complete
    }

    /// Whether it met something that is no JSON object, and reads no further.
    pub(super) fn is_unreadable(&self) -> bool {
        self.mode == Mode::Unreadable
    }

    /// Whether `key` has a value, be it too long to be kept.
    pub(super) fn has(&self, key: &str) -> bool {
        self.picks.keys.iter().position(|k| *k == key).is_some_and(|index| self.met >> index & 1 == 1)
    }

    /// The last complete value of `key`.
    pub(super) fn value(&self, key: &str) -> Option<&[u8]> {
        let index = self.picks.keys.iter().position(|k| *k == key)?;
        self.values.get(self.found[index].clone()?)
    }

    /// Reads the next piece; how much of it belongs to the object.
    pub(super) fn feed(&mut self, piece: &[u8]) -> usize {
        if self.mode == Mode::Start
            && self.picks.inside.is_empty()
            && let Some(end) = self.whole(piece)
        {
            return end;
        }
        let mut bytes = piece;
        while !bytes.is_empty() {
            let used = match self.mode {
                Mode::Complete | Mode::Unreadable => break,
                Mode::Start => self.start(bytes[0]),
                Mode::Between => self.between(bytes[0]),
                Mode::Colon => self.colon(bytes[0]),
                Mode::Key | Mode::Text | Mode::NestedText => self.string(bytes),
                Mode::Scalar => self.scalar(bytes),
                Mode::Nested => self.nested(bytes),
            };
            bytes = &bytes[used..];
        }
        piece.len() - bytes.len()
    }

    /// Reads an object that is there in one piece, as most are, member by member; where it ends. `None` when it is not,
    /// or is not as it should be: then it is read as it comes.
    fn whole(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at: SmallVec<[Option<Range<usize>>; 13]> = smallvec![None; self.picks.keys.len()];
        let mut members = Members::open(bytes, 0).ok()?;
        while let Some(member) = members.next().ok()? {
            let Some(index) = self.picks.keys.iter().position(|key| key.as_bytes() == member.written_key()) else {
                continue;
            };
            self.met |= 1 << index;
            if member.span.len() <= MAX_VALUE {
                at[index] = Some(member.span);
            }
        }
        self.values.reserve_exact(at.iter().flatten().map(Range::len).sum());
        for (found, range) in self.found.iter_mut().zip(at) {
            let Some(value) = range.and_then(|range| bytes.get(range)) else { continue };
            let start = self.values.len();
            self.values.extend_from_slice(value);
            *found = Some(start..self.values.len());
        }
        self.mode = Mode::Complete;
        Some(members.end())
    }

    fn start(&mut self, byte: u8) -> usize {
        match byte {
            b'{' => self.open(),
            _ if may_precede(byte) => {}
            _ => self.mode = Mode::Unreadable,
        }
        1
    }

    fn open(&mut self) {
        self.depth += 1;
        self.mode = Mode::Between;
    }

    fn between(&mut self, byte: u8) -> usize {
        match byte {
            b'"' => {
                self.key.clear();
                self.key.reserve(MAX_KEY);
                self.mode = Mode::Key;
            }
            b'}' => self.close(),
            _ => {}
        }
        1
    }

    /// The object that is looked at ends.
    fn close(&mut self) {
        self.depth -= 1;
        self.level = 1;
        self.mode = if self.depth == 0 { Mode::Complete } else { Mode::Between };
    }

    fn colon(&mut self, byte: u8) -> usize {
        if matches!(byte, b':' | b' ' | b'\n' | b'\r' | b'\t') {
            return 1;
        }
        let enters = self.level == 1 && self.picks.inside.iter().any(|key| key.as_bytes() == self.key);
        if enters && byte == b'{' {
            self.level = 2;
            self.open();
            return 1;
        }
        let wanted = self.picks.keys.iter().position(|key| key.as_bytes() == self.key);
        self.met |= wanted.map_or(0, |index| 1 << index);
        self.capture = wanted.map(|index| (index, self.values.len()));
        match byte {
            b'"' => self.mode = Mode::Text,
            b'{' | b'[' => {
                self.depth += 1;
                self.mode = Mode::Nested;
            }
            _ => {
                self.mode = Mode::Scalar;
                return 0;
            }
        }
        self.keep(&[byte]);
        1
    }

    /// Inside any string: up to its quote, or as far as the piece goes.
    fn string(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if std::mem::take(&mut self.escaped) {
                at += 1;
                continue;
            }
            match memchr::memchr2(b'"', b'\\', &bytes[at..]) {
                None => at = bytes.len(),
                Some(n) if bytes[at + n] == b'\\' => {
                    self.escaped = true;
                    at += n + 1;
                }
                Some(n) => {
                    self.keep(&bytes[..at + n + 1]);
                    match self.mode {
                        Mode::Key => self.mode = Mode::Colon,
                        Mode::NestedText => self.mode = Mode::Nested,
                        _ => self.value_ends(),
                    }
                    return at + n + 1;
                }
            }
        }
        self.keep(bytes);
        bytes.len()
    }

    fn scalar(&mut self, bytes: &[u8]) -> usize {
        let end = bytes.iter().position(|b| matches!(b, b',' | b'}' | b' ' | b'\n' | b'\r' | b'\t'));
        self.keep(&bytes[..end.unwrap_or(bytes.len())]);
        if end.is_some() {
            self.value_ends();
        }
        end.unwrap_or(bytes.len())
    }

    fn nested(&mut self, bytes: &[u8]) -> usize {
        let Some(n) = json::structural(bytes) else {
            self.keep(bytes);
            return bytes.len();
        };
        self.keep(&bytes[..=n]);
        match bytes[n] {
            b'"' => self.mode = Mode::NestedText,
            b'{' | b'[' => self.depth += 1,
            _ => {
                self.depth -= 1;
                if self.depth == self.level {
                    self.value_ends();
                }
            }
        }
        n + 1
    }

    /// Keeps bytes of a key, or of a value that is wanted.
    fn keep(&mut self, bytes: &[u8]) {
        if self.mode == Mode::Key {
            let room = MAX_KEY - self.key.len().min(MAX_KEY);
            self.key.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if bytes.ends_with(b"\"") && self.key.ends_with(b"\"") {
                self.key.pop();
            }
        } else if let Some((_, start)) = self.capture {
            if self.values.len() - start + bytes.len() > MAX_VALUE {
                self.capture = None;
                self.values.truncate(start);
            } else {
                self.values.extend_from_slice(bytes);
            }
        }
    }

    fn value_ends(&mut self) {
        self.mode = Mode::Between;
        let Some((index, start)) = self.capture.take() else { return };
        if let Some(former) = self.found[index].replace(start..self.values.len()) {
            self.forget(former);
        }
    }

    /// Drops a value whose key was repeated, so that no body can make this grow.
    fn forget(&mut self, former: Range<usize>) {
        let gone = former.len();
        self.values.drain(former.clone());
        for range in self.found.iter_mut().flatten().filter(|range| range.start >= former.end) {
            *range = range.start - gone..range.end - gone;
        }
    }
}
