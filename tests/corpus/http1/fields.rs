//! Section 5: field lines.

use faregate::http1::HeadError::{FieldName, FieldValue, MissingColon, ObsFold, SpaceBeforeColon};

use super::{Case, refused};

fn field(rule: &'static str, line: &[u8], fault: super::HeadError) -> Case {
    refused(rule, [b"POST / HTTP/1.1\r\nHost: a\r\n", line, b"\r\n\r\n"].concat(), fault)
}

pub fn cases() -> Vec<Case> {
    vec![
        // 5: syntax
        field("5 line without a colon", b"X", MissingColon),
        field("5 empty name", b": x", FieldName),
        field("9110-5.1 name with a space", b"X Y: z", SpaceBeforeColon),
        field("9110-5.1 name with NUL", b"X\0: y", FieldName),
        field("9110-5.1 name with a control byte", b"X\x01: y", FieldName),
        field("9110-5.1 name with DEL", b"X\x7f: y", FieldName),
        field("9110-5.1 name beyond ASCII", b"X\xe9: y", FieldName),
        field("9110-5.1 name in parentheses", b"(X): y", FieldName),
        field("9110-5.1 name in brackets", b"[X]: y", FieldName),
        field("9110-5.1 name with a slash", b"X/Y: z", FieldName),
        field("9110-5.1 name with an equals sign", b"X=Y: z", FieldName),
        field("9110-5.1 name with a quote", b"\"X\": y", FieldName),
        field("9110-5.1 name with an at sign", b"X@Y: z", FieldName),
        field("9110-5.1 name with a comma", b"X,Y: z", FieldName),
        field("9110-5.1 name with a semicolon", b"X;Y: z", FieldName),
        field("9110-5.1 name with a backslash", b"X\\Y: z", FieldName),
        field("9110-5.1 name with a brace", b"{X}: y", FieldName),
        // 5.1: field line parsing
        field("5.1 space before the colon", b"X : y", SpaceBeforeColon),
        field("5.1 tab before the colon", b"X\t: y", SpaceBeforeColon),
        field("5.1 space before Content-Length's colon", b"Content-Length : 5\r\n\r\nhello", SpaceBeforeColon),
        field("5.1 space before Transfer-Encoding's colon", b"Transfer-Encoding : chunked", SpaceBeforeColon),
        field("5.1 tab before Transfer-Encoding's colon", b"Transfer-Encoding\t: chunked", SpaceBeforeColon),
        field("5.1 vertical tab before the colon", b"Transfer-Encoding\x0b: chunked", FieldName),
        field("5.1 NUL before the colon", b"Transfer-Encoding\0: chunked", FieldName),
        // 5.2: obsolete line folding
        field("5.2 folded with a space", b"X: y\r\n z", ObsFold),
        field("5.2 folded with a tab", b"X: y\r\n\tz", ObsFold),
        field("5.2 folded twice", b"X: y\r\n z\r\n z", ObsFold),
        field("5.2 Transfer-Encoding folded", b"Transfer-Encoding:\r\n chunked", ObsFold),
        field("5.2 Content-Length folded", b"Content-Length:\r\n 5\r\n\r\nhello", ObsFold),
        field("5.2 Transfer-Encoding hidden in a fold", b"X: y\r\n Transfer-Encoding: chunked", ObsFold),
        field("5.2 line of whitespace", b"X: y\r\n ", ObsFold),
        // 9110 5.5: field values
        field("9110-5.5 NUL in a value", b"X: a\0b", FieldValue),
        field("9110-5.5 control byte in a value", b"X: a\x01b", FieldValue),
        field("9110-5.5 DEL in a value", b"X: a\x7fb", FieldValue),
        field("9110-5.5 escape sequence in a value", b"X: \x1b[31m", FieldValue),
        field("9110-5.5 backspace in a value", b"Transfer-Encoding: x\x08chunked", FieldValue),
        field("9110-5.5 vertical tab before a value", b"Transfer-Encoding:\x0bchunked", FieldValue),
        field("9110-5.5 form feed after a value", b"Transfer-Encoding: chunked\x0c", FieldValue),
        field("9110-5.5 NUL after a value", b"Content-Length: 5\0", FieldValue),
    ]
}
