//! A value as YAML, so that every reader of YAML 1.1 or 1.2 reads the same value: what could be read in two ways is
//! quoted.
//!
//! With the layout that the value came in, keys keep their order and plain words stay as they stood; what is new comes
//! after them, in order of the alphabet. Lists stand as `kubectl` writes them, not indented below their key.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::read::{self, Node};

/// One document, without a marker.
pub(super) fn document(value: &Value, layout: Option<&Node>) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => write_map(&mut out, map, layout, 0, true),
        Value::Array(items) if !items.is_empty() => write_list(&mut out, items, layout, 0, true),
        _ => {
            out.push_str(&scalar(value, layout, 0));
            out.push('\n');
        }
    }
    out
}

/// Entries of a mapping; `fresh` says that the first one stands at the beginning of a line of its own.
fn write_map(out: &mut String, map: &Map<String, Value>, layout: Option<&Node>, indent: usize, fresh: bool) {
    let before: &[(String, Node)] = if let Some(Node::Map(entries)) = layout { entries } else { &[] };
    let kept = before.iter().filter_map(|(key, node)| Some((key, map.get(key)?, Some(node))));
    let new = map.iter().filter(|(key, _)| before.iter().all(|(known, _)| known != *key));
    for (index, (key, value, node)) in kept.chain(new.map(|(key, value)| (key, value, None))).enumerate() {
        if fresh || index > 0 {
            pad(out, indent);
        }
        out.push_str(&word(key));
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                write_map(out, inner, node, indent + 2, true);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                write_list(out, items, node, indent, true);
            }
            _ => {
                out.push(' ');
                out.push_str(&scalar(value, node, indent));
                out.push('\n');
            }
        }
    }
}

fn write_list(out: &mut String, items: &[Value], layout: Option<&Node>, indent: usize, fresh: bool) {
    let before: &[Node] = if let Some(Node::List(nodes)) = layout { nodes } else { &[] };
    let mut rest = before.iter();
    for (index, value) in items.iter().enumerate() {
        let node = rest.clone().position(|node| is_the_same(node, value)).and_then(|skipped| rest.nth(skipped));
        if fresh || index > 0 {
            pad(out, indent);
        }
        out.push_str("- ");
        match value {
            Value::Object(inner) if !inner.is_empty() => write_map(out, inner, node, indent + 2, false),
            Value::Array(inner) if !inner.is_empty() => write_list(out, inner, node, indent + 2, false),
            _ => {
                out.push_str(&scalar(value, node, indent));
                out.push('\n');
            }
        }
    }
}

/// Whether this is what a member of a list was before: by name, else by value.
fn is_the_same(node: &Node, value: &Value) -> bool {
    let name = |node: &Node| match node {
        Node::Map(entries) => entries.iter().find(|(key, _)| key == "name").map(|(_, name)| name.to_value()),
        Node::Scalar { .. } | Node::List(_) => None,
    };
    match (name(node), value.get("name")) {
        (Some(before), Some(now)) => before == *now,
        _ => node.to_value() == *value,
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A scalar or an empty collection; `indent` is that of the line that it stands in.
fn scalar(value: &Value, layout: Option<&Node>, indent: usize) -> String {
    if let Some(Node::Scalar { value: before, plain: Some(plain) }) = layout
        && before == value
        && !plain.is_empty()
        && !plain.contains('\n')
    {
        return plain.clone();
    }
    match value {
        Value::Object(_) => "{}".into(),
        Value::Array(_) => "[]".into(),
        Value::String(text) => block(text, indent).unwrap_or_else(|| word(text).into_owned()),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A text of several lines as a block, where nothing of it would be lost.
fn block(text: &str, indent: usize) -> Option<String> {
    let (lines, mark) = match text.strip_suffix('\n') {
        Some(lines) => (lines, "|"),
        None => (text, "|-"),
    };
    let readable = |c: char| c == '\n' || (c == '\t' || !c.is_control()) && !is_break(c);
    if !lines.contains('\n')
        || lines.starts_with([' ', '\n', '\t'])
        || lines.ends_with('\n')
        || !lines.chars().all(readable)
    {
        return None;
    }
    let mut out = mark.to_owned();
    for line in lines.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(&mut out, indent + 2);
            out.push_str(line);
        }
    }
    Some(out)
}

/// What some readers take for the end of a line, or for nothing.
fn is_break(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A text in one line, quoted unless every reader takes it for the same text.
fn word(text: &str) -> Cow<'_, str> {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_'))
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./@%+=:-".contains(&b))
        && !text.ends_with(':')
        && matches!(read::resolve(text), Value::String(_))
        && !text.eq_ignore_ascii_case("null");
    if plain {
        return Cow::Borrowed(text);
    }
    // JSON in an annotation stays readable.
    if text.contains('"') && !text.contains('\'') && !text.chars().any(|c| c.is_control() || is_break(c)) {
        return Cow::Owned(format!("'{text}'"));
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || is_break(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// A document read and written again, with `change` made to its value.
    fn rewritten(text: &str, change: impl FnOnce(&mut Value)) -> String {
        let layout = read::node(text).unwrap();
        let mut value = layout.to_value();
        change(&mut value);
        document(&value, Some(&layout))
    }

    #[test]
    fn the_users_order_and_words_stay() {
        let text = "z: 0644\na: yes\nlist:\n- name: b\n  mode: 0x1F\n- name: a\nquoted: \"0644\"\n";
        let out = rewritten(text, |value| {
            value["list"].as_array_mut().unwrap().insert(0, json!({ "name": "new", "on": "on" }));
            value["new"] = json!("yes");
        });
        assert_eq!(
            out,
            "z: 0644\na: yes\nlist:\n- name: new\n  \"on\": \"on\"\n- name: b\n  mode: 0x1F\n- name: a\nquoted: \"0644\"\nnew: \"yes\"\n"
        );
    }

    #[test]
    fn texts_of_several_lines_stay_readable() {
        let value = json!({ "a": "one\n two\n\nthree\n", "b": "x\ny", "c": " x\ny", "d": "x\n\n", "e": [] });
        assert_eq!(
            document(&value, None),
            "a: |\n  one\n   two\n\n  three\nb: |-\n  x\n  y\nc: \" x\\ny\"\nd: \"x\\n\\n\"\ne: []\n"
        );
    }

    fn anything() -> impl Strategy<Value = Value> {
        let tricky = prop::sample::select(vec![
            "yes",
            "no",
            "on",
            "y",
            "0644",
            "1e3",
            "null",
            "~",
            "",
            "- a",
            "a: b",
            "a #b",
            "#",
            "---",
            "...",
            "|",
            ">",
            "*a",
            "&a",
            "!t",
            "@a",
            "`",
            "%",
            "{}",
            "[]",
            "'",
            "\"",
            " a",
            "a ",
            "a\n",
            "\n",
            "\t",
            "a\tb",
            "\u{85}",
            "1:30",
            "=",
            "<<",
            "0o7",
            "2026-01-02",
            ".inf",
            "é",
            "\u{1f600}",
            "a:",
            ":a",
            "?",
            "? a",
            "-",
            "\u{7f}",
        ]);
        let text = prop_oneof![tricky.prop_map(str::to_owned), any::<String>(), "[ a-z:#\\n-]{0,20}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(value in anything()) {
            let text = document(&value, None);
            prop_assert_eq!(&read::value(&text).unwrap(), &value, "{}", text);
            // And by a reader that is not ours.
            let theirs: Value = serde_yaml::from_str(&text).unwrap();
            prop_assert_eq!(&theirs, &value, "{}", text);
            // With its layout, nothing moves.
            let layout = read::node(&text).unwrap();
            prop_assert_eq!(document(&value, Some(&layout)), text);
        }
    }
}
