//! The dialect API from outside, on a few calls as SDKs send them.

use bytes::Bytes;
use faregate::chat::{Usage, UsageReport};
use faregate::dialect::{DialectId, Operation, Tap, recognise, scan};
use smallvec::SmallVec;

#[test]
fn patches_model_and_stream_options_and_nothing_else() {
    let body =
        Bytes::from_static(br#"{ "messages":[{"role":"user","content":"\"model\": no"}], "stream":true,"model":"a" }"#);
    let facts = scan(Operation::Chat, &body).unwrap();
    assert_eq!(facts.model(), Some("a"));
    assert!(facts.stream() && !facts.asks_usage());
    let patched = facts.patch(&body, Some("b\"x"), true);
    assert_eq!(
        std::str::from_utf8(&patched).unwrap(),
        r#"{"stream_options":{"include_usage":true}, "messages":[{"role":"user","content":"\"model\": no"}], "stream":true,"model":"b\"x" }"#
    );
    let again = scan(Operation::Chat, &patched).unwrap().patch(&patched, Some("b\"x"), true);
    assert_eq!(again.as_ptr(), patched.as_ptr());
}

#[test]
fn strips_the_usage_chunk_and_reads_it() {
    let mut tap = Tap::new(DialectId::OpenAi, Operation::Chat, true, true);
    let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
    tap.feed(
        Bytes::from_static(
            b"data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\nda",
        ),
        &mut out,
    );
    assert!(!tap.content_started());
    tap.feed(Bytes::from_static(b"ta: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n"), &mut out);
    assert!(tap.content_started());
    tap.feed(Bytes::from_static(b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}\n\ndata: [DONE]\n\n"), &mut out);
    tap.finish(&mut out);
    assert_eq!(tap.usage(), UsageReport::Reported(Usage { input: 5, output: 2, ..Usage::default() }));
    assert!(tap.ended());
    assert_eq!(tap.served_model(), Some("m"));
    assert_eq!(
        out.concat(),
        b"data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: [DONE]\n\n"
    );
}

#[test]
fn recognises_what_sdks_send() {
    let post = |path| recognise(&http::Method::POST, path).map(|c| (c.operation, c.suffix, c.path_model));
    assert_eq!(post("/v1/chat/completions"), Some((Operation::Chat, "/chat/completions", None)));
    assert_eq!(post("/messages"), Some((Operation::Messages, "/messages", None)));
    assert_eq!(
        post("/openai/deployments/gpt-4o/chat/completions"),
        Some((Operation::Chat, "/chat/completions", Some("gpt-4o")))
    );
}
