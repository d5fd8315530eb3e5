//! Answers of any size: what is too long to be held passes, and what follows it is read all the same.

use faregate::chat::{Usage, UsageReport};

use super::{chunk, event, json, reported, run};

const TEXT: usize = 3_000_000;
const FIVE_SIX: Usage = Usage {
    input: 5,
    output: 6,
    cache_read: 0,
    cache_write_5m: 0,
    cache_write_1h: 0,
    reasoning: 0,
    audio_input: 0,
    audio_output: 0,
    image_input: 0,
    web_searches: 0,
};

/// In one piece, and in pieces of a few lengths.
fn said(path: &str, kind: &str, body: &[u8]) -> (UsageReport, bool) {
    let headers = [("content-type", kind)];
    let whole = run(path, &headers, body, &[]).unwrap();
    for piece in [1_000, 65_537, 1_500_000] {
        let cuts: Vec<usize> = (1..body.len().div_ceil(piece)).map(|n| n * piece).collect();
        assert_eq!(run(path, &headers, body, &cuts).unwrap(), whole, "pieces of {piece}");
    }
    (whole.usage, whole.content)
}

#[test]
fn a_message_over_a_mebibyte_is_passed_over() {
    let long = "z".repeat(TEXT);
    let metadata = event("metadata", r#"{"usage":{"inputTokens":5,"outputTokens":6,"totalTokens":11}}"#);
    let delta = event("contentBlockDelta", &format!(r#"{{"delta":{{"text":"{long}"}}}}"#));
    let start = event("messageStart", r#"{"role":"assistant"}"#);
    let stream = [start.clone(), delta, metadata].concat();
    let kind = "application/vnd.amazon.eventstream";
    // Cut inside of its lengths, and right after them.
    for after in 1..16 {
        let cuts = [start.len() + after];
        let told = run("/model/m/converse-stream", &[("content-type", kind)], &stream, &cuts).unwrap();
        assert_eq!(told.usage, reported(FIVE_SIX), "{after} bytes of it first");
    }
    assert_eq!(said("/model/m/converse-stream", kind, &stream), (reported(FIVE_SIX), true));
    let stream = [
        chunk(&format!(r#"{{"contentBlockDelta":{{"delta":{{"text":"{long}"}}}}}}"#)),
        chunk(r#"{"metadata":{"usage":{"inputTokens":5,"outputTokens":6}}}"#),
    ];
    assert_eq!(said("/model/m/invoke-with-response-stream", kind, &stream.concat()), (reported(FIVE_SIX), true));
}

#[test]
fn an_event_over_a_mebibyte_is_read_as_it_goes_by() {
    let image = "A".repeat(TEXT);
    let event = format!(
        "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"inlineData\":{{\"data\":\"{image}\"}}}}]}}}}],\"usageMetadata\":{{\"promptTokenCount\":5,\"candidatesTokenCount\":6,\"totalTokenCount\":11}}}}\r\n\r\n"
    );
    let path = "/v1beta/models/gemini-2.5-flash-image:streamGenerateContent";
    assert_eq!(said(path, "text/event-stream", event.as_bytes()), (reported(FIVE_SIX), true));
}

#[test]
fn bodies_of_any_size_are_read() {
    let numbers = "0.123456789,".repeat(TEXT / 12);
    let gemini = format!(
        r#"{{"embeddings":[{{"values":[{numbers}1]}}],"usageMetadata":{{"promptTokenCount":5,"promptTokenDetails":[]}}}}"#
    );
    let input = reported(Usage { output: 0, ..FIVE_SIX });
    let path = "/v1beta/models/gemini-embedding-2:embedContent";
    assert_eq!(said(path, "application/json", gemini.as_bytes()), (input, true));
    let predict = format!(
        r#"{{"predictions":[{{"embeddings":{{"values":[{numbers}1],"statistics":{{"token_count":2}}}}}},{{"embeddings":{{"statistics":{{"token_count":3}},"values":[{numbers}1]}}}}]}}"#
    );
    let path = "/v1/publishers/google/models/text-embedding-005:predict";
    assert_eq!(said(path, "application/json", predict.as_bytes()), (input, true));
    let text = "é✓\\\"".repeat(TEXT / 7);
    let ollama = format!(
        "{{\"message\":{{\"content\":\"{text}\"}},\"done\":false}}\n{{\"message\":{{\"content\":\"\"}},\"done\":true,\"prompt_eval_count\":5,\"eval_count\":6}}\n"
    );
    assert_eq!(said("/api/chat", "application/x-ndjson", ollama.as_bytes()), (reported(FIVE_SIX), true));
}

/// Frames that contradict themselves end the reading, not the answer.
#[test]
fn nonsense_ends_the_reading() {
    let good = event("metadata", r#"{"usage":{"inputTokens":5,"outputTokens":6}}"#);
    let kind = "application/vnd.amazon.eventstream";
    for nonsense in [[0_u8; 12], [0, 0, 0, 15, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 20, 0, 0, 0, 5, 0, 0, 0, 0]] {
        let stream = [&nonsense[..], &good].concat();
        assert_eq!(said("/model/m/converse-stream", kind, &stream), (UsageReport::Unknown, false));
        let stream = [&good, &nonsense[..]].concat();
        assert_eq!(said("/model/m/converse-stream", kind, &stream), (reported(FIVE_SIX), false));
    }
    assert_eq!(json("/api/chat", r#""text" {"prompt_eval_count":5,"eval_count":6}"#).usage, UsageReport::Unknown);
}

/// One flipped bit anywhere in a message is seen, and what it says is not believed; the bytes pass as they came.
#[test]
fn a_message_with_a_wrong_checksum_ends_the_reading() {
    let good = event("metadata", r#"{"usage":{"inputTokens":5,"outputTokens":6}}"#);
    let kind = [("content-type", "application/vnd.amazon.eventstream")];
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let stream = [&bad[..], &good].concat();
        let told = run("/model/m/converse-stream", &kind, &stream, &[bit / 8]).unwrap();
        assert_eq!((told.usage, told.error), (UsageReport::Unknown, None), "bit {bit}");
    }
}
