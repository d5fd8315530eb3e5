//! Section 3.2: the request target in its four forms.

use faregate::http1::HeadError::{Fragment, HostMismatch, Target, TargetForm};

use super::{Case, because, refused};

fn get(rule: &'static str, target: &[u8], fault: super::HeadError) -> Case {
    refused(rule, [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat(), fault)
}

fn connect(rule: &'static str, target: &[u8], fault: super::HeadError) -> Case {
    refused(rule, [b"CONNECT ", target, b" HTTP/1.1\r\nHost: a:443\r\n\r\n"].concat(), fault)
}

pub fn cases() -> Vec<Case> {
    vec![
        get("3.2 NUL in the target", b"/a\0b", Target).pingora("GET /a%00b []", because::ESCAPES),
        get("3.2 control byte in the target", b"/a\x01b", Target).pingora("GET /a%01b []", because::ESCAPES),
        get("3.2 DEL in the target", b"/a\x7fb", Target).pingora("GET /a%7Fb []", because::ESCAPES),
        get("3.2 UTF-8 in the target", "/caf\u{e9}".as_bytes(), Target).pingora("GET /caf\\xc3\\xa9 []", because::RAW),
        get("3.2 stray byte beyond ASCII in the target", b"/caf\xe9", Target),
        get("3.2 UTF-8 in the query", "/?q=caf\u{e9}".as_bytes(), Target)
            .pingora("GET /?q=caf\\xc3\\xa9 []", because::RAW),
        get("3.2 bare CR in the target", b"/a\rb", super::HeadError::Version)
            .pingora("GET /a%0Db []", because::ESCAPES),
        get("3.2 quote in the path", b"/a\"b", Target).pingora("GET /a\\\"b []", because::RAW),
        get("3.2 angle bracket in the path", b"/a<b>", Target),
        get("3.2 angle bracket in the query", b"/a?b=<c>", Target),
        get("3.2 backslash in the path", b"/a\\..\\b", Target).pingora("GET /a\\\\..\\\\b []", because::RAW),
        get("3.2 caret in the path", b"/a^b", Target).pingora("GET /a^b []", because::RAW),
        get("3.2 brace in the path", b"/a{b}", Target).pingora("GET /a{b} []", because::RAW),
        get("3.2 half an escape", b"/a%2", Target).pingora("GET /a%2 []", because::RAW),
        get("3.2 escape that is none", b"/a%zz", Target).pingora("GET /a%zz []", because::RAW),
        get("3.2 fragment", b"/a#b", Fragment).pingora("GET /a []", because::FRAGMENT),
        get("3.2 fragment after the query", b"/a?b#c", Fragment).pingora("GET /a?b []", because::FRAGMENT),
        get("3.2 fragment alone", b"#", Fragment).pingora("GET / []", because::FRAGMENT),
        get("3.2.1 path without a slash", b"a/b", TargetForm).pingora("GET a/b []", because::FORMS),
        get("3.2.1 query alone", b"?a=b", TargetForm).pingora("GET ?a=b []", because::FORMS),
        get("3.2.1 backslash for a slash", b"\\a", TargetForm).pingora("GET \\\\a []", because::FORMS),
        get("3.2.2 authority missing", b"http:///a", Target),
        get("3.2.2 userinfo", b"http://u:p@a/", Target),
        get("3.2.2 backslash before the path", b"http://a\\b/", Target),
        get("3.2.2 port that is none", b"http://a:b/", Target),
        get("3.2.2 fragment", b"http://a/b#c", Fragment).pingora("GET http://a/b []", because::FRAGMENT),
        get("3.2.2 another scheme", b"ftp://a/b", TargetForm).pingora("GET ftp://a/b []", because::FORMS),
        get("3.2.2 scheme with one slash", b"http:/a", TargetForm),
        get("3.2.2 Host differs", b"http://b/", HostMismatch),
        get("3.2.2 Host differs in its port", b"http://a:8080/", HostMismatch),
        get("3.2.2 https and Host differ in their port", b"https://a:80/", HostMismatch),
        get("3.2.3 authority-form without CONNECT", b"a:443", TargetForm).pingora("GET a:443 []", because::FORMS),
        get("3.2.4 asterisk-form without OPTIONS", b"*", TargetForm).pingora("GET * []", because::FORMS),
        refused("3.2.4 asterisk and more", b"OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", TargetForm)
            .pingora("OPTIONS *a []", because::FORMS),
        refused("3.2.4 asterisk and query", b"OPTIONS *?a HTTP/1.1\r\nHost: a\r\n\r\n", TargetForm)
            .pingora("OPTIONS *?a []", because::FORMS),
        refused("3.2.4 small letters are another method", b"options * HTTP/1.1\r\nHost: a\r\n\r\n", TargetForm)
            .pingora("options * []", because::FORMS),
        connect("3.2.3 CONNECT without a port", b"a", Target).pingora("CONNECT a []", because::FORMS),
        connect("3.2.3 CONNECT with an empty port", b"a:", Target).pingora("CONNECT a: []", because::FORMS),
        connect("3.2.3 CONNECT with a port out of range", b"a:65536", Target)
            .pingora("CONNECT a:65536 []", because::FORMS),
        connect("3.2.3 CONNECT with userinfo", b"u@a:443", Target),
        connect("3.2.3 CONNECT with a path", b"a:443/b", Target).pingora("CONNECT a:443/b []", because::FORMS),
        connect("3.2.3 CONNECT in origin-form", b"/a", TargetForm).pingora("CONNECT /a []", because::FORMS),
        connect("3.2.3 CONNECT in absolute-form", b"http://a:443/", TargetForm)
            .pingora("CONNECT http://a:443/ []", because::FORMS),
        connect("3.2.3 CONNECT in asterisk-form", b"*", TargetForm).pingora("CONNECT * []", because::FORMS),
    ]
}
