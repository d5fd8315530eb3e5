//! An HTTP/2 client that is not ours and shares no code with the server's: nghttp2's own, from Debian's `nghttp2-client`.
//! What it sends and takes is told by its options: header blocks over several frames, padding, trailers both ways, small
//! windows, many streams on one connection.

mod support;

use std::net::SocketAddr;
use std::process::Command;

use support::tls::Authority;
use support::{Faregate, Request, Setup, Upstream, table};

const CALL: &str = "/v1/chat/completions";
const CALLS: usize = 1000;

/// An answer of many frames: 300 KB in events that differ.
fn events() -> Vec<String> {
    let event = |n: usize| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{n:0>3000}\"}}}}]}}\n\n");
    (0..100).map(event).chain(["data: [DONE]\n\n".into()]).collect()
}

/// A request of many frames.
fn request(stream: bool) -> String {
    format!(
        r#"{{"model":"m","stream":{stream},"messages":[{{"role":"user","content":"{}"}}]}}"#,
        "long ".repeat(20_000)
    )
}

fn start(upstream: &Upstream) -> Faregate {
    let pair = Authority::new().issue(&["localhost"]);
    Setup::new(&format!(
        "server: {{ tls: {{ certificate: c.pem, key: k.pem }} }}\n{}",
        table::fallback(&[upstream.address])
    ))
    .file("c.pem", &pair.certificate)
    .file("k.pem", &pair.key)
    .file("whole.json", request(false))
    .file("stream.json", request(true))
    .start()
}

fn run(program: &str, options: &[&str], faregate: &Faregate) -> String {
    let SocketAddr::V4(api) = faregate.api else { panic!("{} is no IPv4 address", faregate.api) };
    let output = Command::new(program)
        .args(options)
        .arg(format!("https://{api}{CALL}"))
        .current_dir(faregate.path())
        .output()
        .expect("this test needs nghttp and h2load: install the Debian package `nghttp2-client`");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn sent_whole(got: &Request) -> bool {
    got.json()["messages"][0]["content"] == "long ".repeat(20_000)
}

const ODD: [&str; 11] = [
    "--no-verify-peer",
    "--timeout=30",
    // A header block over several frames, most of them CONTINUATION.
    "--continuation",
    "--padding=255",
    // Windows of 1 KB a stream, 64 KB a connection.
    "--window-bits=10",
    "--connection-window-bits=16",
    // A table of header fields that nearly nothing fits in. Left out: one that shrinks and grows within one SETTINGS
    // frame, of which the `h2` crate tells the peer only the last size (RFC 7541 section 4.2 wants the smallest too).
    "--header-table-size=64",
    "--header=content-type: application/json",
    "--header=te: trailers",
    "--trailer=x-sum: 9",
    "--no-content-length",
];

#[test]
fn nghttp_gets_every_byte_through_small_windows_padding_continuation_and_trailers() {
    let upstream = Upstream::start(|peer, request| {
        assert!(request.header("continuation-test-1").is_some_and(|value| value.len() > 4000));
        peer.sse(&events());
    });
    let faregate = start(&upstream);
    let body = run("nghttp", &[&ODD[..], &["--data=stream.json"]].concat(), &faregate);
    assert!(body == events().concat(), "{} bytes", body.len());
    let talk = run(
        "nghttp",
        &[&ODD[..], &["--data=stream.json", "--verbose", "--null-out", "--multiply=20"]].concat(),
        &faregate,
    );
    let count = |text: &str| talk.matches(text).count();
    assert_eq!(count(":status: 200"), 20);
    assert_eq!(count("x-faregate-overhead-us: "), 20, "as trailers");
    assert_eq!(count("recv RST_STREAM") + count("recv GOAWAY"), 0);
    assert!(upstream.requests().iter().all(sent_whole));
    assert_eq!(faregate.stop().iter().filter(|record| record["outcome"] == "ok").count(), 21);
}

#[test]
fn h2load_gets_an_answer_to_every_call_of_many_streams() {
    let upstream = Upstream::json(200, r#"{"choices":[]}"#);
    let faregate = start(&upstream);
    let n = CALLS.to_string();
    let options = ["-n", &n, "-c", "4", "-m", "50", "-w", "10", "-W", "16", "-d", "whole.json"];
    let report = run("h2load", &[&options[..], &["-H", "content-type: application/json"]].concat(), &faregate);
    let all = format!("requests: {n} total, {n} started, {n} done, {n} succeeded, 0 failed, 0 errored, 0 timeout");
    assert!(
        report.contains(&all) && report.contains(&format!("status codes: {n} 2xx, 0 3xx, 0 4xx, 0 5xx")),
        "{report}"
    );
    assert!(upstream.requests().iter().all(sent_whole));
    assert_eq!(faregate.stop().iter().filter(|record| record["outcome"] == "ok").count(), CALLS);
}
