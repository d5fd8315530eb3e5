//! The request target: its four forms, and which bytes it may hold (RFC 9112 section 3.2).

use bytes::Bytes;
use http::Method;

use super::authority::{Authority, is_reg_name_byte};
use super::error::HeadError;

/// The forms of RFC 9112 sections 3.2.1 to 3.2.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Origin,
    Absolute,
    Authority,
    Asterisk,
}

/// A target and where its path stands in it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    text: Bytes,
    form: Form,
    /// The path is `text[path_start..path_end]`; behind its end stand `?` and the query, or nothing.
    path_start: u32,
    path_end: u32,
}

impl Target {
    /// Finds the parts of a target without judging it.
    pub(super) fn new(text: Bytes) -> Self {
        let (form, start) = match text.first() {
            Some(b'/') => (Form::Origin, 0),
            Some(b'*') if text.len() == 1 => (Form::Asterisk, 0),
            _ => match authority_start(&text) {
                Some(start) => (Form::Absolute, start + authority_len(&text[start..])),
                None => (Form::Authority, text.len()),
            },
        };
        let end = memchr::memchr(b'?', &text[start..]).map_or(text.len(), |at| start + at);
        Self { text, form, path_start: start as u32, path_end: end as u32 }
    }

    /// Checks the target of a request that was parsed.
    pub(super) fn check(&self, method: &Method) -> Result<(), HeadError> {
        match self.form {
            Form::Origin if *method != Method::CONNECT => self.check_bytes(),
            Form::Asterisk if *method == Method::OPTIONS => Ok(()),
            Form::Absolute if *method != Method::CONNECT => {
                let authority = self.authority().ok_or(HeadError::Target)?;
                Authority::parse(authority).ok_or(HeadError::Target)?;
                self.check_bytes()
            }
            Form::Authority if *method == Method::CONNECT => {
                let authority = Authority::parse(&self.text).ok_or(HeadError::Target)?;
                // RFC 9112 section 3.2.3: host and port, both.
                if authority.port.is_some() { Ok(()) } else { Err(HeadError::Target) }
            }
            Form::Authority if self.text.contains(&b'#') => Err(HeadError::Fragment),
            _ => Err(HeadError::TargetForm),
        }
    }

    /// The authority of an absolute-form target, and only of that.
    pub(super) fn authority(&self) -> Option<&[u8]> {
        if self.form != Form::Absolute {
            return None;
        }
        authority_start(&self.text).and_then(|start| self.text.get(start..self.path_start as usize))
    }

    /// The port that the scheme of an absolute-form target stands for.
    pub(super) fn default_port(&self) -> u16 {
        if self.text.get(4).is_some_and(|b| b.eq_ignore_ascii_case(&b's')) { 443 } else { 80 }
    }

    fn check_bytes(&self) -> Result<(), HeadError> {
        let path = &self.text[self.path_start as usize..self.path_end as usize];
        let query = &self.text[self.path_end as usize..];
        let refuse = |b: u8| if b == b'#' { HeadError::Fragment } else { HeadError::Target };
        if let Some(bad) = path.iter().find(|b| TABLE[**b as usize] & PATH == 0) {
            return Err(refuse(*bad));
        }
        if let Some(bad) = query.iter().find(|b| TABLE[**b as usize] & QUERY == 0) {
            return Err(refuse(*bad));
        }
        // RFC 3986 section 2.1: a percent sign begins two hex digits. In a query, browsers' URL parsers let others by.
        for at in memchr::memchr_iter(b'%', path) {
            if !matches!(path.get(at + 1..at + 3), Some(hex) if hex.iter().all(u8::is_ascii_hexdigit)) {
                return Err(HeadError::Target);
            }
        }
        Ok(())
    }

    pub(super) fn as_str(&self) -> &str {
        text(&self.text)
    }

    pub(super) fn path(&self) -> &str {
        let path = text(&self.text[self.path_start as usize..self.path_end as usize]);
        if path.is_empty() && self.form == Form::Absolute { "/" } else { path }
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.text.get(self.path_end as usize + 1..).filter(|_| self.form != Form::Authority).map(text)
    }
}

fn text(bytes: &[u8]) -> &str {
    // Targets that were parsed are ASCII; others began as `&str` and are cut at ASCII bytes.
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Where the authority begins in `http://..` or `https://..` (schemes are case-insensitive); `None` for anything else.
fn authority_start(target: &[u8]) -> Option<usize> {
    [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)))
        .map(<[u8]>::len)
}

fn authority_len(rest: &[u8]) -> usize {
    memchr::memchr3(b'/', b'?', b'#', rest).unwrap_or(rest.len())
}

const PATH: u8 = 1;
const QUERY: u8 = 2;

/// Which bytes may stand in a path and in a query: RFC 3986 section 3.3 and 3.4, and beyond it what the WHATWG URL
/// parser, thus every browser and `fetch`, sends unescaped. Never whitespace, controls, `"`, `<`, `>`, `#` or
/// anything beyond ASCII; no backslash in a path, which some servers take for a slash.
static TABLE: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        if is_reg_name_byte(byte) || matches!(byte, b'/' | b':' | b'@' | b'[' | b']' | b'|') {
            table[b] = PATH | QUERY;
        } else if matches!(byte, b'?' | b'\\' | b'^' | b'`' | b'{' | b'}') {
            table[b] = QUERY;
        }
        b += 1;
    }
    table
};
