//! YAML text -> a tree whose every key and value knows its place.
//!
//! Faregate reads a file once, into this tree; what checks it and what takes values out of it see the same thing.
//! JSON is YAML too. Bounds: [`MAX_DEPTH`] and [`MAX_NODES`], which repeated aliases count towards, so that a small
//! file cannot unfold into a large one. Knows nothing of the configuration's keys.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::syntax;

/// Deepest nesting.
pub(super) const MAX_DEPTH: usize = 32;
/// Most values in one file. Ten thousand routes of usual size need a tenth of it.
pub(super) const MAX_NODES: usize = 3_000_000;

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    pub(super) at: Mark,
    pub(super) value: Value<'a>,
    /// The walk found this value, or its key, of no use.
    pub(super) useless: Cell<bool>,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// A scalar; `plain` when it stood without quotes, so that it may be a number, a truth value or null.
    Scalar { text: Cow<'a, str>, plain: bool },
    /// A sequence.
    List(Vec<Node<'a>>),
    /// A mapping, in order of the file.
    Map(Vec<Entry<'a>>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) at: Mark,
    pub(super) value: Node<'a>,
}

/// Something wrong with the text itself.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: Mark,
    pub(super) key: String,
    pub(super) message: String,
    pub(super) advice: Option<String>,
}

/// What became of a text: a tree unless it is no YAML at all, and everything that is wrong with it.
pub(super) struct Parsed<'a> {
    pub(super) root: Option<Node<'a>>,
    pub(super) faults: Vec<Fault>,
}

impl From<Marker> for Mark {
    fn from(m: Marker) -> Self {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { line: narrow(m.line()), column: narrow(m.col()).saturating_add(1) }
    }
}

/// A collection whose end has not come yet.
struct Open<'a> {
    at: Mark,
    anchor: usize,
    items: Items<'a>,
}

enum Items<'a> {
    List(Vec<Node<'a>>),
    Map { entries: Vec<Entry<'a>>, key: Option<(Cow<'a, str>, Mark)>, seen: Option<HashSet<Cow<'a, str>>> },
}

#[derive(Default)]
struct Builder<'a> {
    open: Vec<Open<'a>>,
    anchors: HashMap<usize, Node<'a>>,
    nodes: usize,
    root: Option<Node<'a>>,
    faults: Vec<Fault>,
    documents: usize,
}

/// Reads a text. Never panics, whatever the text.
pub(super) fn parse(text: &str) -> Parsed<'_> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    while let Some(next) = parser.next_event() {
        let outcome = match next {
            Ok((event, span)) => builder.event(event, span),
            Err(e) => Err(syntax::explain(&e, text)),
        };
        match outcome {
            Ok(true) => {}
            Ok(false) => break,
            Err(fault) => {
                builder.faults.push(fault);
                return Parsed { root: None, faults: builder.faults };
            }
        }
    }
    Parsed { root: builder.root, faults: builder.faults }
}

impl<'a> Builder<'a> {
    /// Takes one event; false when nothing more is wanted, an error when going on makes no sense.
    fn event(&mut self, event: Event<'a>, span: Span) -> Result<bool, Fault> {
        let at = Mark::from(span.start);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(self.fault(at, "a second document begins here", "keep one document in a file"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                let plain = style == ScalarStyle::Plain;
                self.add(Node::new(at, Value::Scalar { text, plain }), anchor)?;
            }
            Event::SequenceStart(anchor, tag) => self.start(at, anchor, tag.is_some(), Items::List(Vec::new()))?,
            Event::MappingStart(anchor, tag) => {
                let items = Items::Map { entries: Vec::new(), key: None, seen: None };
                self.start(at, anchor, tag.is_some(), items)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
            Event::Alias(anchor) => self.alias(anchor, at)?,
            Event::StreamEnd => return Ok(false),
            Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
        }
        Ok(true)
    }

    fn refuse_tag(&mut self, tagged: bool, at: Mark) {
        if tagged {
            let fault = self.fault(at, "YAML tags (`!...`) have no meaning here", "take the tag out");
            self.faults.push(fault);
        }
    }

    fn start(&mut self, at: Mark, anchor: usize, tagged: bool, items: Items<'a>) -> Result<(), Fault> {
        self.refuse_tag(tagged, at);
        if self.open.len() >= MAX_DEPTH {
            return Err(self.fault(at, &format!("nested deeper than {MAX_DEPTH} levels"), "no key needs that"));
        }
        self.open.push(Open { at, anchor, items });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(Open { at, anchor, items }) = self.open.pop() else { return Ok(()) };
        let value = match items {
            Items::List(list) => Value::List(list),
            Items::Map { entries, .. } => Value::Map(entries),
        };
        self.add(Node::new(at, value), anchor)
    }

    fn alias(&mut self, anchor: usize, at: Mark) -> Result<(), Fault> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(self.fault(at, "this alias stands inside the anchor that it names", "write the value out"));
        };
        let (size, depth) = measure(node);
        if self.nodes + size > MAX_NODES || self.open.len() + depth > MAX_DEPTH {
            return Err(self.fault(at, "aliases unfold to more than this reader takes", "write the values out"));
        }
        self.nodes += size;
        let node = node.clone();
        self.add(node, 0)
    }

    /// Puts a finished value where it belongs.
    fn add(&mut self, node: Node<'a>, anchor: usize) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.fault(node.at, &format!("more than {MAX_NODES} values in one file"), "split the table"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
            self.nodes += measure(&node).0;
        }
        match self.open.last_mut().map(|o| &mut o.items) {
            None => self.root = Some(node),
            Some(Items::List(list)) => list.push(node),
            Some(Items::Map { entries, key, seen }) => match key.take() {
                None => match node.value {
                    Value::Scalar { text, .. } => *key = Some((text, node.at)),
                    _ => return Err(self.fault(node.at, "a key must be a plain word", "see `faregate schema`")),
                },
                Some((name, at)) => {
                    if is_new(entries, seen, &name) {
                        entries.push(Entry { key: name, at, value: node });
                    } else {
                        let first = entries.iter().find(|e| e.key == name).map_or(at, |e| e.at);
                        let fault = Fault {
                            at,
                            key: join(&self.path(), &name),
                            message: format!("this key stands here twice, first in line {}", first.line),
                            advice: Some("keep one of them".into()),
                        };
                        self.faults.push(fault);
                    }
                }
            },
        }
        Ok(())
    }

    fn fault(&self, at: Mark, message: &str, advice: &str) -> Fault {
        Fault { at, key: self.path(), message: message.into(), advice: Some(advice.into()) }
    }

    /// Key path of the collection that is being filled.
    fn path(&self) -> String {
        let mut path = String::new();
        for (level, open) in self.open.iter().enumerate() {
            let innermost = level + 1 == self.open.len();
            match &open.items {
                Items::List(list) if !innermost => path.push_str(&format!("[{}]", list.len())),
                Items::Map { key: Some((key, _)), .. } => path = join(&path, key),
                Items::List(_) | Items::Map { .. } => {}
            }
        }
        path
    }
}

/// Whether no entry has this key yet; large maps are asked through a set.
#[expect(clippy::ptr_arg, reason = "a key that is borrowed from the file is kept borrowed")]
fn is_new<'a>(entries: &[Entry<'a>], seen: &mut Option<HashSet<Cow<'a, str>>>, name: &Cow<'a, str>) -> bool {
    if entries.len() < 16 {
        return entries.iter().all(|e| e.key != *name);
    }
    seen.get_or_insert_with(|| entries.iter().map(|e| e.key.clone()).collect()).insert(name.clone())
}

/// Values and levels of a tree.
fn measure(node: &Node<'_>) -> (usize, usize) {
    let add = |(size, depth): (usize, usize), child: &Node<'_>| {
        let (s, d) = measure(child);
        (size + s, depth.max(d))
    };
    let (size, depth) = match &node.value {
        Value::Scalar { .. } => return (1, 0),
        Value::List(list) => list.iter().fold((1, 0), add),
        Value::Map(entries) => entries.iter().map(|e| &e.value).fold((1, 0), add),
    };
    (size, depth + 1)
}

/// A key path with one more key.
pub(super) fn join(path: &str, key: &str) -> String {
    let plain =
        !key.is_empty() && key.len() <= 64 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    let key = if plain { Cow::Borrowed(key) } else { Cow::Owned(format!("{:?}", shorten(key))) };
    if path.is_empty() { key.into_owned() } else { format!("{path}.{key}") }
}

/// The first 60 characters.
pub(super) fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(60) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}...", text.get(..end).unwrap_or_default())),
    }
}

impl<'a> Node<'a> {
    /// A value at its place.
    pub(super) fn new(at: Mark, value: Value<'a>) -> Self {
        Self { at, value, useless: Cell::new(false) }
    }

    /// The value under a key of a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Entry<'a>> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|e| e.key == key),
            _ => None,
        }
    }

    /// Whether this is YAML's null, or nothing at all.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(&**text, "" | "~" | "null" | "Null" | "NULL"))
    }
}
