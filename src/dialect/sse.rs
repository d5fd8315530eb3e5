//! Server-sent events: where an event ends, and what it says (WHATWG HTML, "Server-sent events").
//!
//! Lines end with LF, CRLF or CR. Knows nothing of JSON. Start with [`Framer`], then [`Block`].

use std::borrow::Cow;

/// Finds the ends of events in a stream that arrives in pieces. Holds no bytes.
///
/// An event ends with an empty line. Where that line ends with CR at the very end of a piece, the LF that may follow
/// in the next piece still belongs to it: see [`Framer::late_lf`].
#[derive(Debug)]
pub(super) struct Framer {
    /// The next byte is the first of a line.
    at_line_start: bool,
    /// The last byte was a CR that ended a line.
    after_cr: bool,
}

impl Framer {
    pub(super) fn new() -> Self {
        Self { at_line_start: true, after_cr: false }
    }

    /// To be called with each new piece first: 1 when it starts with the LF of a line end whose CR came before.
    pub(super) fn late_lf(&mut self, piece: &[u8]) -> usize {
        match piece.first() {
            None => 0,
            Some(first) => usize::from(std::mem::take(&mut self.after_cr) && *first == b'\n'),
        }
    }

    /// How many bytes of `bytes` are left of the current event, its empty line included. `None`: it goes on.
    pub(super) fn event_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let was_empty = self.at_line_start;
            let n = memchr::memchr2(b'\n', b'\r', &bytes[at..]);
            let Some(n) = n else {
                self.at_line_start = was_empty && at == bytes.len();
                return None;
            };
            let end = at + n;
            at = end + 1;
            if bytes[end] == b'\r' {
                match bytes.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            self.at_line_start = true;
            if was_empty && n == 0 {
                return Some(at);
            }
        }
    }
}

/// What one event says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// The last `event` field; empty where there is none.
    pub(super) name: &'a [u8],
    /// The `data` fields, joined by LF; `None` where there is none (a comment, a ping without data).
    pub(super) data: Option<Cow<'a, [u8]>>,
}

impl<'a> Block<'a> {
    /// Reads the lines of one event; a byte order mark before them is skipped.
    pub(super) fn parse(event: &'a [u8]) -> Self {
        let mut block = Self { name: b"", data: None };
        let event = event.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(event);
        for line in Lines(event) {
            let (field, value) = split_field(line);
            match field {
                b"event" => block.name = value,
                b"data" => match &mut block.data {
                    None => block.data = Some(Cow::Borrowed(value)),
                    Some(data) => {
                        let data = data.to_mut();
                        data.push(b'\n');
                        data.extend_from_slice(value);
                    }
                },
                _ => {}
            }
        }
        block
    }
}

/// `field: value`, one space after the colon left out; a line without a colon is a field with no value.
fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b':', line) {
        None => (line, b""),
        Some(colon) => {
            let value = &line[colon + 1..];
            (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
        }
    }
}

/// Lines without their ends.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr::memchr2(b'\n', b'\r', self.0).unwrap_or(self.0.len());
        let line = &self.0[..end];
        let crlf = self.0[end..].starts_with(b"\r\n");
        let next = (end + 1 + usize::from(crlf)).min(self.0.len());
        self.0 = &self.0[next..];
        Some(line)
    }
}
