//! What can be wrong with a message: one variant per rule, each naming the section that it enforces.
//!
//! Messages are written for the person whose client is at fault and hold no byte of the input, so that they may be
//! logged and sent back as they are.

use thiserror::Error;

/// Why a head was refused. The connection cannot be trusted any further: answer and close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeadError {
    /// The head is longer than the caller's limit (RFC 9110 section 5.4; answered with 431, RFC 6585 section 5).
    #[error("head larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// More field lines than [`MAX_FIELDS`](super::MAX_FIELDS) (RFC 9110 section 5.4).
    #[error("too many header fields")]
    TooManyFields,
    /// A line ends in LF without CR (RFC 9112 section 2.2: a recipient may accept it; this one does not).
    #[error("line ends in a bare LF")]
    BareLf,
    /// A CR that no LF follows (RFC 9112 section 2.2).
    #[error("bare CR")]
    BareCr,
    /// Whitespace between the start line and the first field (RFC 9112 section 2.2).
    #[error("whitespace before the first header field")]
    LeadingWhitespace,
    /// Start line with missing or surplus spaces or parts (RFC 9112 section 3).
    #[error("malformed request line")]
    RequestLine,
    /// The method is not a token (RFC 9110 section 9.1).
    #[error("invalid method")]
    Method,
    /// The target holds a byte that no URI holds, or is not a target at all (RFC 9112 section 3.2).
    #[error("invalid request target")]
    Target,
    /// A fragment in the target (RFC 9112 section 3.2: none of the forms has one).
    #[error("request target with a fragment")]
    Fragment,
    /// Authority-form is for CONNECT alone, and CONNECT for nothing else; `*` is for OPTIONS alone
    /// (RFC 9112 sections 3.2.3 and 3.2.4).
    #[error("request target of the wrong form for this method")]
    TargetForm,
    /// Not `HTTP/1.0` or `HTTP/1.1` (RFC 9112 section 2.3; HTTP/0.9 has no version at all).
    #[error("missing or unsupported HTTP version")]
    Version,
    /// Malformed status line (RFC 9112 section 4).
    #[error("malformed status line")]
    StatusLine,
    /// A field line continued on the next line (RFC 9112 section 5.2).
    #[error("folded header field")]
    ObsFold,
    /// Whitespace in or after a field name (RFC 9112 section 5.1).
    #[error("whitespace between header name and colon")]
    SpaceBeforeColon,
    /// A field line without a colon (RFC 9112 section 5).
    #[error("header field without a colon")]
    MissingColon,
    /// A field name that is empty or not a token (RFC 9110 section 5.1).
    #[error("invalid header name")]
    FieldName,
    /// A control byte in a field value (RFC 9110 section 5.5).
    #[error("invalid byte in a header value")]
    FieldValue,
    /// HTTP/1.1 without a Host (RFC 9112 section 3.2).
    #[error("missing Host header")]
    MissingHost,
    /// More than one Host (RFC 9112 section 3.2).
    #[error("more than one Host header")]
    SeveralHosts,
    /// A Host that is not `uri-host [":" port]` (RFC 9110 section 7.2).
    #[error("invalid Host header")]
    InvalidHost,
    /// Host and an absolute-form target name different authorities (RFC 9112 section 3.2.2).
    #[error("Host header differs from the request target")]
    HostMismatch,
}

impl HeadError {
    /// True when the head broke a size limit rather than the grammar.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::TooManyFields)
    }

    /// The status code to answer with: 431, 505 or 400.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLarge { .. } | Self::TooManyFields => 431,
            Self::Version => 505,
            _ => 400,
        }
    }
}

/// Why the end of a message's body cannot be told for certain. The connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FramingError {
    /// Content-Length and Transfer-Encoding in one message (RFC 9112 sections 6.1 and 6.3, rule 3).
    #[error("both Content-Length and Transfer-Encoding")]
    LengthAndEncoding,
    /// More than one Content-Length, equal or not (RFC 9112 section 6.3, rule 5).
    #[error("more than one Content-Length")]
    SeveralLengths,
    /// A Content-Length that is not a plain decimal number (RFC 9110 section 8.6).
    #[error("invalid Content-Length")]
    InvalidLength,
    /// More than one Transfer-Encoding line (RFC 9112 section 6.1: `chunked` may be applied once, and last).
    #[error("more than one Transfer-Encoding")]
    SeveralEncodings,
    /// `chunked` is there, but not alone and last (RFC 9112 sections 6.1 and 6.3, rule 4).
    #[error("Transfer-Encoding is not exactly \"chunked\"")]
    InvalidEncoding,
    /// A transfer coding that this codec does not understand (RFC 9112 section 6.1; answered with 501).
    #[error("unknown transfer coding")]
    UnknownEncoding,
    /// Transfer-Encoding in an HTTP/1.0 message (RFC 9112 section 6.1).
    #[error("Transfer-Encoding in an HTTP/1.0 message")]
    EncodingInHttp10,
}

impl FramingError {
    /// The status code to answer a request with: 501 or 400.
    #[must_use]
    pub fn status(&self) -> u16 {
        if matches!(self, Self::UnknownEncoding) { 501 } else { 400 }
    }
}

/// Why a body could not be decoded to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyError {
    /// Not `1*HEXDIG` where a chunk size must stand (RFC 9112 section 7.1).
    #[error("invalid chunk size")]
    ChunkSize,
    /// A chunk size beyond 64 bits (RFC 9112 section 7.1).
    #[error("chunk size overflows")]
    ChunkSizeOverflow,
    /// A chunk extension that breaks its grammar (RFC 9112 section 7.1.1).
    #[error("invalid chunk extension")]
    ChunkExtension,
    /// A chunk line, or all extensions of one body together, longer than this codec reads
    /// (RFC 9112 section 7.1.1: the total is to be limited).
    #[error("chunk extensions too long")]
    ExtensionsTooLong,
    /// A line of the chunked coding ends in LF without CR, or has a CR without LF (RFC 9112 sections 2.2 and 7.1).
    #[error("chunk line does not end in CRLF")]
    ChunkLineEnd,
    /// Chunk data longer than announced, or without its CRLF (RFC 9112 section 7.1).
    #[error("chunk data does not end in CRLF")]
    ChunkDataEnd,
    /// The trailer section is larger than this codec keeps (RFC 9112 section 7.1.2).
    #[error("trailers too large")]
    TrailersTooLarge,
    /// A malformed trailer field (RFC 9112 section 7.1.2).
    #[error("invalid trailer: {0}")]
    Trailer(#[source] HeadError),
    /// The peer closed before the end of the body (RFC 9112 section 8).
    #[error("connection closed before the end of the body")]
    Truncated,
}
