//! What a parser makes of the bytes of a connection, as one line of text, so that two parsers can be compared.
//!
//! Messages stand as `METHOD target [body]`, one after the other (of long bodies the size only), then how it ended: nothing when the connection may
//! go on, `closes` when it may not, `waits` when bytes are missing, `refuses` when it was refused. `; ` in between.

use std::io::Cursor;

use bytes::BytesMut;
use faregate::http1::{BodyDecoder, Decoded, keeps_alive, parse_request, request_framing};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::v1::server::HttpSession;
use pingora_error::ErrorType;

use crate::LIMIT;
use crate::corpus::Fault;

/// What was read so far, and how it ended.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Reading {
    parts: Vec<String>,
    pub fault: Option<Fault>,
}

impl Reading {
    fn message(&mut self, method: &str, target: &[u8], body: &[u8]) {
        let body = match body.len() {
            0..=40 => body.escape_ascii().to_string(),
            long => format!("{long} bytes"),
        };
        self.parts.push(format!("{method} {} [{body}]", target.escape_ascii()));
    }

    fn end(mut self, how: &str) -> Self {
        self.parts.push(how.to_owned());
        self
    }

    fn refused(mut self, fault: impl Into<Fault>) -> Self {
        self.fault = Some(fault.into());
        self.end("refuses")
    }

    pub fn text(&self) -> String {
        self.parts.join("; ")
    }
}

/// Reads with our codec, given the bytes in these pieces.
pub fn ours<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Reading {
    let mut reading = Reading::default();
    let mut buf = BytesMut::new();
    let mut pieces = pieces.into_iter();
    loop {
        let head = loop {
            match parse_request(&mut buf, LIMIT) {
                Err(error) => return reading.refused(error),
                Ok(Some(head)) => break head,
                Ok(None) => match pieces.next() {
                    Some(piece) => buf.extend_from_slice(piece),
                    None if buf.is_empty() => return reading,
                    None => return reading.end("waits"),
                },
            }
        };
        let framing = match request_framing(&head) {
            Err(error) => return reading.refused(error),
            Ok(framing) => framing,
        };
        let mut decoder = BodyDecoder::new(framing);
        let mut body = Vec::new();
        loop {
            match decoder.decode(&mut buf) {
                Err(error) => return reading.refused(error),
                Ok(Decoded::Done) => break,
                Ok(Decoded::Data(data)) => body.extend_from_slice(&data),
                Ok(Decoded::NeedMore) => match pieces.next() {
                    Some(piece) => buf.extend_from_slice(piece),
                    None => return reading.end("waits"),
                },
            }
        }
        reading.message(head.method.as_str(), head.target().as_bytes(), &body);
        if !keeps_alive(head.version, &head.headers) {
            return reading.end("closes");
        }
    }
}

/// Reads with Pingora's HTTP/1 server session.
pub async fn pingora(bytes: &[u8]) -> Reading {
    let mut reading = Reading::default();
    let mut stream: Stream = Box::new(Cursor::new(bytes.to_vec()));
    let mut prefix = None;
    loop {
        let mut session = HttpSession::new(stream);
        session.set_pipelining_enabled(true);
        if let Some(prefix) = prefix {
            session.set_pipelined_prefix(prefix);
        }
        match session.read_request().await {
            Err(error) => return reading.end(how(&error)),
            Ok(None) => return reading,
            Ok(Some(_)) => {}
        }
        let mut body = Vec::new();
        loop {
            match session.read_body_bytes().await {
                Err(error) => return reading.end(how(&error)),
                Ok(Some(data)) => body.extend_from_slice(&data),
                Ok(None) => break,
            }
        }
        let head = session.req_header();
        reading.message(head.method.as_str(), head.raw_path(), &body);
        match session.reuse().await {
            Ok(Some(reusable)) => (stream, prefix) = reusable.into_parts(),
            Ok(None) => return reading.end("closes"),
            Err(error) => return reading.end(how(&error)),
        }
    }
}

fn how(error: &pingora_error::Error) -> &'static str {
    if *error.etype() == ErrorType::ConnectionClosed { "waits" } else { "refuses" }
}
