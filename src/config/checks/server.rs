//! Listeners, inbound keys, limits.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::super::file::{Config, Server};
use super::super::units::{Size, Span};
use super::{Report, at, credentials, files};

pub(super) fn check(config: &Config, report: &mut Report<'_, '_>) {
    let server = &config.server;
    addresses(server, report);
    keys(server, report);
    limits(server, report);
    if let Some(tls) = &server.tls {
        let path = at!["server", "tls"];
        files::certificate_and_key(report, &path, &tls.certificate, &tls.key);
    }
    if let Some(socket) = &server.upgrade_socket {
        files::parent(report, &at!["server", "upgrade_socket"], socket);
    }
}

fn addresses(server: &Server, report: &mut Report<'_, '_>) {
    let Server { listen, admin, .. } = server;
    if !is_loopback(*listen) && server.keys.is_empty() && !server.allow_open {
        report.error(
            &at!["server", "listen"],
            format!("{listen} can be reached from outside, and there are no inbound keys"),
            "add `server.keys`, listen on 127.0.0.1, or set `server.allow_open: true` where something else keeps \
             strangers out",
        );
    }
    if server.allow_open && !server.keys.is_empty() {
        let advice = "take out `allow_open`, or the keys";
        report.warn(&at!["server", "allow_open"], "has no effect beside `server.keys`: calls need a key", advice);
    }
    if !is_loopback(*admin) {
        report.warn(
            &at!["server", "admin"],
            format!("{admin} can be reached from outside, and the admin pages ask for no key"),
            "keep 127.0.0.1, or make sure that only your own network reaches this port",
        );
    }
    let overlap = |a: IpAddr, b: IpAddr| a == b || a.is_unspecified() || b.is_unspecified();
    if listen.port() != 0 && listen.port() == admin.port() && overlap(listen.ip(), admin.ip()) {
        let which = if report.has(&at!["server", "admin"]) { "admin" } else { "listen" };
        let message = format!("the API ({listen}) and the admin pages ({admin}) cannot share a port");
        report.error(&at!["server", which], message, "give `server.admin` another port");
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn keys(server: &Server, report: &mut Report<'_, '_>) {
    let mut names = BTreeMap::new();
    let mut values: BTreeMap<String, &str> = BTreeMap::new();
    for (k, key) in server.keys.iter().enumerate() {
        if let Some(first) = names.insert(&key.name, k) {
            let line = report.line(&at!["server", "keys", first, "name"]);
            report.warn(
                &at!["server", "keys", k, "name"],
                format!("another key is called `{}` too, in line {line}: calls with either count as one app", key.name),
                "give each key its own name, unless one of them is on its way out",
            );
        }
        let path = at!["server", "keys", k, "key"];
        let Some(value) = credentials::source(report, &path, &key.key) else { continue };
        if value.len() < 16 {
            report.warn(&path, "the key is shorter than 16 characters", "make one with `openssl rand -hex 32`");
        }
        if let Some(other) = values.insert(value, &key.name) {
            let message = format!("is the very same key as that of `{other}`: calls with it count as one of the two");
            report.warn(&path, message, "give each caller its own key");
        }
    }
}

fn limits(server: &Server, report: &mut Report<'_, '_>) {
    let limits = &server.limits;
    let path = |key| at!["server", "limits", key];
    if limits.head < Size(1 << 10) {
        report.error(&path("head"), "less than any call's headers need", "at least 8KiB; the default is 64KiB");
    }
    if limits.body == Size(0) {
        report.error(&path("body"), "no call with a body could be served", "the default is 32MiB");
    }
    if limits.bodies_in_flight < limits.body {
        let which = if report.has(&path("bodies_in_flight")) { "bodies_in_flight" } else { "body" };
        let message = format!(
            "one request body may be {} bytes, all together {}: the largest could never be held",
            limits.body.0, limits.bodies_in_flight.0
        );
        report.error(&path(which), message, "raise `bodies_in_flight` or lower `body`");
    }
    let times = &server.client_timeouts;
    for (key, time) in [("head", times.head), ("body", times.body), ("idle", times.idle), ("write", times.write)] {
        if time == Span::millis(0) {
            let path = at!["server", "client_timeouts", key];
            report.error(&path, "0 leaves clients no time at all", "there is no `never`: give a long time instead");
        }
    }
}
