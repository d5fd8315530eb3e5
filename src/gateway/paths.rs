//! Which path a call takes at a provider.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::dialect::ApiCall;
use crate::routing::Endpoint;

/// What must be encoded in one segment of a path: all but the unreserved characters (RFC 3986, 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The model that a path names, decoded.
pub(super) fn model<'a>(api: &ApiCall<'a>) -> Option<Cow<'a, str>> {
    percent_decode_str(api.path_model?).decode_utf8().ok()
}

/// Whether the path itself goes to the provider, with the model in it: it is a form of this very provider.
pub(super) fn keeps_model(api: &ApiCall<'_>, addressed: bool) -> bool {
    addressed && api.path_model.is_some()
}

/// The path at an endpoint for a call of a known API: the endpoint's base and the API's suffix; or, where the call was
/// addressed to this very provider in a form of the provider's own (a deployment in the path), that form.
pub(super) fn of_api(
    endpoint: &Endpoint,
    api: &ApiCall<'_>,
    rest: &str,
    addressed: bool,
    model: Option<&str>,
) -> String {
    if let (Some(segment), true) = (api.path_model, addressed) {
        return match model {
            Some(renamed) if self::model(api).as_deref() != Some(renamed) => replace_segment(rest, segment, renamed),
            _ => rest.to_owned(),
        };
    }
    [&*endpoint.base_path, api.suffix].concat()
}

/// The path at an endpoint for a call that is passed through unread. `rest` may hold the provider's own base path
/// (`/openai/v1/files`), the plain version prefix (`/v1/files`), or neither.
pub(super) fn unread(endpoint: &Endpoint, rest: &str) -> String {
    let base = &*endpoint.base_path;
    if base.is_empty() || starts_with_segment(rest, base) {
        return rest.to_owned();
    }
    let bare = if has_version(base) && starts_with_segment(rest, "/v1") { &rest[3..] } else { rest };
    [base, bare].concat()
}

/// Whether a base path holds the version already, which the plain prefix then repeats.
fn has_version(base: &str) -> bool {
    base.split('/').any(|word| word.starts_with('v') && word[1..].starts_with(|c: char| c.is_ascii_digit()))
}

fn starts_with_segment(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn replace_segment(path: &str, old: &str, new: &str) -> String {
    let new: Cow<'_, str> = utf8_percent_encode(new, SEGMENT).into();
    let mut done = false;
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| {
            if !done && segment == old {
                done = true;
                &*new
            } else {
                segment
            }
        })
        .collect();
    segments.join("/")
}

/// `path` with the query that came with it.
pub(super) fn with_query(mut path: String, query: Option<&str>) -> String {
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(base: &str) -> Endpoint {
        Endpoint { tls: true, host: "h".into(), port: 443, base_path: base.into(), authority: "h".into() }
    }

    #[test]
    fn unread_paths_take_the_providers_base_once() {
        assert_eq!(unread(&endpoint("/v1"), "/v1/files/f-1"), "/v1/files/f-1");
        assert_eq!(unread(&endpoint("/openai/v1"), "/openai/v1/files"), "/openai/v1/files");
        assert_eq!(unread(&endpoint("/openai/v1"), "/v1/files"), "/openai/v1/files");
        assert_eq!(unread(&endpoint("/api/v1"), "/credits"), "/api/v1/credits");
        assert_eq!(unread(&endpoint(""), "/v1beta/models"), "/v1beta/models");
        assert_eq!(unread(&endpoint("/api"), "/v1/credits"), "/api/v1/credits");
        assert_eq!(unread(&endpoint("/v1"), "/v1beta/models"), "/v1/v1beta/models");
    }

    #[test]
    fn a_deployment_in_the_path_is_renamed_once() {
        let path = replace_segment("/openai/deployments/a/chat/a", "a", "b c/d-1.5");
        assert_eq!(path, "/openai/deployments/b%20c%2Fd-1.5/chat/a");
    }
}
