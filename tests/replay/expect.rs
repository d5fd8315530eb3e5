//! What must arrive: at the upstream, and at the client.

use serde_json::{Value, json};

use crate::cases::Case;
use crate::stage::{Mode, PATCHED_MODEL};
use crate::traffic;

/// Request headers that a proxy owns or replaces.
const NOT_FORWARDED: [&str; 12] = [
    "host",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "accept-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "x-request-id",
    "traceparent",
];

/// Headers of the recorded request that are sent, and that must arrive.
pub fn forwarded_headers(case: &Case) -> impl Iterator<Item = &(String, String)> {
    case.exchange.request_headers.iter().filter(|(name, value)| {
        !NOT_FORWARDED.contains(&name.to_ascii_lowercase().as_str()) && value.bytes().all(|b| (0x20..0x7f).contains(&b))
    })
}

/// Headers of the recorded response that are sent, and that must arrive.
pub fn returned_headers(case: &Case) -> impl Iterator<Item = &(String, String)> {
    const OWN: [&str; 9] = [
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-length",
        "content-encoding",
        "content-type",
        "trailer",
        "upgrade",
        "proxy-connection",
    ];
    case.exchange.response_headers.iter().filter(|(name, value)| {
        !OWN.contains(&name.to_ascii_lowercase().as_str()) && value.bytes().all(|b| (0x20..0x7f).contains(&b))
    })
}

/// What is wrong with the body that reached the upstream.
pub fn request_problem(case: &Case, mode: Mode, arrived: &[u8]) -> Option<String> {
    let sent = case.exchange.request_body.as_deref().unwrap_or_default();
    if mode == Mode::AsSent || !case.is_patched() {
        return (arrived != sent).then(|| format!("request changed on its way: {}", excerpt(sent, arrived)));
    }
    let mut want = case.request();
    want["model"] = PATCHED_MODEL.into();
    if case.may_be_asked_for_usage() && !case.asked_for_usage() {
        match want["stream_options"].as_object_mut() {
            Some(options) => drop(options.insert("include_usage".to_owned(), true.into())),
            None => want["stream_options"] = json!({ "include_usage": true }),
        }
    }
    let got: Value = serde_json::from_slice(arrived).unwrap_or_default();
    if got != want {
        return Some(format!(
            "request patched wrongly: {}",
            String::from_utf8_lossy(&arrived[..arrived.len().min(300)])
        ));
    }
    // Beside the model's name and what was put in front, every byte is as it was sent.
    let (front, back) = common(sent, arrived);
    let changed = arrived.len().saturating_sub(front + back);
    let room = 200 + case.exchange.request_body.as_ref().map_or(0, |_| reach(sent));
    (changed > room).then(|| format!("{changed} bytes of the request changed"))
}

/// The span of the body from its start to the end of what may be patched.
fn reach(body: &[u8]) -> usize {
    let text = String::from_utf8_lossy(body);
    ["\"model\"", "\"include_usage\"", "\"stream_options\""].iter().filter_map(|key| text.rfind(key)).max().unwrap_or(0)
}

fn common(a: &[u8], b: &[u8]) -> (usize, usize) {
    let front = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let most = a.len().min(b.len()) - front;
    let back = a.iter().rev().zip(b.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    (front, back)
}

/// The body that must reach the client.
pub fn response_body(case: &Case, mode: Mode) -> Vec<u8> {
    let exchange = &case.exchange;
    let strips = mode == Mode::Patched
        && exchange.status == 200
        && exchange.is_events()
        && case.may_be_asked_for_usage()
        && !case.asked_for_usage();
    if strips { without_usage_chunk(&exchange.body) } else { exchange.body.clone() }
}

/// A recorded stream without the events that hold usage and no choice.
fn without_usage_chunk(stream: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(stream).expect("text");
    let blank = if text.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
    let keeps = |block: &&str| {
        traffic::documents(block.as_bytes(), true).iter().all(|event| {
            let bare = event["usage"].is_object() && event["choices"].as_array().is_some_and(Vec::is_empty);
            !bare || !event["error"].is_null()
        })
    };
    text.split_inclusive(blank).filter(keeps).collect::<String>().into_bytes()
}

/// Where two bodies begin to differ.
pub fn excerpt(want: &[u8], got: &[u8]) -> String {
    let at = want.iter().zip(got).take_while(|(a, b)| a == b).count();
    let show = |bytes: &[u8]| {
        String::from_utf8_lossy(&bytes[at.saturating_sub(20).min(bytes.len())..(at + 60).min(bytes.len())]).into_owned()
    };
    format!("{} and {} bytes, from {at} on: {:?} and {:?}", want.len(), got.len(), show(want), show(got))
}

impl Case {
    /// Whether the proxy reads this call, and so gives it the route's model.
    pub fn is_patched(&self) -> bool {
        self.exchange.method == "POST"
            && (self.api != crate::oracle::Api::Other || self.exchange.api == "messages_count_tokens")
    }
}
