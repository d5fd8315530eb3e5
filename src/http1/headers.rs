//! The field lines of a head: spans into the bytes that were read. One allocation: a list kept
//! inside the head would be copied with it at each of its steps through a call.

use std::fmt;

use bytes::Bytes;

use super::write::write_header;

/// Where a name or value stands in the block. 32 bits: heads are limited to far less than 4 GiB.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    fn of(part: &[u8], block: &[u8]) -> Self {
        // `part` is always a slice of `block`; addresses are compared because the tokenizer returns slices.
        let start = (part.as_ptr() as usize).saturating_sub(block.as_ptr() as usize);
        Self { start: start as u32, len: part.len() as u32 }
    }

    fn within(self, block: &[u8]) -> &[u8] {
        let start = self.start as usize;
        block.get(start..start + self.len as usize).unwrap_or_default()
    }
}

/// Facts about the few fields that framing and connection handling ask for on every message, found while the head is
/// parsed, so that asking costs a bit test where the field is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen(u8);

impl Seen {
    pub(super) const HOST: Self = Self(1);
    pub(super) const EXPECT: Self = Self(1 << 1);
    pub(super) const CONTENT_LENGTH: Self = Self(1 << 2);
    pub(super) const TRANSFER_ENCODING: Self = Self(1 << 3);
    /// `Connection: close`.
    pub(super) const CLOSE: Self = Self(1 << 4);
    /// `Connection: keep-alive`.
    pub(super) const KEEP_ALIVE: Self = Self(1 << 5);
    /// A Connection field names something else: a field to drop.
    pub(super) const NOMINATES: Self = Self(1 << 6);
    pub(super) const SEVERAL_LENGTHS: Self = Self(1 << 7);

    fn note(&mut self, name: &[u8], value: &[u8]) {
        let bit = match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => Self::HOST,
            6 if name.eq_ignore_ascii_case(b"expect") => Self::EXPECT,
            10 if name.eq_ignore_ascii_case(b"connection") => return self.note_connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.0 & Self::CONTENT_LENGTH.0 == 0 {
                    Self::CONTENT_LENGTH
                } else {
                    Self::SEVERAL_LENGTHS
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => Self::TRANSFER_ENCODING,
            _ => return,
        };
        self.0 |= bit.0;
    }

    fn note_connection(&mut self, value: &[u8]) {
        for option in list(value) {
            let bit = if option.eq_ignore_ascii_case(b"close") {
                Self::CLOSE
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                Self::KEEP_ALIVE
            } else {
                Self::NOMINATES
            };
            self.0 |= bit.0;
        }
    }
}

/// The header (or trailer) fields of one message, in the order and spelling received.
#[derive(Clone, Default)]
pub struct Headers {
    block: Bytes,
    fields: Vec<(Span, Span)>,
    seen: Seen,
    /// The block is that of a parsed head: each field stands in a line of its own.
    in_lines: bool,
}

impl Headers {
    /// All fields: name as received, value without surrounding whitespace.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.within(&self.block), value.within(&self.block)))
    }

    /// Appends the lines of the fields that are to be kept, their line ends included: those of a parsed head byte for
    /// byte as they came, and in one piece where they stand one after the other.
    pub fn write_kept(&self, out: &mut Vec<u8>, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let mut run = 0..0;
        for (name, value) in &self.fields {
            let (field, text) = (name.within(&self.block), value.within(&self.block));
            if !keep(field, text) {
                continue;
            }
            if !self.in_lines {
                write_header(out, field, text);
                continue;
            }
            let after = (value.start + value.len) as usize;
            let rest = self.block.get(after..).unwrap_or_default();
            // White space may follow the value, and the line's end does.
            let end = after + rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
            let start = name.start as usize;
            if run.end != start {
                out.extend_from_slice(self.block.get(run).unwrap_or_default());
                run = start..end;
            }
            run.end = end;
        }
        out.extend_from_slice(self.block.get(run).unwrap_or_default());
    }

    /// The value of the first field called `name` (ASCII case-insensitive).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v)
    }

    /// The values of all fields called `name` (ASCII case-insensitive), in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v)
    }

    /// Number of field lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// True when there is no field at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Builds a field list from pairs that are known to be valid (an HTTP/2 head, a test). Values are copied.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut block = Vec::with_capacity(512);
        let mut list = FieldList::default();
        for (name, value) in pairs {
            let start = block.len() as u32;
            block.extend_from_slice(name);
            block.extend_from_slice(value);
            let (name_len, value_len) = (name.len() as u32, value.len() as u32);
            list.fields.push((Span { start, len: name_len }, Span { start: start + name_len, len: value_len }));
            list.seen.note(name, value);
        }
        Self { in_lines: false, ..list.over(block.into()) }
    }

    pub(super) fn seen(&self, what: Seen) -> bool {
        self.seen.0 & what.0 != 0
    }
}

/// Names only: values may be credentials, and this ends up in logs.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| String::from_utf8_lossy(name))).finish()
    }
}

/// Fields found in a block that is still borrowed; becomes [`Headers`] once the block is split off the read buffer.
#[derive(Default)]
pub(super) struct FieldList {
    fields: Vec<(Span, Span)>,
    seen: Seen,
}

impl FieldList {
    /// Notes the tokenizer's fields, all of them slices of `block`. Returns false when one of the lines (or the
    /// empty line that ends the block) does not end in CRLF: the tokenizer accepts a bare LF.
    pub(super) fn read(&mut self, block: &[u8], fields: &[httparse::Header<'_>]) -> bool {
        self.fields.reserve_exact(fields.len());
        let mut crlf = block.ends_with(b"\r\n\r\n") || block == b"\r\n";
        for field in fields {
            let name = Span::of(field.name.as_bytes(), block);
            // The name begins its line, so what stands before it ends the line above.
            crlf &= name.start == 0 || block[..name.start as usize].ends_with(b"\r\n");
            self.seen.note(field.name.as_bytes(), field.value);
            self.fields.push((name, Span::of(field.value, block)));
        }
        crlf
    }

    pub(super) fn retain(&mut self, block: &[u8], mut keep: impl FnMut(&[u8]) -> bool) {
        self.fields.retain(|(name, _)| keep(name.within(block)));
    }

    pub(super) fn over(self, block: Bytes) -> Headers {
        Headers { block, fields: self.fields, seen: self.seen, in_lines: true }
    }
}

/// The elements of a comma-separated list, trimmed, empty ones left out (RFC 9110 section 5.6.1).
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|e| !e.is_empty())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::parse_request;
    use super::*;

    fn kept(headers: &Headers, without: &str) -> String {
        let mut out = b"before: 1\r\n".to_vec();
        headers.write_kept(&mut out, |name, _| !name.eq_ignore_ascii_case(without.as_bytes()));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_that_are_kept_stay_as_they_came() {
        let lines =
            ["Host: a\r\n", "X-Tight:1\r\n", "x-wide: \t 2 \t\r\n", "X-Empty:\r\n", "x-blank: \r\n", "x-last: 3\r\n"];
        let raw = format!("GET / HTTP/1.1\r\n{}\r\n", lines.concat());
        let head = parse_request(&mut BytesMut::from(raw.as_bytes()), 1024).unwrap().unwrap();
        for (name, line) in
            ["host", "x-tight", "x-wide", "x-empty", "x-blank", "x-last", "none"].iter().zip(lines.iter().chain([&""]))
        {
            let rest: String = lines.iter().filter(|other| *other != line).copied().collect();
            assert_eq!(kept(&head.headers, name), format!("before: 1\r\n{rest}"), "without {name}");
        }
    }

    #[test]
    fn fields_that_never_were_lines_become_some() {
        let headers = Headers::from_pairs([(&b"a"[..], &b"1"[..]), (b"b", b""), (b"c", b"3")]);
        assert_eq!(kept(&headers, "none"), "before: 1\r\na: 1\r\nb: \r\nc: 3\r\n");
        assert_eq!(kept(&headers, "b"), "before: 1\r\na: 1\r\nc: 3\r\n");
    }
}
