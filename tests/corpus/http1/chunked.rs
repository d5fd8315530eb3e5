//! Section 7.1: the chunked transfer coding.

use faregate::http1::BodyError::{
    ChunkDataEnd, ChunkExtension, ChunkLineEnd, ChunkSize, ChunkSizeOverflow, ExtensionsTooLong, Trailer,
    TrailersTooLarge,
};
use faregate::http1::HeadError;

use super::{Case, because, refused};

fn body(rule: &'static str, bytes: impl AsRef<[u8]>, fault: super::BodyError) -> Case {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    refused(rule, [head, bytes.as_ref()].concat(), fault)
}

pub fn cases() -> Vec<Case> {
    let mut cases = sizes();
    cases.extend(extensions());
    cases.extend(data());
    cases.extend(trailers());
    cases
}

fn sizes() -> Vec<Case> {
    vec![
        body("7.1 size empty", b"\r\nhello\r\n0\r\n\r\n", ChunkSize).pingora("POST / []", because::EMPTY_SIZE),
        body("7.1 size with a plus sign", b"+5\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 size with a minus sign", b"-5\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 size with 0X", b"0X5\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 size with x", b"x5\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 size with h", b"5h\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 size with an underscore", b"0_5\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 size with a dot", b"5.0\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 size with a letter that is no digit", b"g\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 space before the size", b" 5\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 tab before the size", b"\t5\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 space after the size", b"5 \r\nhello\r\n0\r\n\r\n", ChunkSize)
            .pingora("POST / [hello]", because::SIZE_SPACE),
        body("7.1 tab after the size", b"5\t\r\nhello\r\n0\r\n\r\n", ChunkSize)
            .pingora("POST / [hello]", because::SIZE_SPACE),
        body("7.1 space inside the size", b"1 0\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 NUL after the size", b"5\0\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 comma after the size", b"5,5\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 digit beyond ASCII", "\u{665}\r\nhello\r\n0\r\n\r\n", ChunkSize),
        body("7.1 size beyond 64 bits", b"10000000000000005\r\nhello\r\n0\r\n\r\n", ChunkSizeOverflow),
        body("7.1 size far beyond 64 bits", b"ffffffffffffffffffffffff\r\nhello\r\n0\r\n\r\n", ChunkSizeOverflow),
        body("7.1 size of endless zeros", b"00000000000000005\r\nhello\r\n0\r\n\r\n", ChunkSizeOverflow),
        body("7.1 bare LF after the size", b"5\nhello\r\n0\r\n\r\n", ChunkLineEnd),
        body("7.1 bare CR after the size", b"5\rhello\r\n0\r\n\r\n", ChunkLineEnd),
        body("7.1 CR CR LF after the size", b"5\r\r\nhello\r\n0\r\n\r\n", ChunkLineEnd),
        body("7.1 bare LF after the last size", b"5\r\nhello\r\n0\n\r\n", ChunkLineEnd),
        body("7.1 two zeros in two words", b"0 0\r\n\r\n", ChunkSize),
    ]
}

fn extensions() -> Vec<Case> {
    vec![
        body("7.1.1 bare LF in an extension", b"5;a\nb\r\nhello\r\n0\r\n\r\n", ChunkLineEnd)
            .pingora("POST / [hello]", because::EXTENSION),
        body("7.1.1 bare LF after an extension", b"5;a\nhello\r\n0\r\n\r\n", ChunkLineEnd)
            .pingora("waits", because::EXTENSION),
        body("7.1.1 bare LF after the semicolon", b"5;\nhello\r\n0\r\n\r\n", ChunkLineEnd)
            .pingora("waits", because::EXTENSION),
        body("7.1.1 bare LF after the size's whitespace", b"5 \nhello\r\n0\r\n\r\n", ChunkLineEnd),
        body("7.1.1 bare CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n", ChunkLineEnd),
        body("7.1.1 bare LF in a quoted value", b"5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", ChunkLineEnd)
            .pingora("POST / [hello]", because::EXTENSION),
        body("7.1.1 CRLF in a quoted value", b"5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n", ChunkExtension),
        body("7.1.1 escaped CR in a quoted value", b"5;a=\"\\\r\n\"\r\nhello\r\n0\r\n\r\n", ChunkExtension),
        body("7.1.1 quoted value left open", b"5;a=\"b\r\nhello\r\n0\r\n\r\n", ChunkExtension)
            .pingora("POST / [hello]", because::EXTENSION),
        body("7.1.1 text after a quoted value", b"5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", ChunkExtension)
            .pingora("POST / [hello]", because::EXTENSION),
        body("7.1.1 extension without a name", b"5;\r\nhello\r\n0\r\n\r\n", ChunkExtension)
            .pingora("POST / [hello]", because::EXTENSION),
        body("7.1.1 value without a name", b"5;=b\r\nhello\r\n0\r\n\r\n", ChunkExtension)
            .pingora("POST / [hello]", because::EXTENSION),
        body("7.1.1 name without a value", b"5;a=\r\nhello\r\n0\r\n\r\n", ChunkExtension)
            .pingora("POST / [hello]", because::EXTENSION),
        body("7.1.1 NUL in an extension", b"5;a\0\r\nhello\r\n0\r\n\r\n", ChunkExtension)
            .pingora("POST / [hello]", because::EXTENSION),
        body("7.1.1 control byte in a quoted value", b"5;a=\"\x01\"\r\nhello\r\n0\r\n\r\n", ChunkExtension)
            .pingora("POST / [hello]", because::EXTENSION),
        body("7.1.1 space after an extension", b"5;a=b \r\nhello\r\n0\r\n\r\n", ChunkExtension)
            .pingora("POST / [hello]", because::EXTENSION),
        body("7.1.1 two words in an extension", b"5;a b\r\nhello\r\n0\r\n\r\n", ChunkExtension)
            .pingora("POST / [hello]", because::EXTENSION),
        body("7.1.1 byte beyond ASCII in a name", b"5;\xe9\r\nhello\r\n0\r\n\r\n", ChunkExtension)
            .pingora("POST / [hello]", because::EXTENSION),
        body(
            "7.1.1 one long extension",
            [b"5;", &[b'a'; 300][..], b"\r\nhello\r\n0\r\n\r\n"].concat(),
            ExtensionsTooLong,
        )
        .pingora("POST / [hello]", because::EXTENSION_LIMIT),
        body("7.1.1 many short extensions", many_extensions(), ExtensionsTooLong)
            .pingora("POST / [100 bytes]", because::EXTENSION_LIMIT),
    ]
}

fn many_extensions() -> Vec<u8> {
    let chunk = [b"1;", &[b'a'; 200][..], b"\r\nx\r\n"].concat();
    [chunk.repeat(100), b"0\r\n\r\n".to_vec()].concat()
}

fn data() -> Vec<Case> {
    vec![
        body("7.1 data longer than its size", b"4\r\nhello\r\n0\r\n\r\n", ChunkDataEnd),
        body("7.1 data shorter than its size", b"7\r\nhello\r\n0\r\n\r\n", ChunkDataEnd),
        body("7.1 no CRLF after the data", b"5\r\nhello0\r\n\r\n", ChunkDataEnd),
        body("7.1 bare LF after the data", b"5\r\nhello\n0\r\n\r\n", ChunkDataEnd),
        body("7.1 bare CR after the data", b"5\r\nhello\r0\r\n\r\n", ChunkDataEnd),
        body("7.1 CR CR LF after the data", b"5\r\nhello\r\r\n0\r\n\r\n", ChunkDataEnd),
        body("7.1 LF CR after the data", b"5\r\nhello\n\r0\r\n\r\n", ChunkDataEnd),
        body("7.1 two bytes for CRLF", b"5\r\nhelloXX0\r\n\r\n", ChunkDataEnd),
        body("7.1 an empty line between chunks", b"5\r\nhello\r\n\r\n0\r\n\r\n", ChunkSize)
            .pingora("POST / [hello]", because::EMPTY_SIZE),
    ]
}

fn trailers() -> Vec<Case> {
    vec![
        body("7.1.2 bare LF ends the body", b"0\r\n\n", Trailer(HeadError::BareLf)),
        body("7.1.2 bare LF ends a trailer", b"0\r\nX: y\n\r\n", Trailer(HeadError::BareLf)),
        body("7.1.2 bare LF ends trailers and body", b"0\r\nX: y\n\n", Trailer(HeadError::BareLf)),
        body("7.1.2 bare CR ends the body", b"0\r\n\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", Trailer(HeadError::BareCr)),
        body("7.1.2 trailer without a colon", b"0\r\nX\r\n\r\n", Trailer(HeadError::MissingColon))
            .pingora("POST / []", because::TRAILERS),
        body("7.1.2 trailer with an empty name", b"0\r\n: y\r\n\r\n", Trailer(HeadError::FieldName))
            .pingora("POST / []", because::TRAILERS),
        body(
            "7.1.2 trailer with a space before the colon",
            b"0\r\nX : y\r\n\r\n",
            Trailer(HeadError::SpaceBeforeColon),
        )
        .pingora("POST / []", because::TRAILERS),
        body("7.1.2 trailer with leading whitespace", b"0\r\n X: y\r\n\r\n", Trailer(HeadError::LeadingWhitespace))
            .pingora("POST / []", because::TRAILERS),
        body("7.1.2 folded trailer", b"0\r\nX: y\r\n z\r\n\r\n", Trailer(HeadError::ObsFold))
            .pingora("POST / []", because::TRAILERS),
        body("7.1.2 NUL in a trailer", b"0\r\nX: y\0\r\n\r\n", Trailer(HeadError::FieldValue))
            .pingora("POST / []", because::TRAILERS),
        body(
            "7.1.2 a request for trailers",
            b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            Trailer(HeadError::SpaceBeforeColon),
        )
        .pingora("POST / []", because::TRAILERS),
        body("7.1.2 trailers beyond 8 KiB", [b"0\r\nX: ", &[b'y'; 9000][..], b"\r\n\r\n"].concat(), TrailersTooLarge)
            .pingora("POST / []", because::TRAILER_LIMIT),
        body("7.1.2 too many trailers", [b"0\r\n", &b"X: y\r\n".repeat(65)[..], b"\r\n"].concat(), TrailersTooLarge)
            .pingora("POST / []", because::TRAILER_LIMIT),
    ]
}
