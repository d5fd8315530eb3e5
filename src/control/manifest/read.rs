//! YAML as `kubectl` reads it: a value, and the layout that it came in.
//!
//! That reader is YAML 1.1 in what plain words mean: `yes`, `on` and `y` are true, `0644` is octal. Merge keys count.
//! Bounds: [`MAX_DEPTH`], and [`MAX_NODES`], which repeated aliases count towards.

use std::collections::HashMap;
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};

/// Deepest nesting.
const MAX_DEPTH: usize = 64;
/// Most values in one document.
const MAX_NODES: usize = 1_000_000;

/// A text that is no YAML, or not such as a manifest has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for Unreadable {}

impl Unreadable {
    /// As seen from a text in which `lines` stand before this one's.
    pub(super) fn below(mut self, lines: usize) -> Self {
        self.line += lines;
        self
    }
}

/// A value with its layout.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// A scalar; `plain` is its text where that stood without quotes.
    Scalar { value: Value, plain: Option<String> },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in order of the text.
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Scalar { value, .. } => value.clone(),
            Self::List(items) => items.iter().map(Self::to_value).collect(),
            Self::Map(entries) => {
                Value::Object(entries.iter().map(|(key, node)| (key.clone(), node.to_value())).collect::<Map<_, _>>())
            }
        }
    }

    fn size(&self) -> usize {
        1 + match self {
            Self::Scalar { .. } => 0,
            Self::List(items) => items.iter().map(Self::size).sum(),
            Self::Map(entries) => entries.iter().map(|(_, node)| node.size()).sum::<usize>(),
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::Scalar { .. } => 0,
            Self::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(entries) => 1 + entries.iter().map(|(_, node)| node.depth()).max().unwrap_or(0),
        }
    }
}

/// The value of one document.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn value(text: &str) -> Result<Value, Unreadable> {
    node(text).map(|node| node.to_value())
}

/// The value of one document, with its layout.
pub(super) fn node(text: &str) -> Result<Node, Unreadable> {
    let mut reader = Reader::default();
    for next in Parser::new_from_str(text) {
        match next {
            Ok((event, span)) => reader
                .event(event, span.start.line())
                .map_err(|message| Unreadable { line: span.start.line(), message })?,
            Err(error) => {
                let message = format!("this is no YAML: {}", error.info());
                return Err(Unreadable { line: error.marker().line().min(text.lines().count()).max(1), message });
            }
        }
    }
    Ok(reader.root.unwrap_or(Node::Scalar { value: Value::Null, plain: None }))
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

struct Open {
    anchor: usize,
    items: Items,
}

/// A key that waits for its value. Only a plain `<<` merges.
struct Key {
    name: String,
    plain: bool,
}

enum Items {
    List(Vec<Node>),
    Map { entries: Vec<(String, Node)>, key: Option<Key>, merged: Vec<Node> },
}

impl Reader {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => Err("a second document begins without `---`".into()),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let value = scalar(&text, plain, tag.as_deref())?;
                self.add(Node::Scalar { value, plain: (plain && tag.is_none()).then(|| text.into_owned()) }, anchor)
            }
            Event::SequenceStart(anchor, tag) => self.start(anchor, tag.as_deref(), Items::List(Vec::new())),
            Event::MappingStart(anchor, tag) => {
                let items = Items::Map { entries: Vec::new(), key: None, merged: Vec::new() };
                self.start(anchor, tag.as_deref(), items)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or("an alias stands inside the anchor that it names")?;
                let (node, size) = (node.clone(), node.size());
                if self.open.len() + node.depth() > MAX_DEPTH {
                    return Err(format!("nested deeper than {MAX_DEPTH} levels"));
                }
                self.count(size)?;
                self.add(node, 0)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
        .map_err(|message| if line == 0 { format!("at the end: {message}") } else { message })
    }

    fn start(&mut self, anchor: usize, tag: Option<&Tag>, items: Items) -> Result<(), String> {
        if tag.is_some_and(|tag| !(tag.is_yaml_core_schema() && matches!(&*tag.suffix, "map" | "seq"))) {
            return Err("YAML tags (`!...`) have no meaning in a manifest".into());
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        self.open.push(Open { anchor, items });
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(Open { anchor, items }) = self.open.pop() else { return Ok(()) };
        let node = match items {
            Items::List(items) => Node::List(items),
            Items::Map { mut entries, merged, .. } => {
                for node in merged {
                    merge(&mut entries, node)?;
                }
                Node::Map(entries)
            }
        };
        self.add(node, anchor)
    }

    /// Puts a finished value where it belongs.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        self.count(1)?;
        if anchor != 0 {
            self.count(node.size())?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map { entries, key, merged }) => match key.take() {
                None => *key = Some(key_of(node)?),
                Some(key) if key.plain && key.name == "<<" && matches!(node, Node::Map(_) | Node::List(_)) => {
                    merged.push(node);
                }
                Some(Key { name, .. }) if entries.iter().any(|(known, _)| *known == name) => {
                    return Err(format!("the key `{name}` stands twice in one mapping"));
                }
                Some(Key { name, .. }) => entries.push((name, node)),
            },
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES { Err(format!("more than {MAX_NODES} values in one document")) } else { Ok(()) }
    }
}

fn key_of(node: Node) -> Result<Key, String> {
    match node {
        Node::Scalar { plain: Some(name), .. } => Ok(Key { name, plain: true }),
        Node::Scalar { value: Value::String(name), .. } => Ok(Key { name, plain: false }),
        _ => Err("a key must be a word".into()),
    }
}

/// `<<: *anchor`, and `<<: [*one, *two]`: what is not there yet.
fn merge(entries: &mut Vec<(String, Node)>, node: Node) -> Result<(), String> {
    match node {
        Node::Map(more) => {
            for (key, value) in more {
                if entries.iter().all(|(known, _)| *known != key) {
                    entries.push((key, value));
                }
            }
            Ok(())
        }
        Node::List(items) => items.into_iter().try_for_each(|item| merge(entries, item)),
        Node::Scalar { .. } => Err("only mappings can be merged".into()),
    }
}

fn scalar(text: &str, plain: bool, tag: Option<&Tag>) -> Result<Value, String> {
    let as_text = || Value::String(text.to_owned());
    match tag {
        None if plain => Ok(resolve(text)),
        None => Ok(as_text()),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(as_text()),
        Some(tag) if tag.is_yaml_core_schema() && matches!(&*tag.suffix, "int" | "float" | "bool" | "null") => {
            Ok(resolve(text))
        }
        Some(_) => Err("YAML tags (`!...`) have no meaning in a manifest".into()),
    }
}

/// What a plain word means: the rules of go-yaml 2, which `kubectl` reads manifests with.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => return Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return Value::String(text.to_owned());
    }
    integer(text).or_else(|| float(text)).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn integer(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.replace('_', "");
    let radix = |prefix: &str, radix| digits.strip_prefix(prefix).map(|digits| (digits.to_owned(), radix));
    let (digits, radix) = radix("0x", 16)
        .or_else(|| radix("0o", 8))
        .or_else(|| radix("0b", 2))
        .or_else(|| radix("0", 8).filter(|(digits, _)| !digits.is_empty()))
        .unwrap_or((digits, 10));
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    if text.starts_with('-') {
        return i64::from_str_radix(&format!("-{digits}"), radix).ok().map(Number::from);
    }
    u64::from_str_radix(&digits, radix).ok().map(Number::from)
}

fn float(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let numeric = unsigned.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    if !numeric || !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') || unsigned == "." {
        return None;
    }
    text.parse().ok().and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_words_mean_what_they_mean_to_kubectl() {
        for (text, meant) in [
            ("0644", json!(420)),
            ("0o644", json!(420)),
            ("0x1F", json!(31)),
            ("-5", json!(-5)),
            ("0", json!(0)),
            ("0.5", json!(0.5)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("~", json!(null)),
            ("100m", json!("100m")),
            ("1.2.3", json!("1.2.3")),
            ("-", json!("-")),
            ("2026-01-02", json!("2026-01-02")),
            ("18446744073709551615", json!(u64::MAX)),
            ("Yess", json!("Yess")),
            (".", json!(".")),
        ] {
            assert_eq!(resolve(text), meant, "{text}");
        }
    }

    #[test]
    fn anchors_and_merge_keys_are_written_out() {
        let text = "base: &b {a: 1, b: 2}\nlist: [*b]\nmore: {<<: *b, b: 3}\n\"on\": !!str 5\n'<<': [x]\n";
        assert_eq!(
            value(text).unwrap(),
            json!({ "base": { "a": 1, "b": 2 }, "list": [{ "a": 1, "b": 2 }], "more": { "a": 1, "b": 3 }, "on": "5", "<<": ["x"] })
        );
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_its_line() {
        for (text, line, said) in [
            ("a: 1\na: 2\n", 2, "twice"),
            ("a: !x 1\n", 1, "tags"),
            ("a:\n  - b: 1\n   c: 2\n", 3, "no YAML"),
            ("? [a]\n: 1\n", 1, "key must be a word"),
        ] {
            let unreadable = value(text).unwrap_err();
            assert_eq!(unreadable.line, line, "{text}: {unreadable}");
            assert!(unreadable.message.contains(said), "{unreadable}");
        }
    }

    #[test]
    fn aliases_cannot_unfold_into_a_giant() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            let all = vec![format!("*a{}", n - 1); 10].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{all}]\n"));
        }
        assert!(value(&text).unwrap_err().message.contains("more than"));
        assert!(value(&"[".repeat(1000)).is_err());
    }
}
