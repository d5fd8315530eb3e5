//! Section 3.2 and 9110 section 7.2: Host.

use faregate::http1::HeadError::{InvalidHost, MissingHost, SeveralHosts};

use super::{Case, because, refused};

fn host(rule: &'static str, value: &[u8], fault: super::HeadError) -> Case {
    refused(rule, [b"GET / HTTP/1.1\r\nHost: ", value, b"\r\n\r\n"].concat(), fault)
}

pub fn cases() -> Vec<Case> {
    vec![
        refused("3.2 no Host", b"GET / HTTP/1.1\r\n\r\n", MissingHost).pingora("GET / []", because::NO_HOST),
        refused("3.2 no Host, absolute-form", b"GET http://a/ HTTP/1.1\r\nX: y\r\n\r\n", MissingHost)
            .pingora("GET http://a/ []", because::NO_HOST),
        refused("3.2 no Host, CONNECT", b"CONNECT a:443 HTTP/1.1\r\n\r\n", MissingHost)
            .pingora("CONNECT a:443 []", because::NO_HOST),
        refused("3.2 two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", SeveralHosts),
        refused("3.2 two equal Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", SeveralHosts),
        refused("3.2 two Hosts in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", SeveralHosts),
        host("9110-7.2 empty Host", b"", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with a space", b"a b", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host list", b"a, b", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with a path", b"a/b", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with a scheme", b"http://a", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with userinfo", b"u@a", InvalidHost),
        host("9110-7.2 Host with a query", b"a?b", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with a fragment", b"a#b", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with a backslash", b"a\\b", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host beyond ASCII", "caf\u{e9}".as_bytes(), InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with a port that is none", b"a:b", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with a signed port", b"a:+80", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with a port out of range", b"a:65536", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with a long port", b"a:000080", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with two ports", b"a:80:80", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host that is a port alone", b":80", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with an open bracket", b"[::1", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with an empty bracket", b"[]", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with a name in brackets", b"[a]", InvalidHost).pingora("GET / []", because::HOST),
        host("9110-7.2 Host with text after the bracket", b"[::1]a", InvalidHost).pingora("GET / []", because::HOST),
        refused("9110-7.2 invalid Host in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", InvalidHost)
            .pingora("GET / []; closes", because::HOST),
    ]
}
