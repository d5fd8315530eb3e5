//! Request headers on their way to a provider: what is forwarded, what is replaced, what never leaves.

use super::auth::KEY_HEADERS;
use crate::http1::{self, Headers};
use crate::upstream::KeyInjection;

/// What decides over a request's headers.
pub(super) struct Outgoing<'a> {
    pub(super) headers: &'a Headers,
    pub(super) key: &'a KeyInjection,
    /// The client's keys are this gateway's own: they go nowhere.
    pub(super) guarded: bool,
    /// Headers of the provider's configuration; they replace the client's.
    pub(super) set: &'a [(Box<str>, Box<str>)],
    /// Headers that the provider needs and that the client may have sent itself.
    pub(super) defaults: &'a [(Box<str>, Box<str>)],
    /// Asks for something that the client did not ask for.
    pub(super) asks: Option<(&'a str, &'a str)>,
    pub(super) app_header: &'a str,
    pub(super) request_id: &'a str,
    /// Replaces the client's, whose trace it continues.
    pub(super) traceparent: Option<&'a [u8]>,
    /// The client's `tracestate` belongs to the trace that goes on (W3C Trace Context, 4.3).
    pub(super) tracestate: bool,
    /// The answer is read, so it must come unencoded.
    pub(super) read: bool,
    /// `Upgrade` and `Connection: upgrade` are forwarded.
    pub(super) upgrade: bool,
}

impl Outgoing<'_> {
    /// Writes the header lines.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        self.headers.write_kept(&mut out, |name, _| self.forwards(name) && !http1::nominated(self.headers, name));
        if self.upgrade {
            out.extend_from_slice(b"connection: upgrade\r\n");
            if let Some(protocol) = self.headers.get("upgrade") {
                http1::write_header(&mut out, b"upgrade", protocol);
            }
        }
        if let KeyInjection::Header(secret) = self.key {
            http1::write_header(&mut out, secret.name.as_bytes(), &secret.value);
        }
        for (name, value) in self.set {
            http1::write_header(&mut out, name.as_bytes(), value.as_bytes());
        }
        for (name, value) in self.defaults {
            if self.headers.get(name).is_none() {
                http1::write_header(&mut out, name.as_bytes(), value.as_bytes());
            }
        }
        if let Some((name, value)) = self.asks {
            http1::write_header(&mut out, name.as_bytes(), value.as_bytes());
        }
        if self.read {
            out.extend_from_slice(b"accept-encoding: identity\r\n");
        }
        http1::write_header(&mut out, b"x-request-id", self.request_id.as_bytes());
        if let Some(traceparent) = self.traceparent {
            http1::write_header(&mut out, b"traceparent", traceparent);
        }
        out
    }

    fn forwards(&self, name: &[u8]) -> bool {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if http1::is_hop_by_hop(name) {
            return false;
        }
        match name.len() {
            4 if is("host") => false,
            6 if is("expect") => false,
            14 if is("content-length") => false,
            15 if is("accept-encoding") => !self.read,
            11 if is("traceparent") => false,
            10 if is("tracestate") => self.tracestate,
            12 if is("x-request-id") => false,
            _ if is(self.app_header) => false,
            _ if name.len() > 11 && name[..11].eq_ignore_ascii_case(b"x-faregate-") => false,
            _ if KEY_HEADERS.iter().any(|key| is(key)) => matches!(self.key, KeyInjection::Client) && !self.guarded,
            _ => !self.set.iter().any(|(set, _)| is(set)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(key: &KeyInjection, guarded: bool, headers: &[(&str, &str)]) -> String {
        let headers = Headers::from_pairs(headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())));
        let set = [("x-set".into(), "ours".into())];
        let defaults = [("x-version".into(), "1".into())];
        let outgoing = Outgoing {
            headers: &headers,
            key,
            guarded,
            set: &set,
            defaults: &defaults,
            asks: Some(("x-tell", "all")),
            app_header: "x-faregate-app",
            request_id: "id",
            traceparent: Some(b"tp"),
            tracestate: false,
            read: true,
            upgrade: false,
        };
        String::from_utf8(outgoing.write()).unwrap()
    }

    #[test]
    fn hops_keys_and_our_own_headers_stay_here() {
        let out = write(
            &KeyInjection::Nothing,
            false,
            &[
                ("Host", "here"),
                ("Connection", "close, X-Hop"),
                ("X-Hop", "1"),
                ("TE", "trailers"),
                ("Authorization", "Bearer client"),
                ("x-api-key", "client"),
                ("Accept-Encoding", "gzip"),
                ("X-Faregate-App", "a"),
                ("X-Set", "theirs"),
                ("X-Version", "2"),
                ("X-Keep", "yes"),
            ],
        );
        assert_eq!(
            out,
            "X-Version: 2\r\nX-Keep: yes\r\nx-set: ours\r\nx-tell: all\r\naccept-encoding: identity\r\nx-request-id: id\r\ntraceparent: tp\r\n"
        );
    }

    #[test]
    fn the_clients_key_is_forwarded_only_when_allowed() {
        let headers = [("Authorization", "Bearer client")];
        assert!(write(&KeyInjection::Client, false, &headers).contains("Bearer client"));
        assert!(!write(&KeyInjection::Client, true, &headers).contains("Bearer client"));
        assert!(write(&KeyInjection::Nothing, false, &[]).contains("x-version: 1"));
    }
}
