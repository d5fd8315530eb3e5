//! The scanner and the patch: the model found wherever it stands, and nothing changed but model and stream options.

mod traffic;

use bytes::Bytes;
use faregate::dialect::{Operation, ScanProblem, conversation_prefix, scan};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Patches a body and checks, byte by byte, that every difference is one of the two that were asked for.
fn patch(operation: Operation, body: &str, model: &str, ask: bool) -> String {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let facts = scan(operation, &bytes).unwrap_or_else(|error| panic!("{error}: {body:.200}"));
    let patched = facts.patch(&bytes, Some(model), ask);
    let patched = String::from_utf8(patched.to_vec()).unwrap();
    let again = scan(operation, patched.as_bytes()).unwrap();
    assert_eq!(again.model(), Some(model), "{patched:.300}");
    // Twice is once, and the same bytes then, not a copy.
    let once = Bytes::from(patched.clone());
    assert_eq!(again.patch(&once, Some(model), ask).as_ptr(), once.as_ptr());
    patched
}

fn model_of(body: &str) -> Option<String> {
    scan(Operation::Chat, body.as_bytes()).unwrap().model().map(str::to_owned)
}

#[test]
fn the_model_is_found_where_it_stands() {
    for (body, model) in [
        (r#"{"model":"a"}"#, Some("a")),
        ("\t{\r\n \"model\" :\n \"a\" }\n ", Some("a")),
        (r#"{"messages":[{"model":"no"}],"metadata":{"model":"no"},"model":"a"}"#, Some("a")),
        (r#"{"x":"\"model\":\"no\"","model":"a"}"#, Some("a")),
        (r#"{"x":"\\","model":"a","y":"\\\""}"#, Some("a")),
        (r#"{"mod\u0065l":"a"}"#, Some("a")),
        (r#"{"\u006d\u006f\u0064\u0065\u006c":"a"}"#, Some("a")),
        (r#"{"model":"a","model":"b"}"#, Some("b")),
        (r#"{"model":"a","mod\u0065l":"b"}"#, Some("b")),
        (r#"{"model":"\u00e9\ud83d\ude00\/x"}"#, Some("é😀/x")),
        (r#"{"model":"é😀"}"#, Some("é😀")),
        (r#"{"model":""}"#, Some("")),
        (r#"{"model":null}"#, None),
        (r#"{"Model":"a","model ":"b"}"#, None),
        ("{}", None),
        (r#"{"n":123456789012345678901234567890e+400,"m":-0.0e-9,"model":"a"}"#, Some("a")),
    ] {
        assert_eq!(model_of(body).as_deref(), model, "{body}");
    }
    let deep = |n: usize| format!("{{\"x\":{}{},\"model\":\"a\"}}", "[".repeat(n), "]".repeat(n));
    assert_eq!(model_of(&deep(100)).as_deref(), Some("a"));
    let long =
        format!("{{\"messages\":[{{\"content\":\"{}\"}}],\"model\":\"a\"}}", "\\\"model\\\":\\\\ é ".repeat(400_000));
    assert!(long.len() > 5_000_000);
    assert_eq!(model_of(&long).as_deref(), Some("a"));
    let patched = patch(Operation::Chat, &long, "b", false);
    assert_eq!(patched, long.replace("\"model\":\"a\"", "\"model\":\"b\""));
}

#[test]
fn what_is_no_request_is_refused_and_said_where() {
    for (body, problem, offset) in [
        ("", ScanProblem::Truncated, 0),
        ("  ", ScanProblem::Truncated, 2),
        ("[]", ScanProblem::NotAnObject, 0),
        ("\"model\"", ScanProblem::NotAnObject, 0),
        ("\u{FEFF}{}", ScanProblem::NotAnObject, 0),
        (r#"{"model":"a""#, ScanProblem::Truncated, 12),
        (r#"{"model":"a"#, ScanProblem::Truncated, 11),
        (r#"{"model":"a"} x"#, ScanProblem::Trailing, 14),
        (r#"{"model":"a"}{"model":"b"}"#, ScanProblem::Trailing, 13),
        (r#"{"model":7}"#, ScanProblem::ModelNotText, 9),
        (r#"{"model":["a"]}"#, ScanProblem::ModelNotText, 9),
        (r#"{"model":"\x"}"#, ScanProblem::ModelBroken, 9),
        (r#"{"model":"\ud800"}"#, ScanProblem::ModelBroken, 9),
        (r#"{"x":[}],"model":"a"}"#, ScanProblem::Mismatched, 6),
        (r#"{model:"a"}"#, ScanProblem::Unexpected, 1),
        (r#"{"model""a"}"#, ScanProblem::Unexpected, 8),
        (r#"{"a":1 "model":"a"}"#, ScanProblem::Unexpected, 7),
        (r#"{"a":1,,"model":"a"}"#, ScanProblem::Unexpected, 7),
        (r#"{"a":tru}"#, ScanProblem::Unexpected, 5),
    ] {
        let error = scan(Operation::Chat, body.as_bytes()).expect_err(body);
        assert_eq!((error.problem, error.offset), (problem, offset), "{body}");
    }
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
    assert_eq!(scan(Operation::Chat, deep.as_bytes()).unwrap_err().problem, ScanProblem::TooDeep);
    let endless = "{\"x\":".to_owned() + &"[{\"y\":".repeat(100_000);
    assert!(scan(Operation::Chat, endless.as_bytes()).is_err());
    let invalid = b"{\"model\":\"\xff\"}";
    assert_eq!(scan(Operation::Chat, invalid).unwrap_err().problem, ScanProblem::ModelBroken);
}

#[test]
fn a_patch_changes_no_other_byte() {
    for (body, ask, patched) in [
        (r#"{ "model" : "a" , "x":1}"#, false, r#"{ "model" : "b" , "x":1}"#),
        (r#"{"x":{"model":"a"},"model":"a"}"#, false, r#"{"x":{"model":"a"},"model":"b"}"#),
        (r#"{"model":"a","mod\u0065l":"b","model":"c"}"#, false, r#"{"model":"b","mod\u0065l":"b","model":"b"}"#),
        (r#"{"model":null}"#, false, r#"{"model":"b"}"#),
        ("{}", false, r#"{"model":"b"}"#),
        (" { } ", false, r#" {"model":"b" } "#),
        (r#"{"x":1}"#, false, r#"{"model":"b","x":1}"#),
        (
            r#"{"model":"b","stream":true}"#,
            true,
            r#"{"stream_options":{"include_usage":true},"model":"b","stream":true}"#,
        ),
        (r#"{"model":"b","stream":false}"#, true, r#"{"model":"b","stream":false}"#),
        (r#"{"model":"b"}"#, true, r#"{"model":"b"}"#),
        (
            r#"{"model":"b","stream":true,"stream_options":{}}"#,
            true,
            r#"{"model":"b","stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"model":"b","stream":true,"stream_options":{"x":1}}"#,
            true,
            r#"{"model":"b","stream":true,"stream_options":{"include_usage":true,"x":1}}"#,
        ),
        (
            r#"{"model":"b","stream":true,"stream_options":{"include_usage":false}}"#,
            true,
            r#"{"model":"b","stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"model":"b","stream":true,"stream_options":null}"#,
            true,
            r#"{"model":"b","stream":true,"stream_options":{"include_usage":true}}"#,
        ),
    ] {
        assert_eq!(patch(Operation::Chat, body, "b", ask), patched, "{body}");
        if ask {
            // APIs that report usage unasked refuse the option.
            assert_eq!(patch(Operation::Responses, body, "b", true), body);
        }
    }
    let name = "a \"b\" \\ \n é😀";
    let patched: Value = serde_json::from_str(&patch(Operation::Chat, r#"{"model":"a"}"#, name, false)).unwrap();
    assert_eq!(patched, json!({ "model": name }));
}

/// JSON with numbers that no float holds, keys that need escapes, and "model" in every place.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1_000_000i32..1_000_000).prop_map(|n| Value::from(f64::from(n) / 64.0)),
        ".{0,12}".prop_map(Value::from),
        Just(Value::from("\"model\":\"x\"")),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key(), inner), 0..5).prop_map(|pairs| Value::from(Map::from_iter(pairs))),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("model".to_owned()),
        Just("stream".to_owned()),
        Just("stream_options".to_owned()),
        Just("include_usage".to_owned()),
        "[a-z\"\\\\ é]{0,6}",
    ]
}

/// An object as a client may write it: any white space, keys with needless escapes. `chance` decides, over and over.
fn write(value: &Value, chance: &mut impl Iterator<Item = u8>, out: &mut String) {
    let space = |chance: &mut dyn Iterator<Item = u8>| {
        ["", "", " ", "\n", "\t\r\n"][usize::from(chance.next().unwrap_or(0)) % 5]
    };
    match value {
        Value::Object(members) => {
            out.push('{');
            for (n, (key, value)) in members.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                out.push_str(space(chance));
                let key = serde_json::to_string(key).unwrap();
                let escapes = chance.next().is_some_and(|byte| byte > 200) && !key.contains('\\');
                out.push_str(&if escapes { key.replace('e', "\\u0065").replace('m', "\\u006D") } else { key });
                out.push_str(space(chance));
                out.push(':');
                out.push_str(space(chance));
                write(value, chance, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                write(item, chance, out);
                out.push_str(space(chance));
            }
            out.push(']');
        }
        leaf => out.push_str(&leaf.to_string()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_object_is_patched_and_else_the_same(
        pairs in proptest::collection::vec((key(), value()), 0..7),
        model in proptest::option::of("[a-zA-Z0-9/.:-]{0,12}"),
        stream in any::<bool>(),
        ask in any::<bool>(),
        spaces in proptest::collection::vec(any::<u8>(), 8..40),
    ) {
        let mut object = Map::from_iter(pairs);
        object.remove("model");
        if let Some(model) = &model {
            object.insert("model".into(), model.clone().into());
        }
        object.insert("stream".into(), stream.into());
        let mut body = String::new();
        write(&Value::from(object.clone()), &mut spaces.iter().copied().cycle(), &mut body);
        prop_assert_eq!(&serde_json::from_str::<Value>(&body).unwrap(), &Value::from(object.clone()));
        let facts = scan(Operation::Chat, body.as_bytes()).unwrap();
        prop_assert_eq!(facts.model(), model.as_deref());
        prop_assert_eq!(facts.stream(), stream);

        let patched: Value = serde_json::from_str(&patch(Operation::Chat, &body, "new \"model\"", ask)).unwrap();
        object.insert("model".into(), "new \"model\"".into());
        if ask && stream {
            match object.get_mut("stream_options").and_then(Value::as_object_mut) {
                Some(options) => drop(options.insert("include_usage".into(), true.into())),
                None => drop(object.insert("stream_options".into(), json!({ "include_usage": true }))),
            }
        }
        prop_assert_eq!(patched, Value::from(object));
    }

    /// Whatever later turns add, the part that is hashed stays the same.
    #[test]
    fn the_conversations_start_stays(
        system in proptest::option::of(".{0,30}"),
        first in ".{0,40}",
        turns in proptest::collection::vec(".{0,30}", 1..6),
        responses in any::<bool>(),
    ) {
        let mut messages = Vec::new();
        if let Some(system) = system {
            messages.push(json!({ "role": "system", "content": system }));
        }
        messages.push(json!({ "role": "user", "content": [{ "type": "text", "text": first }] }));
        let body = |messages: &[Value]| {
            let name = if responses { "input" } else { "messages" };
            format!("{{\"model\":\"m\",\"{name}\":{},\"stream\":true}}", Value::from(messages.to_vec()))
        };
        let start = body(&messages);
        let length = conversation_prefix(start.as_bytes());
        prop_assert!(length < start.len(), "the end of the body is no part of it");
        prop_assert_eq!(start.as_bytes()[length - 1], b'}');
        for (n, turn) in turns.iter().enumerate() {
            let role = if n % 2 == 0 { "assistant" } else { "user" };
            messages.push(json!({ "role": role, "content": turn }));
            let later = body(&messages);
            prop_assert_eq!(conversation_prefix(later.as_bytes()), length);
            prop_assert_eq!(&later[..length], &start[..length]);
        }
    }
}

#[test]
fn the_start_of_odd_conversations() {
    for body in ["", "{", "[]", "{}", r#"{"messages":[]}"#, r#"{"messages":[{"role":"system","content":"x"}]}"#] {
        assert_eq!(conversation_prefix(body.as_bytes()), body.len(), "{body}");
    }
    let text = r#"{"model":"m","input":"hello","x":1}"#;
    assert_eq!(&text[..conversation_prefix(text.as_bytes())], r#"{"model":"m","input":"hello""#);
}

/// Recorded requests: the model as a JSON parser reads it, and a patch that a JSON parser agrees with.
#[test]
fn recorded_requests() {
    let Some(exchanges) = traffic::exchanges("recorded_requests") else { return };
    let mut seen = 0;
    for exchange in &exchanges {
        let Some(body) = exchange.request_body.as_deref() else { continue };
        let Ok(mut value) = serde_json::from_slice::<Value>(body) else { continue };
        let text = std::str::from_utf8(body).unwrap();
        if !value.is_object() || value.get("model").is_some_and(|model| !model.is_string() && !model.is_null()) {
            continue;
        }
        let facts = scan(Operation::Chat, body).unwrap_or_else(|error| panic!("{}: {error}", exchange.id));
        assert_eq!(facts.model(), value["model"].as_str(), "{}", exchange.id);
        assert_eq!(facts.stream(), value["stream"] == true);
        assert_eq!(facts.asks_usage(), value["stream_options"]["include_usage"] == true);
        let patched = patch(Operation::Chat, text, "other", true);
        value["model"] = "other".into();
        if value["stream"] == true {
            match value["stream_options"].as_object_mut() {
                Some(options) => drop(options.insert("include_usage".into(), true.into())),
                None => value["stream_options"] = json!({ "include_usage": true }),
            }
        }
        assert_eq!(serde_json::from_str::<Value>(&patched).unwrap(), value, "{}", exchange.id);
        seen += 1;
    }
    println!("{seen} requests");
    assert!(seen > 500);
}
