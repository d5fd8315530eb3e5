//! Why Pingora (0.9.1, over httparse) reads some requests otherwise than we do.

pub const LF: &str = "httparse takes a bare LF for a line end, and Pingora adds no check of its own";
pub const ESCAPES: &str = "Pingora percent-encodes what is illegal in a target, spaces included, and parses again";
pub const RAW: &str = "Pingora hands the target's bytes on as they are";
pub const FRAGMENT: &str = "the URI type that Pingora keeps the target in drops the fragment in silence";
pub const FORMS: &str = "Pingora leaves the form of the target to the application";
pub const HEAD_LIMIT: &str = "Pingora's own limit on a head is 1 MiB";
pub const FIELD_LIMIT: &str = "Pingora's own limit is 256 fields";
pub const NO_HOST: &str = "Pingora leaves a missing Host to the application";
pub const HOST: &str = "Pingora takes Host as it is, and refuses only a second one and userinfo";
pub const HOST_BYTES: &str = "Pingora compares Host with the target's authority byte by byte; RFC 9110 section 4.2.3 has hosts \
    case-insensitive and the default port equal to none";
pub const EQUAL_LENGTHS: &str =
    "Pingora takes equal lengths for one; RFC 9112 section 6.3 leaves that or refusing to the recipient";
pub const ENCODING_WINS: &str = "Pingora lets Transfer-Encoding win and closes afterwards; RFC 9112 section 6.1 leaves that or \
    refusing to the server";
pub const LAST_CODING: &str = "Pingora asks only that the last coding be chunked, and decodes none of the others";
pub const EMPTY_SIZE: &str = "httparse takes an empty chunk size for 0, so Pingora ends the body here and skips what follows as \
    trailers";
pub const SIZE_SPACE: &str = "httparse skips whitespace after a chunk size";
pub const EXTENSION: &str =
    "httparse skips all up to the next CR for an extension, line feeds and control bytes included";
pub const EXTENSION_LIMIT: &str = "Pingora's own limit is 8 KiB for one chunk line, and none for a body";
pub const TRAILERS: &str = "Pingora discards trailers unread: it looks for their end only";
pub const TRAILER_LIMIT: &str = "Pingora's own limit is 64 KiB of trailers, which it discards unread";
pub const FIRST_CONNECTION: &str = "Pingora looks at the first Connection line only";
