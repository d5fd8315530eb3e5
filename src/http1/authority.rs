//! `uri-host [":" port]`: the Host field, and the authority in a target (RFC 9110 section 7.2, RFC 3986 section 3.2).

/// A valid authority without userinfo.
#[derive(Debug, Clone, Copy)]
pub(super) struct Authority<'a> {
    pub(super) host: &'a [u8],
    pub(super) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// `None` when it is not `uri-host [":" port]`. Userinfo is refused (RFC 9110 section 4.2.4), and so is an empty
    /// host (section 4.2.1).
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (host, rest) = if text.first() == Some(&b'[') {
            let end = memchr::memchr(b']', text)?;
            let literal = &text[1..end];
            if !literal.contains(&b':') || !literal.iter().all(|b| is_ip_literal_byte(*b)) {
                return None;
            }
            text.split_at(end + 1)
        } else {
            let end = memchr::memchr(b':', text).unwrap_or(text.len());
            let (host, rest) = text.split_at(end);
            if host.is_empty() || !host.iter().all(|b| is_reg_name_byte(*b)) {
                return None;
            }
            (host, rest)
        };
        let port = match rest {
            // RFC 3986 section 3.2.3 lets the port be empty.
            [] | [b':'] => None,
            [b':', digits @ ..] => Some(port(digits)?),
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// Whether both name the same place, `default` standing for a port that is not given.
    pub(super) fn same_as(&self, other: &Authority<'_>, default: u16) -> bool {
        self.host.eq_ignore_ascii_case(other.host) && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }
}

fn port(digits: &[u8]) -> Option<u16> {
    if digits.len() > 5 {
        return None;
    }
    let mut port = 0u32;
    for digit in digits {
        port = port * 10 + u32::from(digit.checked_sub(b'0').filter(|d| *d <= 9)?);
    }
    u16::try_from(port).ok()
}

/// RFC 3986: unreserved, sub-delims, and the percent sign of an escape.
pub(super) const fn is_reg_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(b, b'-' | b'.' | b'_' | b'~' | b'%')
        || matches!(b, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

/// What an IPv6 address (with an IPv4 tail, or a zone after `%25`) may hold.
const fn is_ip_literal_byte(b: u8) -> bool {
    b.is_ascii_hexdigit() || matches!(b, b':' | b'.') || b == b'%' || b.is_ascii_alphanumeric()
}
