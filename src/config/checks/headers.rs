//! Headers that providers are sent, and that routes look at.

use std::collections::BTreeMap;

use super::{Report, Step, at};

/// Headers that hold a caller's secret.
const SECRET: &[&str] =
    &["authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "cookie", "x-portkey-api-key"];

/// Headers that Faregate writes itself.
const OWN: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
    "x-request-id",
    "traceparent",
];

fn is_one_of(name: &str, of: &[&str]) -> bool {
    of.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Headers of a provider's configuration.
pub(super) fn of_provider(report: &mut Report<'_, '_>, path: &[Step<'_>], headers: &BTreeMap<String, String>) {
    twins(report, path, headers);
    for (name, value) in headers {
        let path = at![path; name];
        if is_one_of(name, OWN) {
            report.error(&path, "Faregate writes this header itself", "take it out");
        } else if is_one_of(name, SECRET) || looks_secret(value) {
            report.warn(
                &path,
                "a secret stands in this file in the open",
                "use `credentials: {env: MY_API_KEY}`, and `auth` to say in which header it is sent",
            );
        }
    }
}

/// Headers of a route's conditions.
pub(super) fn of_route(report: &mut Report<'_, '_>, path: &[Step<'_>], headers: &BTreeMap<String, String>) {
    twins(report, path, headers);
    for (name, _) in headers.iter().filter(|(name, _)| is_one_of(name, SECRET)) {
        let advice = "give callers keys in `server.keys` and match on `app`, the name of the key";
        report.warn(&at![path; name], "a route that looks at a secret holds it in the open", advice);
    }
}

/// Names that differ in case alone.
fn twins(report: &mut Report<'_, '_>, path: &[Step<'_>], headers: &BTreeMap<String, String>) {
    let mut seen = BTreeMap::new();
    for name in headers.keys() {
        if let Some(other) = seen.insert(name.to_ascii_lowercase(), name) {
            let message = format!("is the same header as `{other}`: case does not count");
            report.error(&at![path; name], message, "keep one of them");
        }
    }
}

fn looks_secret(value: &str) -> bool {
    ["bearer ", "basic "].iter().any(|start| value.get(..start.len()).is_some_and(|v| v.eq_ignore_ascii_case(start)))
        || (value.starts_with("sk-") && value.len() > 20)
}

/// Whether a header is one that a client sends its key in, or that HTTP itself needs.
pub(super) fn is_taken(name: &str) -> bool {
    is_one_of(name, SECRET) || is_one_of(name, OWN) || is_one_of(name, &["content-type", "accept", "user-agent"])
}
