//! Takes what the walk found useless out of a tree, so that the rest can be checked further: all errors at once.
//!
//! A key whose value is wrong becomes a key left out. What must be there and is not, gets a blank at the same place;
//! findings about blanks repeat what the walk has said and are dropped by place.

use std::borrow::Cow;

use super::shape::{MapShape, Shape};
use super::tree::{Entry, Mark, Node, Value};

/// Mends a tree that was walked with the same shape.
pub(super) fn mend(node: &mut Node<'_>, shape: &Shape) {
    let lacks = |map: &MapShape| !map.required.is_empty();
    if node.useless.get() || (node.is_null() && shape.map.as_ref().is_some_and(lacks)) {
        *node = blank(node.at, shape);
        return;
    }
    let at = node.at;
    match (&mut node.value, &shape.list, &shape.map) {
        (Value::List(items), Some(item), _) => items.iter_mut().for_each(|child| mend(child, item)),
        (Value::Map(entries), _, Some(map)) => mend_map(at, entries, map),
        _ => {}
    }
}

fn mend_map(at: Mark, entries: &mut Vec<Entry<'_>>, map: &MapShape) {
    let known = |key: &str| map.fields.get(key).or(map.others.as_deref());
    entries.retain(|entry| !entry.value.useless.get() && known(&entry.key).is_some());
    for entry in entries.iter_mut() {
        if let Some(shape) = known(&entry.key) {
            mend(&mut entry.value, shape);
        }
    }
    for key in &map.required {
        let given = entries.iter().any(|e| e.key == *key && !e.value.is_null());
        if let (false, Some(shape)) = (given, map.fields.get(key)) {
            entries.retain(|e| e.key != *key);
            entries.push(Entry { key: Cow::Owned(key.clone()), at, value: blank(at, shape) });
        }
    }
}

/// The least that fits a shape.
fn blank<'a>(at: Mark, shape: &Shape) -> Node<'a> {
    let text = |text: &str, plain| Value::Scalar { text: Cow::Owned(text.to_owned()), plain };
    let value = match (&shape.map, &shape.list, &shape.scalar) {
        (Some(map), _, _) => {
            let mut entries = Vec::new();
            mend_map(at, &mut entries, map);
            Value::Map(entries)
        }
        (_, Some(_), _) => Value::List(Vec::new()),
        (_, _, Some(scalar)) => match scalar.words.first() {
            Some(word) => text(word, false),
            None if scalar.text => text("", false),
            None if scalar.truth => text("false", true),
            None => text(&scalar.min.unwrap_or(0.0).to_string(), true),
        },
        _ => text("", true),
    };
    Node::new(at, value)
}
