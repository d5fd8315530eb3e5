//! Section 6.1: Transfer-Encoding.

use faregate::http1::FramingError::{EncodingInHttp10, InvalidEncoding, SeveralEncodings, UnknownEncoding};

use super::{Case, because, refused};

const BODY: &[u8] = b"5\r\nhello\r\n0\r\n\r\n";

fn coding(rule: &'static str, value: &[u8], fault: super::FramingError) -> Case {
    refused(rule, [b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ", value, b"\r\n\r\n", BODY].concat(), fault)
}

pub fn cases() -> Vec<Case> {
    vec![
        coding("6.1 empty", b"", InvalidEncoding),
        coding("6.1 comma alone", b",", UnknownEncoding),
        coding("6.1 identity", b"identity", UnknownEncoding),
        coding("6.1 gzip", b"gzip", UnknownEncoding),
        coding("6.1 gzip, then chunked", b"gzip, chunked", InvalidEncoding)
            .pingora("POST / [hello]", because::LAST_CODING),
        coding("6.1 chunked, then gzip", b"chunked, gzip", InvalidEncoding),
        coding("6.1 chunked, then identity", b"chunked, identity", InvalidEncoding),
        coding("6.1 identity, then chunked", b"identity, chunked", InvalidEncoding)
            .pingora("POST / [hello]", because::LAST_CODING),
        coding("6.1 chunked twice", b"chunked, chunked", InvalidEncoding)
            .pingora("POST / [hello]", because::LAST_CODING),
        coding("6.1 list that ends empty", b"chunked,", InvalidEncoding),
        coding("6.1 list that begins empty", b",chunked", InvalidEncoding)
            .pingora("POST / [hello]", because::LAST_CODING),
        coding("6.1 prefix", b"xchunked", UnknownEncoding),
        coding("6.1 suffix", b"chunkedx", UnknownEncoding),
        coding("6.1 hyphen", b"chunk-ed", UnknownEncoding),
        coding("6.1 space instead of a comma", b"chunked identity", UnknownEncoding),
        coding("6.1 quotes", b"\"chunked\"", UnknownEncoding),
        coding("6.1 single quotes", b"'chunked'", UnknownEncoding),
        coding("6.1 parameter", b"chunked;q=1", UnknownEncoding),
        coding("6.1 name within the value", b"Transfer-Encoding: chunked", UnknownEncoding),
        coding("6.1 byte beyond ASCII before it", b"\xffchunked", UnknownEncoding),
        coding("6.1 no-break space after it", b"chunked\xa0", UnknownEncoding),
        coding("6.1 chunked on two lines", b"chunked\r\nTransfer-Encoding: chunked", SeveralEncodings)
            .pingora("POST / [hello]", because::LAST_CODING),
        coding(
            "6.1 chunked, then identity on a second line",
            b"chunked\r\nTransfer-Encoding: identity",
            SeveralEncodings,
        ),
        coding(
            "6.1 identity, then chunked on a second line",
            b"identity\r\ntransfer-encoding: chunked",
            SeveralEncodings,
        )
        .pingora("POST / [hello]", because::LAST_CODING),
        coding("6.1 an empty second line", b"chunked\r\nTransfer-Encoding:", SeveralEncodings),
        refused(
            "6.1 encoding in HTTP/1.0",
            [b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", BODY].concat(),
            EncodingInHttp10,
        ),
        refused(
            "6.1 encoding in HTTP/1.0 that wants to persist",
            [&b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"[..], BODY].concat(),
            EncodingInHttp10,
        ),
    ]
}
