//! Request and response heads as values.

use http::Method;

use super::headers::Headers;
use super::target::Target;

/// The version of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2; never parsed here, but heads that came in over it are the same values.
    Http2,
}

/// The head of a request: method, target, version, header fields.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// The method, case-sensitive (RFC 9110 section 9.1): `get` is not `GET`.
    pub method: Method,
    /// The version of the request line.
    pub version: Version,
    /// The header fields.
    pub headers: Headers,
    target: Target,
}

impl RequestHead {
    /// Builds a head from parts that are known to be valid (an HTTP/2 request, a test). `target` in any of the forms
    /// of RFC 9112 section 3.2.
    #[must_use]
    pub fn new(method: Method, target: &str, version: Version, headers: Headers) -> Self {
        let target = Target::new(bytes::Bytes::copy_from_slice(target.as_bytes()));
        Self { method, version, headers, target }
    }

    pub(super) fn parsed(method: Method, target: Target, version: Version, headers: Headers) -> Self {
        Self { method, version, headers, target }
    }

    /// The request target as received.
    #[must_use]
    pub fn target(&self) -> &str {
        self.target.as_str()
    }

    /// The path: begins with `/`, or is `*` (asterisk-form), or empty (authority-form). Percent-encoding is left as it
    /// is. In absolute-form the part after the authority, `/` when there is none.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// The query without its `?`; `None` when there is no `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }
}

/// The head of a response: status, version, header fields. The reason phrase is dropped: it carries nothing
/// (RFC 9112 section 4).
#[derive(Debug, Clone)]
pub struct ResponseHead {
    /// The status code, 100 to 999.
    pub status: u16,
    /// The version of the status line.
    pub version: Version,
    /// The header fields.
    pub headers: Headers,
}
