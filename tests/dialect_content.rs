//! What counts as the first content of a stream: the moment that ends the time to first token, and the point after
//! which no fallback is made.
//!
//! Content is what the model made: text, reasoning (shown, summarised or encrypted: the model is at work, and charged),
//! a named tool call, a refusal, audio, images. Roles, pings, comments, empty deltas, and announcements of responses,
//! messages and blocks are not.

mod traffic;

use bytes::Bytes;
use faregate::dialect::{DialectId, Operation, Tap};
use serde_json::Value;
use smallvec::SmallVec;

fn starts_content(operation: Operation, event: &str) -> bool {
    let mut tap = Tap::new(operation.dialect(), operation, true, false);
    let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
    tap.feed(Bytes::copy_from_slice(event.as_bytes()), &mut out);
    tap.finish(&mut out);
    tap.content_started()
}

#[test]
fn chat() {
    let delta =
        |delta: &str| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}]}}\n\n");
    for (event, content) in [
        (r#"{"role":"assistant"}"#, false),
        (r#"{"role":"assistant","content":""}"#, false),
        (r#"{"role":"assistant","content":null,"refusal":null}"#, false),
        (r#"{"role":"assistant","content":"","reasoning":null,"reasoning_details":[]}"#, false),
        (r#"{"role":"assistant","content":"","tool_calls":[]}"#, false),
        ("{}", false),
        ("null", false),
        (r#"{"name":"bot"}"#, false),
        (r#"{"content":"x"}"#, true),
        (r#"{"content":" "}"#, true),
        (r#"{"content":[{"type":"text","text":"x"}]}"#, true),
        (r#"{"reasoning_content":"hm"}"#, true),
        (r#"{"content":"","reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm"}]}"#, true),
        (r#"{"content":"","reasoning_details":[{"type":"reasoning.encrypted","data":"x"}]}"#, true),
        (r#"{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]}"#, true),
        (r#"{"function_call":{"name":"f","arguments":""}}"#, true),
        (r#"{"refusal":"no"}"#, true),
        (r#"{"audio":{"id":"a","transcript":"x"}}"#, true),
    ] {
        assert_eq!(starts_content(Operation::Chat, &delta(event)), content, "{event}");
    }
    for event in [
        ": OPENROUTER PROCESSING\n\n",
        "\n\n",
        "event: ping\ndata: {}\n\n",
        "data: [DONE]\n\n",
        "data: {\"choices\":[]}\n\n",
        "data: {\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":0,\"total_tokens\":1}}\n\n",
        "data: not json\n\n",
    ] {
        assert!(!starts_content(Operation::Chat, event), "{event}");
    }
    let second_choice = r#"data: {"choices":[{"index":0,"delta":{"content":""}},{"index":1,"delta":{"content":"x"}}]}"#;
    assert!(starts_content(Operation::Chat, second_choice));
    assert!(!starts_content(Operation::Completions, "data: {\"choices\":[{\"text\":\"\",\"index\":0}]}\n\n"));
    assert!(starts_content(Operation::Completions, "data: {\"choices\":[{\"text\":\"x\",\"index\":0}]}\n\n"));
}

#[test]
fn messages() {
    for (event, content) in [
        (
            r#"{"type":"message_start","message":{"role":"assistant","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}"#,
            false,
        ),
        (r#"{"type":"ping"}"#, false),
        (r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#, false),
        (
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
            false,
        ),
        (
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
            true,
        ),
        (r#"{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"x"}}"#, true),
        (
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"t","name":"web_search"}}"#,
            true,
        ),
        (r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}"#, false),
        (r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#, true),
        (r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#, true),
        (r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"x"}}"#, true),
        (r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":""}}"#, true),
        (r#"{"type":"content_block_stop","index":0}"#, false),
        (r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#, false),
        (r#"{"type":"message_stop"}"#, false),
    ] {
        assert_eq!(starts_content(Operation::Messages, &format!("data: {event}\n\n")), content, "{event}");
    }
}

#[test]
fn responses() {
    for (event, content) in [
        (r#"{"type":"response.created","response":{"status":"in_progress","output":[],"usage":null}}"#, false),
        (r#"{"type":"response.in_progress","response":{"status":"in_progress"}}"#, false),
        (r#"{"type":"response.queued","response":{}}"#, false),
        (r#"{"type":"keepalive","sequence_number":3}"#, false),
        (r#"{"type":"response.output_item.added","item":{"type":"message","content":[]}}"#, false),
        (r#"{"type":"response.output_item.added","item":{"type":"reasoning","summary":[]}}"#, false),
        (r#"{"type":"response.output_item.added","item":{"type":"function_call","name":"f","arguments":""}}"#, true),
        (r#"{"type":"response.output_item.added","item":{"type":"web_search_call","status":"in_progress"}}"#, true),
        (r#"{"type":"response.content_part.added","part":{"type":"output_text","text":""}}"#, false),
        (r#"{"type":"response.reasoning_summary_part.added","part":{"type":"summary_text","text":""}}"#, false),
        (r#"{"type":"response.output_text.delta","delta":""}"#, false),
        (r#"{"type":"response.output_text.delta","delta":"x"}"#, true),
        (r#"{"type":"response.reasoning_summary_text.delta","delta":"x"}"#, true),
        (r#"{"type":"response.reasoning_text.delta","delta":"x"}"#, true),
        (r#"{"type":"response.function_call_arguments.delta","delta":"{"}"#, true),
        (r#"{"type":"response.refusal.delta","delta":"x"}"#, true),
        (r#"{"type":"response.image_generation_call.partial_image","partial_image_b64":"AA=="}"#, true),
        (r#"{"type":"response.output_item.done","item":{"type":"reasoning","summary":[]}}"#, true),
        (
            r#"{"type":"response.completed","response":{"output":[],"usage":{"input_tokens":1,"output_tokens":0,"total_tokens":1}}}"#,
            false,
        ),
    ] {
        assert_eq!(starts_content(Operation::Responses, &format!("data: {event}\n\n")), content, "{event}");
    }
}

/// In recorded streams: whatever has an answer has a first content, and it is never in the first event of a chat
/// stream that only opens the message.
#[test]
fn every_recorded_answer_has_its_first_content() {
    let Some(exchanges) = traffic::exchanges("every_recorded_answer_has_its_first_content") else { return };
    let (mut streams, mut without) = (0, Vec::new());
    for exchange in exchanges.iter().filter(|exchange| exchange.status == 200 && exchange.is_events()) {
        let operation = match exchange.api.as_str() {
            "chat_completions" => Operation::Chat,
            "responses" => Operation::Responses,
            "completions" => Operation::Completions,
            "messages" => Operation::Messages,
            _ => continue,
        };
        streams += 1;
        let text = std::str::from_utf8(&exchange.body).unwrap();
        let documents = traffic::documents(&exchange.body, true);
        let answered = documents.iter().any(|event| holds_text(event, operation));
        assert_eq!(starts_content(operation, text), answered, "{}", exchange.id);
        if !answered {
            without.push(&exchange.id);
        }
        if let Some(first) = text.split_inclusive("\n\n").next()
            && (first.contains(r#""content":"""#)
                || first.contains("message_start")
                || first.contains("response.created"))
            && !["reasoning", "tool_calls", "thinking"].iter().any(|word| first.contains(&format!("\"{word}\":\"")))
        {
            let says = documents.first().is_some_and(|event| holds_text(event, operation));
            assert_eq!(starts_content(operation, first), says, "{}: {first}", exchange.id);
        }
    }
    println!("{streams} streams, without any content: {without:?}");
    assert!(streams > 100);
}

/// Whether an event holds anything a model made: text under any of the known names, wherever it stands.
fn holds_text(event: &Value, operation: Operation) -> bool {
    let says = |value: Option<&Value>| match value {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(members)) => !members.is_empty(),
        _ => false,
    };
    match operation {
        Operation::Messages => match event["type"].as_str() {
            Some("content_block_delta") => {
                let delta = &event["delta"];
                delta["type"] == "input_json_delta"
                    || ["text", "thinking", "signature", "citation"].iter().any(|key| says(delta.get(key)))
            }
            Some("content_block_start") => {
                !matches!(event["content_block"]["type"].as_str(), Some("text" | "thinking"))
            }
            _ => false,
        },
        Operation::Responses => {
            let kind = event["type"].as_str().unwrap_or_default();
            kind == "response.output_item.done"
                || (kind == "response.output_item.added"
                    && !matches!(event["item"]["type"].as_str(), Some("message" | "reasoning")))
                || (kind.ends_with(".delta") && says(event.get("delta")))
        }
        _ => event["choices"].as_array().into_iter().flatten().any(|choice| {
            let keys = [
                "content",
                "reasoning_content",
                "reasoning",
                "reasoning_text",
                "reasoning_details",
                "thinking",
                "tool_calls",
                "function_call",
                "refusal",
                "audio",
                "images",
                "executed_tools",
            ];
            let delta = choice.get("delta").or(choice.get("message"));
            says(choice.get("text")) || keys.iter().any(|key| says(delta.and_then(|delta| delta.get(key))))
        }),
    }
}

/// Bodies that are no stream are content from their first byte on; so are answers that are passed through unread.
#[test]
fn other_bodies() {
    for (dialect, operation) in [(DialectId::OpenAi, Operation::Chat), (DialectId::Opaque, Operation::Other)] {
        let mut tap = Tap::new(dialect, operation, false, false);
        let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
        assert!(!tap.content_started());
        tap.feed(Bytes::from_static(b"{"), &mut out);
        assert!(tap.content_started());
    }
}
