//! Heads and bodies of HTTP/1.1, and configuration files.

use bytes::BytesMut;
use faregate::config::{Surroundings, check};
use faregate::http1::{
    BodyDecoder, Decoded, Framing, parse_request, parse_response, request_framing, response_framing, write_chunk,
};
use http::Method;

use super::Choices;

const LIMIT: usize = 8 * 1024;

/// A connection's requests are read alike however they come, and never past their own bytes.
pub fn request(data: &[u8]) {
    let (choices, bytes) = Choices::take(data, 4);
    let run = |pieces: &[&[u8]]| {
        let mut told = Vec::new();
        let mut buf = BytesMut::new();
        let mut pieces = pieces.iter();
        'messages: loop {
            let head = loop {
                match parse_request(&mut buf, LIMIT) {
                    Err(_) => return (told, "refused"),
                    Ok(Some(head)) => break head,
                    Ok(None) => match pieces.next() {
                        Some(piece) => buf.extend_from_slice(piece),
                        None => return (told, "waits"),
                    },
                }
            };
            assert!(head.target().is_ascii());
            let Ok(framing) = request_framing(&head) else { return (told, "refused") };
            let mut decoder = BodyDecoder::new(framing);
            let mut body = Vec::new();
            loop {
                match decoder.decode(&mut buf) {
                    Err(_) => return (told, "refused in its body"),
                    Ok(Decoded::Data(data)) => {
                        assert!(!data.is_empty());
                        body.extend_from_slice(&data);
                    }
                    Ok(Decoded::Done) => {
                        let fields: usize = head.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
                        told.push((head.method.to_string(), head.target().to_owned(), fields, body));
                        continue 'messages;
                    }
                    Ok(Decoded::NeedMore) => match pieces.next() {
                        Some(piece) => buf.extend_from_slice(piece),
                        None => return (told, "waits in its body"),
                    },
                }
            }
        }
    };
    let whole = run(&[bytes]);
    let split = run(&choices.pieces(bytes));
    // How far over its limit a head is when it is refused may depend on splits; what was read before may not.
    assert_eq!(split.0, whole.0);
    if bytes.len() <= LIMIT {
        assert_eq!(split.1, whole.1);
    }
}

/// The same for a response to a request that the first byte chooses.
pub fn response(data: &[u8]) {
    let (choices, bytes) = Choices::take(data, 5);
    let method = [Method::POST, Method::GET, Method::HEAD, Method::CONNECT][choices.byte(4) % 4].clone();
    let run = |pieces: &[&[u8]]| {
        let mut buf = BytesMut::new();
        let mut pieces = pieces.iter();
        let head = loop {
            match parse_response(&mut buf, LIMIT) {
                Err(_) => return (0, Vec::new(), "refused"),
                Ok(Some(head)) => break head,
                Ok(None) => match pieces.next() {
                    Some(piece) => buf.extend_from_slice(piece),
                    None => return (0, Vec::new(), "waits"),
                },
            }
        };
        let Ok(framing) = response_framing(&head, &method) else { return (head.status, Vec::new(), "refused") };
        let mut decoder = BodyDecoder::new(framing);
        let mut body = Vec::new();
        loop {
            match decoder.decode(&mut buf) {
                Err(_) => return (head.status, Vec::new(), "refused in its body"),
                Ok(Decoded::Data(data)) => body.extend_from_slice(&data),
                Ok(Decoded::Done) => return (head.status, body, "whole"),
                Ok(Decoded::NeedMore) => match pieces.next() {
                    Some(piece) => buf.extend_from_slice(piece),
                    None => return (head.status, body, "waits in its body"),
                },
            }
        }
    };
    let (whole, split) = (run(&[bytes]), run(&choices.pieces(bytes)));
    if bytes.len() <= LIMIT {
        assert_eq!(split, whole);
    }
}

/// A chunked body is decoded alike however it comes; and what is written as chunks is read as it was.
pub fn chunked(data: &[u8]) {
    let (choices, bytes) = Choices::take(data, 4);
    let run = |pieces: &[&[u8]]| {
        let mut buf = BytesMut::new();
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        let mut body = Vec::new();
        for piece in pieces {
            buf.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut buf) {
                    Err(_) => return (body, "refused", Vec::new()),
                    Ok(Decoded::Data(data)) => body.extend_from_slice(&data),
                    Ok(Decoded::Done) => break,
                    Ok(Decoded::NeedMore) => break,
                }
            }
        }
        let over = matches!(decoder.decode(&mut buf), Ok(Decoded::Done));
        (body, if over { "whole" } else { "waits" }, if over { buf.to_vec() } else { Vec::new() })
    };
    assert_eq!(run(&choices.pieces(bytes)), run(&[bytes]));
    let mut written = Vec::new();
    for piece in choices.pieces(bytes) {
        write_chunk(&mut written, piece);
    }
    written.extend_from_slice(b"0\r\n\r\nnext");
    assert_eq!(run(&choices.pieces(&written)), (bytes.to_vec(), "whole", b"next".to_vec()));
}

/// Any text is checked, with a message for every fault; a configuration comes of it just when there is no error.
pub fn config(data: &[u8]) {
    let env = |_: &str| Some("value".to_owned());
    let surroundings = Surroundings { env: &env, files: false, elsewhere: true, ..Surroundings::process() };
    let checked = check(data, "fuzzed.yaml", &surroundings);
    // In YAML a carriage return ends a line, too (YAML 1.2.2, 5.4).
    let lines = data.split(|b| matches!(b, b'\n' | b'\r')).count() + 2;
    let mut errors = 0;
    for problem in &checked.problems.0 {
        errors += usize::from(matches!(problem.severity, faregate::config::Severity::Error));
        assert!(!problem.message.is_empty());
        assert!(problem.place.line <= lines, "{problem:?} in {lines} lines");
        let _shown = problem.to_string();
    }
    assert_eq!(checked.config.is_none(), errors > 0, "{:?}", checked.problems);
    if let Some(config) = checked.config {
        let _table = faregate::config::resolve(&config);
    }
}
