//! What must be read, however odd it looks.

use super::{Case, because, read};

const CHUNKED: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunked(rule: &'static str, body: &[u8], reads: &'static str) -> Case {
    read(rule, [CHUNKED, body].concat(), reads)
}

pub fn cases() -> Vec<Case> {
    vec![
        read("3 smallest HTTP/1.1", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / []"),
        read("3 smallest HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", "GET / []; closes"),
        read("2.2 an empty line first", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / []"),
        read("2.2 two empty lines first", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / []"),
        read(
            "9.3.2 pipelined",
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /1 []; POST /2 [hello]; GET /3 []",
        ),
        read("2.1 cut in the head", b"GET / HTTP/1.1\r\nHost: a\r\n", "waits"),
        read("2.1 cut at the last LF", b"GET / HTTP/1.1\r\nHost: a\r\n\r", "waits"),
        read("8 cut in the body", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell", "waits"),
        chunked("8 cut in a chunk", b"5\r\nhell", "waits"),
        chunked("8 cut after a chunk", b"5\r\nhello\r\n", "waits"),
        chunked("8 cut in a chunk size", b"5\r\nhello\r\n1", "waits"),
        chunked("8 cut before the last line", b"5\r\nhello\r\n0\r\n", "waits"),
        chunked("8 cut in the trailers", b"0\r\nX: y\r\n", "waits"),
        // methods
        read("9110-9.1 method in small letters", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", "get / []"),
        read("9110-9.1 unknown method", b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "BREW / []"),
        read("9110-9.1 method of token characters", b"M-SEARCH!#$ / HTTP/1.1\r\nHost: a\r\n\r\n", "M-SEARCH!#$ / []"),
        // targets
        read("3.2.1 query", b"GET /a/b?c=d&e=f HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a/b?c=d&e=f []"),
        read("3.2.1 empty query", b"GET /? HTTP/1.1\r\nHost: a\r\n\r\n", "GET /? []"),
        read("3.2.1 two slashes", b"GET //a/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET //a/ []"),
        read("3.2.1 escapes", b"GET /a%20b%2F%00 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a%20b%2F%00 []"),
        read("3.2.1 dots are the application's", b"GET /../a HTTP/1.1\r\nHost: a\r\n\r\n", "GET /../a []"),
        read(
            "3.2.1 colon and brackets as fetch sends them",
            b"GET /v1beta/models/m:generate?a[]=1&b={2}|%zz HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /v1beta/models/m:generate?a[]=1&b={2}|%zz []",
        ),
        read("3.2.2 absolute-form", b"GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a/b?c []"),
        read("3.2.2 absolute-form without a path", b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a []"),
        read("3.2.2 Host in other letters", b"GET http://EXAMPLE.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n", "GET http://EXAMPLE.org/ []").pingora("refuses", because::HOST_BYTES),
        read("3.2.2 default port left out", b"GET https://a:443/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET https://a:443/ []").pingora("refuses", because::HOST_BYTES),
        read("3.2.3 CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "CONNECT a:443 []"),
        read("3.2.3 CONNECT to an IPv6 address", b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n", "CONNECT [::1]:443 []"),
        read("3.2.4 OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * []"),
        // hosts
        read("9110-7.2 IPv4 and port", b"GET / HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n", "GET / []"),
        read("9110-7.2 IPv6 and port", b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:4000\r\n\r\n", "GET / []"),
        read("9110-7.2 underscore", b"GET / HTTP/1.1\r\nHost: llm_gateway:4000\r\n\r\n", "GET / []"),
        read("9110-7.2 empty port", b"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "GET / []"),
        // fields
        read("5 empty value", b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n", "GET / []"),
        read("5 no space after the colon", b"GET / HTTP/1.1\r\nHost:a\r\n\r\n", "GET / []"),
        read("5 whitespace around a value", b"GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n", "GET / []"),
        read("9110-5.5 bytes beyond ASCII in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: caf\xe9\r\n\r\n", "GET / []"),
        read("9110-5.5 colons in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX:: b:c\r\n\r\n", "GET / []"),
        read("9110-5.1 odd token characters in a name", b"GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~: b\r\n\r\n", "GET / []"),
        read(
            "9110-5.1 underscores make another name",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
            "POST / [hello]",
        ),
        read("5 128 fields", many_fields(), "GET / []"),
        // framing
        read("6.2 length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "POST / [hello]"),
        read("6.2 length zero", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST / []"),
        read("6.2 leading zeros", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\nhello", "POST / [hello]"),
        read("6.2 whitespace around the length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \t5 \r\n\r\nhello", "POST / [hello]"),
        read("6.3 GET with a body", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "GET / [hello]"),
        read("6.3 POST without framing has no body", b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / []"),
        read("6.2 length in HTTP/1.0", b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", "POST / [hello]; closes"),
        read("6.1 encoding in other letters", b"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n", "POST / []"),
        read("6.1 tab after the encoding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\t\r\n\r\n0\r\n\r\n", "POST / []"),
        // persistence
        read("9.6 close", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2", "GET / []; closes"),
        read("9.6 Close in a list", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", "GET / []; closes"),
        read("9.3 HTTP/1.0 that persists", b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / []"),
        read("9.3 close beats keep-alive", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", "GET / []; closes"),
        read("9.3 close on a second line", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", "GET / []; closes").pingora("GET / []", because::FIRST_CONNECTION),
        // chunked
        chunked("7.1 one chunk", b"5\r\nhello\r\n0\r\n\r\n", "POST / [hello]"),
        chunked("7.1 two chunks", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "POST / [hello]"),
        chunked("7.1 no chunk", b"0\r\n\r\n", "POST / []"),
        chunked("7.1 capital and small digits", b"A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n", "POST / [01234567890123456789a]"),
        chunked("7.1 leading zeros", b"0005\r\nhello\r\n000\r\n\r\n", "POST / [hello]"),
        chunked("7.1 CRLF in the data", b"7\r\nab\r\n\r\nc\r\n0\r\n\r\n", "POST / [ab\\r\\n\\r\\nc]"),
        chunked("7.1 a request behind", b"1\r\nx\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", "POST / [x]; GET /2 []"),
        chunked("7.1.1 extensions", b"5;a;b=c;d=\"e;\\\"f\"\r\nhello\r\n0;z\r\n\r\n", "POST / [hello]"),
        chunked("7.1.1 whitespace around an extension", b"5 ; a = b\r\nhello\r\n0\r\n\r\n", "POST / [hello]"),
        chunked("7.1.2 trailers", b"5\r\nhello\r\n0\r\nX: y\r\nHost: z\r\n\r\n", "POST / [hello]"),
        chunked("7.1.2 trailers and a request behind", b"0\r\nContent-Length: 30\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", "POST / []; GET /2 []"),
    ]
}

fn many_fields() -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    for n in 1..128 {
        head.extend_from_slice(format!("X-{n}: y\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}
