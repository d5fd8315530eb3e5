//! Just enough HTTP/1.1 for tests, independent of the code under test: heads and chunked bodies, blocking.

use std::io::{self, Read};

/// A request's or response's head, as it came.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// All bytes, the empty line included.
    pub raw: Vec<u8>,
    /// First line.
    pub line: String,
    /// Names as they came, values trimmed.
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub fn parse(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw);
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .take_while(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header line: {line:?}"));
                (name.to_owned(), value.trim().to_owned())
            })
            .collect();
        Self { raw: raw.to_vec(), line, headers }
    }

    /// The only value of a header.
    #[track_caller]
    pub fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} came {} times: {all:?}", all.len());
        all.first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// What the framing headers say of the body.
    pub fn length(&self) -> Length {
        if self.all("transfer-encoding").iter().any(|te| te.eq_ignore_ascii_case("chunked")) {
            return Length::Chunked;
        }
        self.get("content-length").map_or(Length::Unsaid, |n| Length::Known(n.parse().unwrap()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Known(usize),
    Chunked,
    Unsaid,
}

/// A readable stream with what was read ahead.
pub struct Input<R> {
    pub io: R,
    pub ahead: Vec<u8>,
}

impl<R: Read> Input<R> {
    pub fn new(io: R) -> Self {
        Self { io, ahead: Vec::new() }
    }

    /// Reads once more; 0 is the end.
    pub fn fill(&mut self) -> io::Result<usize> {
        let mut scratch = [0; 64 * 1024];
        let n = self.io.read(&mut scratch)?;
        self.ahead.extend_from_slice(&scratch[..n]);
        Ok(n)
    }

    /// The next head; `None` when the stream ended before it began.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(at) = find(&self.ahead, b"\r\n\r\n") {
                let raw: Vec<u8> = self.ahead.drain(..at + 4).collect();
                return Ok(Some(Head::parse(&raw)));
            }
            if self.fill()? == 0 {
                return if self.ahead.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// Exactly `n` bytes; fewer when the stream ends.
    pub fn take(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < n && self.fill()? > 0 {}
        let n = n.min(self.ahead.len());
        Ok(self.ahead.drain(..n).collect())
    }

    /// Everything up to the end of the stream.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.ahead))
    }

    /// A line without its end.
    pub fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.ahead, b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The data of the next chunk; `None` after the last one, with its trailer lines.
    pub fn chunk(&mut self, trailers: &mut Vec<String>) -> io::Result<Option<Vec<u8>>> {
        let line = self.line()?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16)
            .map_err(|_| io::Error::other(format!("no chunk size: {line:?}")))?;
        if size == 0 {
            loop {
                match self.line()? {
                    line if line.is_empty() => return Ok(None),
                    line => trailers.push(line),
                }
            }
        }
        let data = self.take(size)?;
        let end = self.take(2)?;
        if data.len() < size || end != b"\r\n" {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(data))
    }
}

/// A whole chunked body without its framing.
pub fn decode_chunked(bytes: &[u8]) -> Vec<u8> {
    let mut input = Input::new(bytes);
    let mut whole = Vec::new();
    while let Some(chunk) = input.chunk(&mut Vec::new()).unwrap() {
        whole.extend(chunk);
    }
    whole
}

pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
