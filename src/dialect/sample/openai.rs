//! OpenAI chat completions, completions, embeddings, models: <https://platform.openai.com/docs/api-reference>, and
//! responses with their stream events: <https://platform.openai.com/docs/api-reference/responses-streaming>.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Sample, data, named};
use crate::dialect::ids::Operation;

/// Length of a simulated embedding.
const DIMENSIONS: usize = 8;

fn usage(sample: &Sample<'_>) -> Value {
    let (input, output) = (sample.input_tokens, sample.output_tokens());
    sample.add_cost(json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input + output,
        "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": 0, "audio_tokens": 0 },
    }))
}

fn finish(sample: &Sample<'_>) -> &'static str {
    if sample.cut { "length" } else { "stop" }
}

pub(super) fn body(operation: Operation, sample: &Sample<'_>) -> Option<Value> {
    let (id, created, model) = (sample.id, sample.created, sample.model);
    Some(match operation {
        Operation::Chat => json!({
            "id": format!("chatcmpl-{id}"), "object": "chat.completion", "created": created, "model": model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": sample.text(), "refusal": null },
                "logprobs": null,
                "finish_reason": finish(sample),
            }],
            "usage": usage(sample),
        }),
        Operation::Completions => json!({
            "id": format!("cmpl-{id}"), "object": "text_completion", "created": created, "model": model,
            "choices": [{ "index": 0, "text": sample.text(), "logprobs": null, "finish_reason": finish(sample) }],
            "usage": usage(sample),
        }),
        Operation::Embeddings => {
            let one = |index: usize| {
                let vector: Vec<f64> = (0..DIMENSIONS).map(|d| ((index + d) % 7) as f64 / 8.0 - 0.375).collect();
                json!({ "object": "embedding", "index": index, "embedding": vector })
            };
            let all: Vec<Value> = (0..sample.inputs).map(one).collect();
            let usage = json!({ "prompt_tokens": sample.input_tokens, "total_tokens": sample.input_tokens });
            json!({ "object": "list", "data": all, "model": model, "usage": sample.add_cost(usage) })
        }
        Operation::Responses => response(sample, "completed"),
        Operation::Models => {
            let model = json!({ "id": model, "object": "model", "created": created, "owned_by": "faregate" });
            json!({ "object": "list", "data": [model] })
        }
        _ => return None,
    })
}

fn part(sample: &Sample<'_>, text: &str) -> (Value, Value) {
    let part = json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
    let item = |content: &Value, status: &str| {
        json!({
            "id": format!("msg_{}", sample.id), "type": "message", "role": "assistant",
            "status": status, "content": content,
        })
    };
    let status = if text.is_empty() { "in_progress" } else { "completed" };
    let item = item(&if text.is_empty() { json!([]) } else { json!([part]) }, status);
    (part, item)
}

fn response(sample: &Sample<'_>, status: &str) -> Value {
    let done = status != "in_progress";
    let cut = done && sample.cut;
    let (input, output) = (sample.input_tokens, sample.output_tokens());
    let usage = sample.add_cost(json!({
        "input_tokens": input,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": output,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": input + output,
    }));
    json!({
        "id": format!("resp_{}", sample.id), "object": "response", "created_at": sample.created,
        "status": if cut { "incomplete" } else { status },
        "error": null,
        "incomplete_details": if cut { json!({ "reason": "max_output_tokens" }) } else { Value::Null },
        "instructions": null, "metadata": {}, "model": sample.model, "parallel_tool_calls": true,
        "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "output": if done { json!([part(sample, &sample.text()).1]) } else { json!([]) },
        "usage": if done { usage } else { Value::Null },
    })
}

pub(super) fn events(operation: Operation, sample: &Sample<'_>) -> Option<(Vec<Bytes>, Vec<Bytes>, Vec<Bytes>)> {
    match operation {
        Operation::Chat => Some(chat_events(sample)),
        Operation::Completions => Some(completion_events(sample)),
        Operation::Responses => Some(response_events(sample)),
        _ => None,
    }
}

fn close(sample: &Sample<'_>, last: Value, chunk: impl Fn(Value, Value) -> Value) -> Vec<Bytes> {
    let mut closing = vec![data(&chunk(json!([last]), Value::Null))];
    if sample.include_usage {
        closing.push(data(&chunk(json!([]), usage(sample))));
    }
    closing.push(Bytes::from_static(b"data: [DONE]\n\n"));
    closing
}

fn chat_events(sample: &Sample<'_>) -> (Vec<Bytes>, Vec<Bytes>, Vec<Bytes>) {
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": format!("chatcmpl-{}", sample.id), "object": "chat.completion.chunk",
            "created": sample.created, "model": sample.model, "choices": choices,
        });
        if let (true, Some(object)) = (sample.include_usage, chunk.as_object_mut()) {
            object.insert("usage".into(), usage);
        }
        chunk
    };
    let choice = |delta: Value, finish: Value| json!({ "index": 0, "delta": delta, "finish_reason": finish });
    let role = choice(json!({ "role": "assistant", "content": "" }), Value::Null);
    let opening = vec![data(&chunk(json!([role]), Value::Null))];
    let word = |word: &String| data(&chunk(json!([choice(json!({ "content": word }), Value::Null)]), Value::Null));
    let words = sample.words.iter().map(word).collect();
    let closing = close(sample, choice(json!({}), finish(sample).into()), chunk);
    (opening, words, closing)
}

fn completion_events(sample: &Sample<'_>) -> (Vec<Bytes>, Vec<Bytes>, Vec<Bytes>) {
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": format!("cmpl-{}", sample.id), "object": "text_completion",
            "created": sample.created, "model": sample.model, "choices": choices,
        });
        if let (true, Some(object)) = (sample.include_usage, chunk.as_object_mut()) {
            object.insert("usage".into(), usage);
        }
        chunk
    };
    let choice =
        |text: &str, finish: Value| json!({ "index": 0, "text": text, "logprobs": null, "finish_reason": finish });
    let word = |word: &String| data(&chunk(json!([choice(word, Value::Null)]), Value::Null));
    let words = sample.words.iter().map(word).collect();
    (Vec::new(), words, close(sample, choice("", finish(sample).into()), chunk))
}

fn response_events(sample: &Sample<'_>) -> (Vec<Bytes>, Vec<Bytes>, Vec<Bytes>) {
    let item_id = format!("msg_{}", sample.id);
    let numbered = |number: usize, mut event: Value| {
        if let Some(object) = event.as_object_mut() {
            object.insert("sequence_number".into(), number.into());
        }
        named(&event)
    };
    let at = json!({ "item_id": item_id, "output_index": 0, "content_index": 0 });
    let inside = |kind: &str, key: &str, value: Value| {
        let mut event = at.clone();
        if let Some(object) = event.as_object_mut() {
            object.insert("type".into(), kind.into());
            object.insert(key.into(), value);
            if key != "part" {
                object.insert("logprobs".into(), json!([]));
            }
        }
        event
    };
    let (empty_part, empty_item) = part(sample, "");
    let (whole_part, whole_item) = part(sample, &sample.text());
    let added = json!({ "type": "response.output_item.added", "output_index": 0, "item": empty_item });
    let opening: Vec<Value> = vec![
        json!({ "type": "response.created", "response": response(sample, "in_progress") }),
        json!({ "type": "response.in_progress", "response": response(sample, "in_progress") }),
        added,
        inside("response.content_part.added", "part", empty_part),
    ];
    let words: Vec<Value> =
        sample.words.iter().map(|word| inside("response.output_text.delta", "delta", word.as_str().into())).collect();
    let end = if sample.cut { "response.incomplete" } else { "response.completed" };
    let closing = vec![
        inside("response.output_text.done", "text", sample.text().into()),
        inside("response.content_part.done", "part", whole_part),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": whole_item }),
        json!({ "type": end, "response": response(sample, "completed") }),
    ];
    let mut number = 0..;
    let mut render = |events: Vec<Value>| -> Vec<Bytes> {
        events.into_iter().zip(&mut number).map(|(event, number)| numbered(number, event)).collect()
    };
    (render(opening), render(words), render(closing))
}
