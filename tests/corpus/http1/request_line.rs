//! Sections 2 and 3: line ends, request line, method, version.

use faregate::http1::HeadError::{
    BareCr, BareLf, FieldName, LeadingWhitespace, Method, RequestLine, TooLarge, TooManyFields, Version,
};

use super::{Case, because, refused};

pub fn cases() -> Vec<Case> {
    vec![
        // 2.2: message parsing
        refused("2.2 bare LF ends the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", BareLf)
            .pingora("GET / []", because::LF),
        refused("2.2 bare LF ends every line", b"GET / HTTP/1.1\nHost: a\n\n", BareLf).pingora("GET / []", because::LF),
        refused("2.2 bare LF ends a field line", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", BareLf)
            .pingora("GET / []", because::LF),
        refused("2.2 bare LF for the empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\n", BareLf)
            .pingora("GET / []", because::LF),
        refused("2.2 bare LF before the request line", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareLf)
            .pingora("GET / []", because::LF),
        refused("2.2 CRLF and bare LF before the request line", b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareLf)
            .pingora("GET / []", because::LF),
        refused(
            "2.2 bare LF hides a second request",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: y\n\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
            BareLf,
        )
        .pingora("GET / []; GET /admin []", because::LF),
        refused("2.2 bare CR before the request line", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareCr),
        refused("2.2 bare CR ends the request line", b"GET / HTTP/1.1\rHost: a\r\n\r\n", BareCr),
        refused("2.2 CR CR LF ends the request line", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", BareCr),
        refused("2.2 bare CR in a field value", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", BareCr),
        refused("2.2 bare CR ends a field line", b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", BareCr),
        refused("2.2 CR CR LF ends the head", b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", BareCr),
        refused("2.2 bare CR for the empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n", BareCr),
        refused("2.2 space before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", LeadingWhitespace),
        refused("2.2 tab before the first field", b"GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", LeadingWhitespace),
        refused(
            "2.2 whitespace line before the first field",
            b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n",
            LeadingWhitespace,
        ),
        // 3: request line
        refused("3 leading space", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        refused("3 leading tab", b"\tGET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        refused("3 two spaces after the method", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine)
            .pingora("GET %20/ []", because::ESCAPES),
        refused("3 two spaces after the target", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine)
            .pingora("GET /%20 []", because::ESCAPES),
        refused("3 tab after the method", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        refused("3 tab after the target", b"GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        refused("3 vertical tab after the target", b"GET /\x0bHTTP/1.1\r\nHost: a\r\n\r\n", super::HeadError::Target),
        refused("3 space after the version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", RequestLine),
        refused("3 a fourth part", b"GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", RequestLine),
        refused("3 space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Version)
            .pingora("GET /a%20b []", because::ESCAPES),
        refused("3 method alone", b"GET\r\nHost: a\r\n\r\n", RequestLine),
        refused("3 no method", b"/ HTTP/1.1\r\nHost: a\r\n\r\n", Method),
        refused("3 request line missing", b"Host: a\r\n\r\n", Method),
        refused("3 a response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Method),
        refused("3 larger than the limit", large_head(), TooLarge { limit: crate::LIMIT })
            .pingora("GET / []", because::HEAD_LIMIT),
        refused("3 endless request line", vec![b'A'; crate::LIMIT + 10], TooLarge { limit: crate::LIMIT })
            .pingora("waits", because::HEAD_LIMIT),
        refused("5 too many fields", many_fields(129), TooManyFields).pingora("GET / []", because::FIELD_LIMIT),
        // 3.1: method
        refused("3.1 method with a colon", b"GET: / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
        refused("3.1 method in quotes", b"\"GET\" / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
        refused("3.1 method with NUL", b"G\0T / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
        refused("3.1 method with a slash", b"GE/T / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
        refused("3.1 method beyond ASCII", b"G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n", Method),
        refused("3.1 a TLS record", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Method),
        // 2.3: version
        refused("2.3 HTTP/0.9", b"GET /\r\n", Version),
        refused("2.3 HTTP/0.9 with fields", b"GET /\r\nHost: a\r\n\r\n", Version),
        refused("2.3 version empty", b"GET / \r\nHost: a\r\n\r\n", Version),
        refused("2.3 HTTP/2.0 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Version),
        refused("2.3 HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Version),
        refused("2.3 HTTP/1.10", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", RequestLine),
        refused("2.3 HTTP/11", b"GET / HTTP/11\r\nHost: a\r\n\r\n", Version),
        refused("2.3 HTTP/1", b"GET / HTTP/1\r\nHost: a\r\n\r\n", Version),
        refused("2.3 HTTP/01.1", b"GET / HTTP/01.1\r\nHost: a\r\n\r\n", Version),
        refused("2.3 HTTP/1,1", b"GET / HTTP/1,1\r\nHost: a\r\n\r\n", Version),
        refused("2.3 http in small letters", b"GET / http/1.1\r\nHost: a\r\n\r\n", Version),
        refused("2.3 HTTP /1.1", b"GET / HTTP /1.1\r\nHost: a\r\n\r\n", Version),
        refused("2.3 another protocol", b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", Version),
        refused("2.3 sign in the version", b"GET / HTTP/+1.1\r\nHost: a\r\n\r\n", Version),
        refused("3 nothing but a colon for a head", b"GET / HTTP/1.1\r\n:\r\n\r\n", FieldName),
    ]
}

fn large_head() -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
    head.resize(crate::LIMIT - 3, b'x');
    head.extend_from_slice(b"\r\n\r\n");
    head
}

fn many_fields(count: usize) -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    for n in 1..count {
        head.extend_from_slice(format!("X-{n}: y\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}
