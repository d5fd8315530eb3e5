//! Anthropic messages: <https://docs.anthropic.com/en/api/messages>, streaming:
//! <https://docs.anthropic.com/en/docs/build-with-claude/streaming>.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Sample, named};
use crate::dialect::ids::Operation;

fn message(sample: &Sample<'_>, content: &Value, stop: &Value, output_tokens: u64) -> Value {
    json!({
        "id": format!("msg_{}", sample.id),
        "type": "message",
        "role": "assistant",
        "model": sample.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": null,
        "usage": sample.add_cost(json!({
            "input_tokens": sample.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output_tokens,
        })),
    })
}

fn stop(sample: &Sample<'_>) -> &'static str {
    if sample.cut { "max_tokens" } else { "end_turn" }
}

pub(super) fn body(operation: Operation, sample: &Sample<'_>) -> Option<Value> {
    match operation {
        Operation::CountTokens => Some(json!({ "input_tokens": sample.input_tokens })),
        Operation::Messages => {
            let content = json!([{ "type": "text", "text": sample.text() }]);
            Some(message(sample, &content, &stop(sample).into(), sample.output_tokens()))
        }
        _ => None,
    }
}

pub(super) fn events(operation: Operation, sample: &Sample<'_>) -> Option<(Vec<Bytes>, Vec<Bytes>, Vec<Bytes>)> {
    if operation != Operation::Messages {
        return None;
    }
    let opening = vec![
        named(&json!({ "type": "message_start", "message": message(sample, &json!([]), &Value::Null, 1) })),
        named(&json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } })),
        named(&json!({ "type": "ping" })),
    ];
    let delta = |word: &String| {
        let delta = json!({ "type": "text_delta", "text": word });
        named(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
    };
    let closing = vec![
        named(&json!({ "type": "content_block_stop", "index": 0 })),
        named(&json!({
            "type": "message_delta",
            "delta": { "stop_reason": stop(sample), "stop_sequence": null },
            "usage": sample.add_cost(json!({ "output_tokens": sample.output_tokens() })),
        })),
        named(&json!({ "type": "message_stop" })),
    ];
    Some((opening, sample.words.iter().map(delta).collect(), closing))
}
