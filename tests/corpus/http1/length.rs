//! Section 6.2 and 9110 section 8.6: Content-Length.

use faregate::http1::FramingError::{InvalidLength, LengthAndEncoding, SeveralLengths};

use super::{Case, because, refused};

const SMUGGLED: &[u8] = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";

fn length(rule: &'static str, value: &[u8]) -> Case {
    let head = [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ", value, b"\r\n\r\nhello"].concat();
    refused(rule, head, InvalidLength)
}

fn lines(rule: &'static str, lines: &[u8], body: &[u8], fault: super::FramingError) -> Case {
    refused(rule, [b"POST / HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n\r\n", body].concat(), fault)
}

pub fn cases() -> Vec<Case> {
    vec![
        length("9110-8.6 empty", b""),
        length("9110-8.6 plus sign", b"+5"),
        length("9110-8.6 minus sign", b"-5"),
        length("9110-8.6 minus zero", b"-0"),
        length("9110-8.6 hexadecimal", b"0x5"),
        length("9110-8.6 hexadecimal digit", b"a"),
        length("9110-8.6 fraction", b"5.0"),
        length("9110-8.6 exponent", b"5e0"),
        length("9110-8.6 underscore", b"0_5"),
        length("9110-8.6 space inside", b"5 0"),
        length("9110-8.6 tab inside", b"5\t0"),
        length("9110-8.6 semicolon", b"5;a=b"),
        length("9110-8.6 in quotes", b"\"5\""),
        length("9110-8.6 letters after it", b"5abc"),
        length("9110-8.6 digits beyond ASCII", "\u{665}".as_bytes()),
        length("9110-8.6 no-break space", b"5\xa0"),
        length("9110-8.6 2 to the 64th", b"18446744073709551616"),
        length("9110-8.6 far beyond 64 bits", b"99999999999999999999999999"),
        length("9110-8.6 wraps round to 5", b"18446744073709551621"),
        length("6.3 list of equal lengths", b"5, 5").pingora("POST / [hello]", because::EQUAL_LENGTHS),
        length("6.3 list of different lengths", b"5, 6"),
        length("6.3 list with an empty element", b"5,"),
        length("6.3 list that begins empty", b",5"),
        lines("6.3 two different lengths", b"Content-Length: 0\r\nContent-Length: 32", SMUGGLED, SeveralLengths),
        lines("6.3 two equal lengths", b"Content-Length: 5\r\ncontent-length: 5", b"hello", SeveralLengths)
            .pingora("POST / [hello]", because::EQUAL_LENGTHS),
        lines("6.3 a length and an empty one", b"Content-Length: 5\r\nContent-Length:", b"hello", SeveralLengths),
        lines("6.3 a length and an invalid one", b"Content-Length: 5\r\nContent-Length: x", b"hello", SeveralLengths),
        // 6.1 and 6.3: with Transfer-Encoding
        lines(
            "6.3 length, then encoding (CL.TE)",
            b"Content-Length: 6\r\nTransfer-Encoding: chunked",
            b"0\r\n\r\nG",
            LengthAndEncoding,
        )
        .pingora("POST / []; closes", because::ENCODING_WINS),
        lines(
            "6.3 encoding, then length (TE.CL)",
            b"Transfer-Encoding: chunked\r\nContent-Length: 4",
            b"5c\r\nGPOST / HTTP/1.1\r\n\r\n",
            LengthAndEncoding,
        )
        .pingora("waits", because::ENCODING_WINS),
        lines(
            "6.3 length of nothing and encoding (CL.0)",
            b"Content-Length: 0\r\nTransfer-Encoding: chunked",
            b"0\r\n\r\n",
            LengthAndEncoding,
        )
        .pingora("POST / []; closes", because::ENCODING_WINS),
        lines(
            "6.3 length and unknown encoding",
            b"Content-Length: 5\r\nTransfer-Encoding: identity",
            b"hello",
            LengthAndEncoding,
        ),
        lines(
            "6.3 length and hidden encoding (TE.TE)",
            b"Content-Length: 5\r\nTransfer-Encoding: xchunked",
            b"hello",
            LengthAndEncoding,
        ),
        lines("6.3 length and empty encoding", b"Content-Length: 5\r\nTransfer-Encoding:", b"hello", LengthAndEncoding),
    ]
}
