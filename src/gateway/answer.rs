//! The head of an answer to the client, before it is known whether HTTP/1.1 or HTTP/2 carries it.

use bytes::Bytes;

use super::downstream::BodyLength;
use crate::http1;

/// Status, header lines and body length of an answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Complete header lines, `name: value\r\n` each; no framing or connection headers among them.
    pub lines: Vec<u8>,
    /// How much body follows.
    pub length: BodyLength,
    /// A `date` stands among the lines: none of ours is added.
    pub dated: bool,
}

impl Answer {
    /// An answer with these lengths and no headers yet.
    pub fn new(status: u16, length: BodyLength) -> Self {
        Self { status, lines: Vec::with_capacity(512), length, dated: false }
    }

    /// A whole JSON answer.
    pub fn json(status: u16, body: &Bytes) -> Self {
        let mut answer = Self::new(status, BodyLength::Known(body.len() as u64));
        answer.header("content-type", b"application/json");
        answer
    }

    /// Adds a header.
    pub fn header(&mut self, name: &str, value: &[u8]) {
        http1::write_header(&mut self.lines, name.as_bytes(), value);
    }

    /// Adds a header whose value may hold anything: control characters become `?`, so that no line is split.
    pub fn text_header(&mut self, name: &str, value: &str) {
        let from = self.lines.len() + name.len();
        self.header(name, value.as_bytes());
        let to = self.lines.len() - b"\r\n".len();
        for byte in &mut self.lines[from..to] {
            if byte.is_ascii_control() {
                *byte = b'?';
            }
        }
    }

    /// The header lines as pairs.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.split(|b| *b == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
    }
}
