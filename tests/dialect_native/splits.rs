//! What is seen does not depend on how the bytes were split; bytes of any kind do no harm.

use proptest::prelude::*;

use super::{chunk, event, frame, run};
use crate::traffic;

/// A small generator of numbers, the same on every machine.
struct Seeded(u64);

impl Seeded {
    fn cuts(&mut self, length: usize, many: usize) -> Vec<usize> {
        let mut below = |n: usize| {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % n.max(1) as u64) as usize
        };
        let mut cuts: Vec<usize> = (0..many).map(|_| below(length + 1)).collect();
        cuts.sort_unstable();
        cuts
    }
}

fn check(what: &str, path: &str, headers: &[(&str, &str)], body: &[u8], splits: &[Vec<usize>]) {
    let whole = run(path, headers, body, &[]);
    for cuts in splits {
        assert_eq!(run(path, headers, body, cuts), whole, "{what}, cut at {cuts:?}");
    }
}

#[test]
fn recorded_answers_however_they_are_split() {
    let Some(exchanges) = traffic::exchanges("native answers however they are split") else { return };
    let mut seeded = Seeded(0x5eed);
    let mut checked = 0;
    for exchange in exchanges.iter().filter(|exchange| exchange.status == 200) {
        let method = exchange.method.parse().unwrap();
        if faregate::dialect::native(&method, exchange.path()).is_none() {
            continue;
        }
        let mut headers: Vec<(&str, &str)> = vec![("content-type", &exchange.content_type)];
        let measured = exchange.response_headers.iter().filter(|(name, _)| name.to_lowercase().starts_with("x-amzn"));
        headers.extend(measured.map(|(name, value)| (name.as_str(), value.as_str())));
        let length = exchange.body.len();
        let mut splits: Vec<Vec<usize>> = [1, 3, 17, 200].iter().map(|many| seeded.cuts(length, *many)).collect();
        if length < 3_000 {
            splits.push((1..length).collect());
        }
        check(&exchange.id, exchange.path(), &headers, &exchange.body, &splits);
        // Broken off anywhere.
        for at in seeded.cuts(length, 3) {
            let splits = [seeded.cuts(at, 5)];
            check(&exchange.id, exchange.path(), &headers, &exchange.body[..at], &splits);
        }
        checked += 1;
    }
    println!("{checked} answers");
    assert!(checked > 300, "{checked}");
}

const PATHS: [&str; 11] = [
    "/v1beta/models/m:generateContent",
    "/v1beta/models/m:streamGenerateContent",
    "/v1beta/interactions",
    "/v1/publishers/google/models/embed:predict",
    "/v1/publishers/anthropic/models/m:streamRawPredict",
    "/model/m/converse-stream",
    "/model/m/invoke-with-response-stream",
    "/model/embed/invoke",
    "/v2/chat",
    "/api/chat",
    "/v1/rerank",
];
const KINDS: [&str; 4] =
    ["application/json", "text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream"];

/// Parts that answers consist of, whole, broken, or in the wrong place.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let object = prop_oneof![
        Just(
            r#"{"candidates":[{"content":{"parts":[{"text":"x"}]}}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":3,"totalTokenCount":10}}"#
        ),
        Just(r#"{"usageMetadata":{"promptTokenCount":7"#),
        Just(
            r#"{"interaction":{"usage":{"total_input_tokens":3,"total_output_tokens":4,"total_tokens":7}},"delta":{"text":"x"}}"#
        ),
        Just(r#"{"usage":{"inputTokens":5,"outputTokens":6},"delta":{"text":"x"}}"#),
        Just(r#"{"usage":{"billed_units":{"input_tokens":5,"output_tokens":6}}}"#),
        Just(r#"{"type":"message-end","delta":{"usage":{"billed_units":{"input_tokens":24,"output_tokens":63}}}}"#),
        Just(r#"{"type":"message_delta","usage":{"output_tokens":9}}"#),
        Just(r#"{"model":"m","message":{"content":"x"},"done":true,"prompt_eval_count":2,"eval_count":3}"#),
        Just(r#"{"prompt_token_count":2,"generation_token_count":3,"generation":"x"}"#),
        Just(r#"{"amazon-bedrock-invocationMetrics":{"inputTokenCount":702,"outputTokenCount":98}}"#),
        Just(r#"{"predictions":[{"statistics":{"token_count":10}},{"token_count":7}]}"#),
        Just(r#"{"error":{"message":"no","code":429}}"#),
        Just(
            r#"{"choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#
        ),
        Just(
            r#"{"usage":{"prompt_tokens":99999999999999999999,"inputTokens":18446744073709551615,"outputTokens":18446744073709551615}}"#
        ),
        Just(r#"{"deep":[[[[[[[[[[{"a":"x"}]]]]]]]]]],"candidates":[[[[[[[[[[[["y"]]]]]]]]]]]]}"#),
    ];
    let object = object.prop_map(str::to_owned).boxed();
    prop_oneof![
        4 => object.clone().prop_map(String::into_bytes),
        2 => object.clone().prop_map(|object| format!("data: {object}\n\n").into_bytes()),
        2 => object.clone().prop_map(|object| event("metadata", &object)),
        2 => object.prop_map(|object| chunk(&object)),
        1 => Just(frame(&[(":message-type", "exception"), (":exception-type", "throttlingException")], b"{}")),
        1 => Just(frame(&[(":message-type", "event")], b"not JSON")),
        3 => prop_oneof![Just("\n"), Just(","), Just("["), Just("]"), Just(",\r\n"), Just("\"")].prop_map(|s| s.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        // Lengths that promise far more than comes, or less than there must be.
        1 => any::<[u8; 12]>().prop_map(|prelude| prelude.to_vec()),
        1 => (0usize..3000).prop_map(|n| format!("{{\"response\":\"{}\"}}", "y".repeat(n)).into_bytes()),
    ]
}

#[derive(Clone)]
struct Body(Vec<u8>);

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_answers_however_they_are_split(
        body in proptest::collection::vec(part(), 0..10).prop_map(|parts| Body(parts.concat())),
        path in 0..PATHS.len(),
        kind in 0..KINDS.len(),
        cut in 0usize..4000,
        seed in 1u64..,
    ) {
        let headers = [("content-type", KINDS[kind])];
        let mut seeded = Seeded(seed);
        for body in [&body.0[..], &body.0[..cut.min(body.0.len())]] {
            let mut splits: Vec<Vec<usize>> = [1, 4, 30].iter().map(|many| seeded.cuts(body.len(), *many)).collect();
            if body.len() < 600 {
                splits.push((1..body.len()).collect());
            }
            check("generated", PATHS[path], &headers, body, &splits);
        }
    }

    #[test]
    fn any_bytes_arrive(
        body in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'{'), Just(b'"'), Just(b'\n'), Just(0)], 0..400).prop_map(Body),
        path in 0..PATHS.len(),
        kind in 0..KINDS.len(),
        seed in 1u64..,
    ) {
        let splits = [Seeded(seed).cuts(body.0.len(), 5)];
        check("any bytes", PATHS[path], &[("content-type", KINDS[kind])], &body.0, &splits);
    }
}
