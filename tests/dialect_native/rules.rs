//! The rules of counting, one vendor after the other. Each number is a different one, so that none stands in for
//! another.

use faregate::chat::{ServiceTier, Usage, UsageReport};
use faregate::dialect::UpstreamErrorKind;

use super::{chunk, event, events, frame, frames, json, reported, run};

const GEMINI: &str = "/v1beta/models/gemini-2.5-flash:generateContent";
const GEMINI_STREAM: &str = "/v1beta/models/gemini-2.5-flash:streamGenerateContent";
const INVOKE: &str = "/model/m/invoke";
const INVOKE_STREAM: &str = "/model/m/invoke-with-response-stream";

#[test]
fn gemini_cache_audio_tools_and_thoughts_are_taken_apart() {
    let told = json(
        GEMINI,
        r#"{"candidates":[],"modelVersion":"gemini-2.5-flash","usageMetadata":{"promptTokenCount":1518,
        "candidatesTokenCount":202,"totalTokenCount":1966,"cachedContentTokenCount":1122,"toolUsePromptTokenCount":61,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":43},{"modality":"VIDEO","tokenCount":1315},
        {"modality":"AUDIO","tokenCount":160}],"cacheTokensDetails":[{"modality":"AUDIO","tokenCount":118},
        {"modality":"TEXT","tokenCount":31},{"modality":"VIDEO","tokenCount":973}],"thoughtsTokenCount":185,
        "candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":2},{"modality":"TEXT","tokenCount":200}]}}"#,
    );
    let usage = Usage {
        input: 1518 - 1122 + 61 - 42,
        cache_read: 1122,
        audio_input: 42,
        output: 200,
        audio_output: 2,
        reasoning: 185,
        ..Usage::default()
    };
    assert_eq!((told.usage, told.model.as_deref()), (reported(usage), Some("gemini-2.5-flash")));
    assert!(told.content && !told.stream);
}

#[test]
fn gemini_modalities_may_be_numbers_and_documents_cached_as_images() {
    let by_number = r#"{"usageMetadata":{"promptTokenCount":521,"candidatesTokenCount":5,"totalTokenCount":526,"trafficType":1,
        "promptTokensDetails":[{"modality":2,"tokenCount":516},{"modality":1,"tokenCount":5}]}}"#;
    let usage = Usage { input: 5, image_input: 516, output: 5, ..Usage::default() };
    assert_eq!(json(GEMINI, by_number).usage, reported(usage));
    let as_image = r#"{"usageMetadata":{"promptTokenCount":1344,"candidatesTokenCount":1,"totalTokenCount":1345,
        "cachedContentTokenCount":1274,"promptTokensDetails":[{"modality":"TEXT","tokenCount":54},{"modality":"DOCUMENT","tokenCount":1290}],
        "cacheTokensDetails":[{"modality":"TEXT","tokenCount":51},{"modality":"IMAGE","tokenCount":1223}]}}"#;
    let usage = Usage { input: 70, cache_read: 1274, output: 1, ..Usage::default() };
    assert_eq!(json(GEMINI, as_image).usage, reported(usage));
}

#[test]
fn gemini_streams_repeat_and_the_last_report_counts() {
    let chunks = [
        r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":7,"totalTokenCount":7}}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"b"}]}}],"usageMetadata":{"trafficType":"ON_DEMAND_FLEX"}}"#,
        r#"{"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":3,"thoughtsTokenCount":4,"totalTokenCount":14},"modelVersion":"m"}"#,
    ];
    let usage = Usage { input: 7, output: 3, reasoning: 4, ..Usage::default() };
    let told = events(GEMINI_STREAM, &chunks);
    assert_eq!((told.usage, told.tier, told.content, told.stream), (reported(usage), ServiceTier::Flex, true, true));
    // The same as a list, which is what comes without `alt=sse`.
    let list = format!("[{}\n,\r\n{},\n{}]\n", chunks[0], chunks[1], chunks[2]);
    let told = json(GEMINI_STREAM, &list);
    assert_eq!((told.usage, told.tier, told.content, told.stream), (reported(usage), ServiceTier::Flex, true, true));
    // Until the last has come, what was said so far is what is known.
    let half = json(GEMINI_STREAM, &format!("[{},{}", chunks[0], chunks[1]));
    assert_eq!(half.usage, reported(Usage { input: 7, ..Usage::default() }));
}

#[test]
fn gemini_without_a_report_is_unknown_and_one_that_does_not_add_up_is_said_to() {
    for body in [
        "{}",
        r#"{"candidates":[]}"#,
        r#"{"usageMetadata":{}}"#,
        r#"{"usageMetadata":null}"#,
        r#"{"usageMetadata":{"trafficType":"ON_DEMAND"}}"#,
        r#"{"usageMetadata":{"totalTokenCount":9}}"#,
        r#"{"usageMetadata":{"promptTokenCount":"9"}}"#,
        r#"{"usageMetadata":{"promptTokenCount":9"#,
        r#"{"nested":{"usageMetadata":{"promptTokenCount":9}}}"#,
    ] {
        assert_eq!(json(GEMINI, body).usage, UsageReport::Unknown, "{body}");
    }
    for body in [
        r#"{"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1,"totalTokenCount":11}}"#,
        r#"{"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2,"cachedContentTokenCount":10,"totalTokenCount":11}}"#,
        r#"{"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2,"totalTokenCount":11,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":10}]}}"#,
    ] {
        assert!(matches!(json(GEMINI, body).usage, UsageReport::Inconsistent(_)), "{body}");
    }
}

#[test]
fn gemini_searches_are_charged_by_prompt_or_by_query() {
    let body = |model: &str| {
        format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":"x"}}]}},"groundingMetadata":{{"webSearchQueries":["a","","b"]}}}}],"usageMetadata":{{"promptTokenCount":1,"candidatesTokenCount":1,"totalTokenCount":2}},"modelVersion":"{model}"}}"#
        )
    };
    let searches = |model| json(GEMINI, &body(model)).usage.usage().map(|usage| usage.web_searches);
    assert_eq!(searches("gemini-2.5-flash"), Some(1));
    assert_eq!(searches("models/gemini-2.0-flash"), Some(1));
    assert_eq!(searches("gemini-3-flash-preview"), Some(2));
    let grounded = body("gemini-3-flash-preview");
    let again = grounded.replace(r#"["a","","b"]"#, r#"["a"]"#);
    let told = events(GEMINI_STREAM, &[&grounded, &again]);
    assert_eq!(told.usage.usage().map(|usage| usage.web_searches), Some(2));
}

#[test]
fn gemini_content_is_what_the_model_made() {
    let content = |part: &str| {
        events(GEMINI_STREAM, &[&format!(r#"{{"candidates":[{{"content":{{"role":"model","parts":[{part}]}}}}]}}"#)])
            .content
    };
    assert!(!content(""));
    assert!(!content(r#"{"text":""}"#));
    assert!(!content(r#"{"text":"","thoughtSignature":"abc"}"#));
    assert!(content(r#"{"text":"hm","thought":true}"#));
    assert!(content(r#"{"functionCall":{"name":"f","args":{}}}"#));
    assert!(content(r#"{"inlineData":{"mimeType":"image/png","data":"AAAA"}}"#));
    let failed = events(GEMINI_STREAM, &[r#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#]);
    assert!(!failed.content);
    assert_eq!(
        failed.error.map(|error| (error.0, error.2)),
        Some((UpstreamErrorKind::Overloaded, "overloaded".into()))
    );
}

#[test]
fn gemini_embeddings_have_a_prompt_only() {
    let body = r#"{"embeddings":[{"values":[1,2]}],"usageMetadata":{"promptTokenCount":261,"promptTokenDetails":[{"modality":"IMAGE","tokenCount":258},{"modality":"TEXT","tokenCount":3}]}}"#;
    let told = json("/v1beta/models/gemini-embedding-2:batchEmbedContents", body);
    assert_eq!(told.usage, reported(Usage { input: 3, image_input: 258, ..Usage::default() }));
}

#[test]
fn predictions_are_counted_one_by_one() {
    let path = "/v1/projects/p/locations/l/publishers/google/models/text-embedding-005:predict";
    let body = r#"{"predictions":[{"embeddings":{"statistics":{"truncated":false,"token_count":10},"values":[0.1]}},
        {"embeddings":{"values":["\"token_count\":99"],"statistics":{"token_count" : 7}}}],"metadata":{"billableCharacterCount":29}}"#;
    assert_eq!(json(path, body).usage, reported(Usage { input: 17, ..Usage::default() }));
    let lookalike = r#"{"predictions":[{"\"token_count":1,"token_counts":2,"a_token_count":3,"token_count":4}]}"#;
    assert_eq!(json(path, lookalike).usage, reported(Usage { input: 4, ..Usage::default() }));
    assert_eq!(json(path, r#"{"predictions":[]}"#).usage, UsageReport::Unknown);
}

#[test]
fn interactions_count_under_other_names() {
    let usage = r#"{"total_tokens":1434,"total_input_tokens":400,"total_cached_tokens":100,"total_output_tokens":4,"total_thought_tokens":1000,"total_tool_use_tokens":30,"input_tokens_by_modality":[{"modality":"text","tokens":142},{"modality":"image","tokens":258}]}"#;
    let want = Usage { input: 72, cache_read: 100, image_input: 258, output: 4, reasoning: 1000, ..Usage::default() };
    let body =
        format!(r#"{{"model":"gemini-3-flash","service_tier":"priority","status":"completed","usage":{usage}}}"#);
    let told = json("/v1beta/interactions", &body);
    assert_eq!((told.usage, told.tier), (reported(want), ServiceTier::Priority));
    assert_eq!(told.model.as_deref(), Some("gemini-3-flash"));
    let early = r#"{"event_type":"interaction.created","interaction":{"model":"m"},"metadata":{"usage":{"total_tokens":5,"total_input_tokens":5}}}"#;
    let thought = r#"{"event_type":"step.start","index":0,"step":{"type":"thought"}}"#;
    assert!(!events("/v1beta/interactions", &[early, thought]).content);
    let text = r#"{"event_type":"step.delta","index":0,"delta":{"type":"text","text":"x"}}"#;
    let end = format!(r#"{{"event_type":"interaction.completed","interaction":{{"usage":{usage}}}}}"#);
    let told = events("/v1beta/interactions", &[early, thought, text, &end, "[DONE]"]);
    assert_eq!((told.usage, told.content), (reported(want), true));
    let began = json("/v1beta/interactions", r#"{"status":"in_progress"}"#);
    assert_eq!(began.usage, UsageReport::Unknown);
}

#[test]
fn converse_counts_cache_beside_input() {
    let body = r#"{"output":{},"usage":{"inputTokens":3,"outputTokens":227,"totalTokens":3942,"cacheReadInputTokens":2000,
        "cacheReadInputTokenCount":2000,"cacheWriteInputTokens":1712,"cacheWriteInputTokenCount":1712,"serverToolUsage":{},
        "cacheDetails":[{"inputTokens":700,"ttl":"5m"},{"inputTokens":1012,"ttl":"1h"}]},"serviceTier":{"type":"flex"}}"#;
    let told = json("/model/m/converse", body);
    let usage = Usage {
        input: 3,
        cache_read: 2000,
        cache_write_5m: 700,
        cache_write_1h: 1012,
        output: 227,
        ..Usage::default()
    };
    assert_eq!((told.usage, told.tier), (reported(usage), ServiceTier::Flex));
    let partial = json("/model/m/converse", r#"{"usage":{"outputTokens":50}}"#);
    assert_eq!(partial.usage, UsageReport::Unknown, "half a report is none");
    let wrong = json("/model/m/converse", r#"{"usage":{"inputTokens":3,"outputTokens":4,"totalTokens":8}}"#);
    assert!(matches!(wrong.usage, UsageReport::Inconsistent(_)));
    let optimised = r#"{"usage":{"inputTokens":3,"outputTokens":4},"performanceConfig":{"latency":"optimized"}}"#;
    assert_eq!(json("/model/m/converse", optimised).tier, ServiceTier::Other);
}

#[test]
fn converse_streams_start_with_content_and_end_with_metadata() {
    let path = "/model/m/converse-stream";
    let start = event("messageStart", r#"{"role":"assistant","p":"abc"}"#);
    let nothing = event("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":""}}"#);
    assert!(!frames(path, &[start.clone(), nothing.clone()]).content);
    for made in [
        r#"{"contentBlockIndex":0,"delta":{"text":"x"}}"#,
        r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}}}"#,
        r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{"}}}"#,
    ] {
        assert!(frames(path, &[start.clone(), event("contentBlockDelta", made)]).content, "{made}");
    }
    let call =
        event("contentBlockStart", r#"{"contentBlockIndex":0,"start":{"toolUse":{"name":"f","toolUseId":"t"}}}"#);
    let end =
        event("metadata", r#"{"metrics":{"latencyMs":9},"usage":{"inputTokens":5,"outputTokens":6,"totalTokens":11}}"#);
    let told = frames(path, &[start, nothing, call, end]);
    assert_eq!((told.usage, told.content), (reported(Usage { input: 5, output: 6, ..Usage::default() }), true));
}

#[test]
fn exceptions_end_an_event_stream() {
    for (name, kind) in [
        ("throttlingException", UpstreamErrorKind::RateLimited),
        ("serviceUnavailableException", UpstreamErrorKind::Overloaded),
        ("modelStreamErrorException", UpstreamErrorKind::ServerError),
        ("validationException", UpstreamErrorKind::Invalid),
    ] {
        let headers = [(":exception-type", name), (":message-type", "exception")];
        let told = frames("/model/m/converse-stream", &[frame(&headers, br#"{"message":"no \"more\""}"#)]);
        assert_eq!(told.error, Some((kind, Some(name.into()), "no \"more\"".into())));
        assert!(!told.content && told.usage == UsageReport::Unknown);
    }
    let headers = [(":error-code", "InternalFailure"), (":error-message", "sorry"), (":message-type", "error")];
    let told = frames(INVOKE_STREAM, &[frame(&headers, b"")]);
    assert_eq!(told.error.map(|error| error.2).as_deref(), Some("sorry"));
}

#[test]
fn invoke_reads_each_models_own_words() {
    for (body, want) in [
        // Claude.
        (
            r#"{"type":"message","content":[],"usage":{"input_tokens":4,"cache_creation_input_tokens":7,"cache_read_input_tokens":9,"output_tokens":10}}"#,
            Usage { input: 4, cache_read: 9, cache_write_5m: 7, output: 10, ..Usage::default() },
        ),
        // Nova.
        (
            r#"{"output":{},"usage":{"inputTokens":7,"outputTokens":53,"totalTokens":62,"cacheReadInputTokenCount":2,"cacheWriteInputTokenCount":0}}"#,
            Usage { input: 7, cache_read: 2, output: 53, ..Usage::default() },
        ),
        // Jamba, gpt-oss.
        (
            r#"{"choices":[],"usage":{"prompt_tokens":17,"completion_tokens":8,"total_tokens":25}}"#,
            Usage { input: 17, output: 8, ..Usage::default() },
        ),
        // Llama.
        (
            r#"{"generation":"x","prompt_token_count":7,"generation_token_count":512}"#,
            Usage { input: 7, output: 512, ..Usage::default() },
        ),
        // Titan.
        (
            r#"{"inputTextTokenCount":28.0,"results":[{"tokenCount":197.0,"outputText":"a"},{"tokenCount":3,"outputText":"b"}]}"#,
            Usage { input: 28, output: 200, ..Usage::default() },
        ),
        // Command.
        (
            r#"{"text":"x","meta":{"billed_units":{"input_tokens":7,"output_tokens":8},"tokens":{"input_tokens":73,"output_tokens":9}}}"#,
            Usage { input: 7, output: 8, ..Usage::default() },
        ),
    ] {
        assert_eq!(json(INVOKE, body).usage, reported(want), "{body}");
    }
    assert_eq!(json(INVOKE, r#"{"outputs":[{"text":"x"}]}"#).usage, UsageReport::Unknown);
    assert_eq!(json(INVOKE, r#"{"generation":"x","prompt_token_count":7}"#).usage, UsageReport::Unknown);
    let embedding = json("/model/amazon.titan-embed-text-v2:0/invoke", r#"{"embedding":[1],"inputTextTokenCount":3}"#);
    assert_eq!(embedding.usage, reported(Usage { input: 3, ..Usage::default() }));
}

#[test]
fn what_bedrock_measured_counts_where_the_model_said_nothing() {
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Amzn-Bedrock-Input-Token-Count", "16"),
        ("X-Amzn-Bedrock-Output-Token-Count", "11"),
        ("X-Amzn-Bedrock-Cache-Read-Input-Token-Count", "5"),
    ];
    let measured = reported(Usage { input: 16, output: 11, cache_read: 5, ..Usage::default() });
    let said = |body: &[u8]| run(INVOKE, &headers, body, &[]).unwrap().usage;
    assert_eq!(said(br#"{"type":"completion","completion":"x"}"#), measured);
    assert_eq!(
        said(br#"{"usage":{"input_tokens":1,"output_tokens":2}}"#),
        reported(Usage { input: 1, output: 2, ..Usage::default() })
    );
    let tier = [("content-type", "application/json"), ("x-amzn-bedrock-service-tier", "priority")];
    assert_eq!(run(INVOKE, &tier, b"{}", &[]).unwrap().tier, ServiceTier::Priority);
    // Only where nothing is generated may the output go unsaid.
    let input = [("content-type", "application/json"), ("x-amzn-bedrock-input-token-count", "3")];
    assert_eq!(run(INVOKE, &input, b"{}", &[]).unwrap().usage, UsageReport::Unknown);
    let embeds = run("/model/us.cohere.embed-v4:0/invoke", &input, b"{}", &[]).unwrap();
    assert_eq!(embeds.usage, reported(Usage { input: 3, ..Usage::default() }));
}

#[test]
fn invoke_streams_unwrap_the_models_own_events() {
    let metrics =
        r#""amazon-bedrock-invocationMetrics":{"inputTokenCount":702,"outputTokenCount":98,"invocationLatency":3042}"#;
    let claude = [
        chunk(
            r#"{"type":"message_start","message":{"model":"claude","usage":{"input_tokens":702,"output_tokens":1}}}"#,
        ),
        chunk(r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#),
        chunk(r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":130}}"#),
        chunk(&format!(r#"{{"type":"message_stop",{metrics}}}"#)),
    ];
    // Bedrock's measurement of a stream leaves out what the model wrote of a tool call; whole answers say the same as
    // the model does.
    let told = frames(INVOKE_STREAM, &claude);
    assert_eq!((told.usage, told.content), (reported(Usage { input: 702, output: 130, ..Usage::default() }), true));
    assert_eq!(told.model.as_deref(), Some("claude"));
    let silent = [claude[1].clone(), claude[3].clone()];
    assert_eq!(frames(INVOKE_STREAM, &silent).usage, reported(Usage { input: 702, output: 98, ..Usage::default() }));
    for first in
        [r#"{"outputs":[{"text":"x"}]}"#, r#"{"completion":"x"}"#, r#"{"generation":"x"}"#, r#"{"outputText":"x"}"#]
    {
        let told = frames(INVOKE_STREAM, &[chunk(first), chunk(&format!(r#"{{"outputs":[],{metrics}}}"#))]);
        assert_eq!((told.usage, told.content), (reported(Usage { input: 702, output: 98, ..Usage::default() }), true));
    }
    let nova = [
        chunk(r#"{"messageStart":{"role":"assistant"}}"#),
        chunk(r#"{"contentBlockDelta":{"delta":{"text":"x"},"contentBlockIndex":0}}"#),
        chunk(&format!(r#"{{"metadata":{{"usage":{{"inputTokens":5,"outputTokens":6}}}},{metrics}}}"#)),
    ];
    assert!(!frames(INVOKE_STREAM, &nova[..1]).content);
    let told = frames(INVOKE_STREAM, &nova);
    assert_eq!((told.usage, told.content), (reported(Usage { input: 5, output: 6, ..Usage::default() }), true));
    assert_eq!(frames(INVOKE_STREAM, &claude[1..2]).usage, UsageReport::Unknown);
}

#[test]
fn cohere_charges_billed_units() {
    let body = r#"{"id":"x","message":{},"usage":{"billed_units":{"input_tokens":26,"output_tokens":147},"tokens":{"input_tokens":1431,"output_tokens":152,"reasoning_tokens":145},"cached_tokens":1392}}"#;
    assert_eq!(
        json("/v2/chat", body).usage,
        reported(Usage { input: 26, output: 2, reasoning: 145, ..Usage::default() })
    );
    let image = r#"{"usage":{"billed_units":{"input_tokens":262,"output_tokens":59},"tokens":{"input_tokens":499,"output_tokens":59,"image_tokens":259}}}"#;
    assert_eq!(
        json("/v2/chat", image).usage,
        reported(Usage { input: 3, image_input: 259, output: 59, ..Usage::default() })
    );
    let meta = r#"{"text":"x","meta":{"billed_units":{"input_tokens":897,"output_tokens":118},"tokens":{"input_tokens":1403,"output_tokens":120},"cached_tokens":448}}"#;
    assert_eq!(json("/v1/chat", meta).usage, reported(Usage { input: 897, output: 118, ..Usage::default() }));
    let embed = r#"{"embeddings":{"float":[[1]]},"meta":{"billed_units":{"input_tokens":7,"image_tokens":0}}}"#;
    assert_eq!(json("/v2/embed", embed).usage, reported(Usage { input: 7, ..Usage::default() }));
    let rerank = r#"{"results":[],"meta":{"billed_units":{"search_units":1}}}"#;
    assert_eq!(json("/v2/rerank", rerank).usage, UsageReport::Unknown, "search units are no tokens");
    let pieces = r#"{"embeddings":{"float":[[1]]},"meta":{"billed_units":{"images":1}}}"#;
    assert_eq!(json("/v1/embed", pieces).usage, UsageReport::Unknown);
}

#[test]
fn cohere_streams_in_both_versions() {
    let start = r#"{"type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[]}}}"#;
    let opening = r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}"#;
    let end = r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":24,"output_tokens":63}}}}"#;
    assert!(!events("/v2/chat", &[start, opening]).content);
    for made in [
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"x"}}}}"#,
        r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"x"}}}"#,
        r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"t","function":{"name":"f","arguments":""}}}}}"#,
    ] {
        let told = events("/v2/chat", &[start, opening, made, end, "[DONE]"]);
        assert_eq!((told.usage, told.content), (reported(Usage { input: 24, output: 63, ..Usage::default() }), true));
    }
    let failed = r#"{"type":"message-end","delta":{"finish_reason":"ERROR","usage":{},"error":"invalid tool generation","error_type":"INVALID"}}"#;
    let told = events("/v2/chat", &[start, failed]);
    assert_eq!(told.error.map(|error| error.2).as_deref(), Some("invalid tool generation"));
    assert_eq!(told.usage, UsageReport::Unknown);
    let lines = [
        r#"{"is_finished":false,"event_type":"stream-start","generation_id":"g"}"#,
        r#"{"is_finished":false,"event_type":"text-generation","text":"Ar"}"#,
        r#"{"is_finished":true,"event_type":"stream-end","response":{"text":"Ar","meta":{"billed_units":{"input_tokens":7,"output_tokens":115}}},"finish_reason":"COMPLETE"}"#,
    ];
    let headers = [("content-type", "application/stream+json")];
    assert!(!run("/v1/chat", &headers, lines[0].as_bytes(), &[]).unwrap().content);
    let told = run("/v1/chat", &headers, lines.join("\n").as_bytes(), &[]).unwrap();
    assert_eq!((told.usage, told.stream), (reported(Usage { input: 7, output: 115, ..Usage::default() }), true));
}

#[test]
fn a_host_may_speak_openai_under_a_path_of_its_own() {
    let told = events(
        "/v1/chat",
        &[
            r#"{"model":"palmyra-x4","choices":[{"delta":{"role":"assistant","content":null}}]}"#,
            r#"{"model":"palmyra-x4","choices":[{"delta":{"content":"x"}}]}"#,
            r#"{"model":"palmyra-x4","choices":[],"usage":{"prompt_tokens":39,"total_tokens":76,"completion_tokens":37,"prompt_token_details":{"cached_tokens":9},"completion_tokens_details":null}}"#,
            "[DONE]",
        ],
    );
    assert_eq!(told.usage, reported(Usage { input: 30, cache_read: 9, output: 37, ..Usage::default() }));
    assert_eq!(told.model.as_deref(), Some("palmyra-x4"));
    let rerank =
        json("/v1/rerank", r#"{"object":"list","data":[],"model":"rerank-2-lite","usage":{"total_tokens":57}}"#);
    assert_eq!(rerank.usage, reported(Usage { input: 57, ..Usage::default() }));
    let image = r#"{"data":[{"b64_json":"AAAA"}],"usage":{"input_tokens":50,"input_tokens_details":{"image_tokens":40,"text_tokens":10},"output_tokens":1056,"total_tokens":1106}}"#;
    let told = json("/v1/images/generations", image);
    assert_eq!(told.usage, reported(Usage { input: 10, image_input: 40, output: 1056, ..Usage::default() }));
    let speech = r#"{"text":"x","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"audio_tokens":14,"text_tokens":0},"output_tokens":45,"total_tokens":59}}"#;
    let told = json("/v1/audio/transcriptions", speech);
    assert_eq!(told.usage, reported(Usage { audio_input: 14, output: 45, ..Usage::default() }));
    let by_time = json("/v1/audio/transcriptions", r#"{"text":"x","usage":{"type":"duration","seconds":7}}"#);
    assert_eq!(by_time.usage, UsageReport::Unknown);
}

#[test]
fn ollama_counts_in_its_last_object() {
    let lines = [
        r#"{"model":"qwen3:4b","message":{"role":"assistant","content":""},"done":false}"#,
        r#"{"model":"qwen3:4b","message":{"role":"assistant","content":"","thinking":"hm"},"done":false}"#,
        r#"{"model":"qwen3:4b","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":237,"eval_count":321}"#,
    ];
    let headers = [("content-type", "application/x-ndjson")];
    let said = |lines: &[&str]| run("/api/chat", &headers, lines.join("\n").as_bytes(), &[]).unwrap();
    assert!(!said(&lines[..1]).content);
    let told = said(&lines);
    assert_eq!((told.usage, told.content), (reported(Usage { input: 237, output: 321, ..Usage::default() }), true));
    assert_eq!((told.model.as_deref(), told.stream), (Some("qwen3:4b"), true));
    assert_eq!(said(&lines[..2]).usage, UsageReport::Unknown);
    let failed = said(&[lines[0], r#"{"error":"model runner has unexpectedly stopped"}"#]);
    assert_eq!(failed.error.map(|error| error.2).as_deref(), Some("model runner has unexpectedly stopped"));
    let whole =
        json("/api/generate", r#"{"model":"m","response":"x","done":true,"prompt_eval_count":17,"eval_count":63}"#);
    assert_eq!((whole.usage, whole.stream), (reported(Usage { input: 17, output: 63, ..Usage::default() }), false));
    let cached = json("/api/generate", r#"{"model":"m","response":"x","done":true,"eval_count":63}"#);
    assert_eq!(cached.usage, UsageReport::Unknown, "a prompt that was not counted is not one of no tokens");
    let embed = json("/api/embed", r#"{"model":"m","embeddings":[[1]],"prompt_eval_count":8}"#);
    assert_eq!(embed.usage, reported(Usage { input: 8, ..Usage::default() }));
}

#[test]
fn claude_on_vertex_counts_as_at_home() {
    let path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-3-7-sonnet@20250219";
    let told = events(
        &format!("{path}:streamRawPredict"),
        &[
            r#"{"type":"message_start","message":{"model":"claude-3-7-sonnet-20250219","usage":{"input_tokens":453,"cache_read_input_tokens":5,"output_tokens":10}}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#,
            r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":67}}"#,
            r#"{"type":"message_stop"}"#,
        ],
    );
    assert_eq!(told.usage, reported(Usage { input: 453, cache_read: 5, output: 67, ..Usage::default() }));
    let whole = json(&format!("{path}:rawPredict"), r#"{"model":"m","usage":{"input_tokens":3,"output_tokens":4}}"#);
    assert_eq!(whole.usage, reported(Usage { input: 3, output: 4, ..Usage::default() }));
}
