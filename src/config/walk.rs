//! Holds a tree against a [`Shape`]: unknown and missing keys, wrong types, words and texts, all in one walk. Values
//! of no use are marked, so that `mend` can take them out.

use super::advice;
use super::formats::Format;
use super::scalar::{self, Scalar};
use super::shape::{MapShape, ScalarShape, Shape};
use super::tree::{Entry, Fault, Mark, Node, Value, join, shorten};

/// Finds all faults of a tree.
pub(super) fn check(root: &Node<'_>, shape: &Shape) -> Vec<Fault> {
    let mut walk = Walk { path: Vec::new(), faults: Vec::new() };
    walk.node(root, shape);
    walk.faults
}

struct Walk<'n> {
    path: Vec<Step<'n>>,
    faults: Vec<Fault>,
}

enum Step<'n> {
    Key(&'n str),
    Index(usize),
}

impl<'n> Walk<'n> {
    fn fault(&mut self, at: Mark, message: String, advice: Option<String>) {
        let mut key = String::new();
        for step in &self.path {
            match step {
                Step::Key(name) => key = join(&key, name),
                Step::Index(i) => key.push_str(&format!("[{i}]")),
            }
        }
        self.faults.push(Fault { at, key, message, advice });
    }

    fn node(&mut self, node: &'n Node<'_>, shape: &Shape) {
        // A key without a value is a key left out.
        if node.is_null() && (shape.null || shape.list.is_some() || self.is_optional_map(shape, node)) {
            return;
        }
        match (&node.value, shape) {
            (Value::List(items), Shape { list: Some(item), .. }) => {
                for (i, child) in items.iter().enumerate() {
                    self.path.push(Step::Index(i));
                    self.node(child, item);
                    self.path.pop();
                }
            }
            (Value::Map(entries), Shape { map: Some(map), .. }) => self.map(node.at, entries, map),
            (Value::Scalar { text, plain }, Shape { scalar: Some(scalar), .. }) => {
                self.scalar(node, text, *plain, scalar, shape);
            }
            _ => self.wrong_type(node, shape),
        }
    }

    fn is_optional_map(&mut self, shape: &Shape, node: &'n Node<'_>) -> bool {
        let Some(map) = &shape.map else { return false };
        self.missing(node.at, &[], map);
        shape.scalar.is_none()
    }

    fn map(&mut self, at: Mark, entries: &'n [Entry<'_>], map: &MapShape) {
        for entry in entries {
            self.path.push(Step::Key(&entry.key));
            match (map.fields.get(&*entry.key), &map.others) {
                // Left out, and if it is required, reported as missing.
                (Some(_), _) if entry.value.is_null() => {}
                (Some(shape), _) => self.node(&entry.value, shape),
                (None, Some(others)) => {
                    if let Some(names) = &map.names {
                        self.name(entry, names);
                    }
                    self.node(&entry.value, others);
                }
                (None, None) => {
                    entry.value.useless.set(true);
                    let advice = advice::unknown_key(&entry.key, map);
                    self.fault(entry.at, "there is no such key".into(), Some(advice));
                }
            }
            self.path.pop();
        }
        self.missing(at, entries, map);
    }

    fn missing(&mut self, at: Mark, entries: &'n [Entry<'_>], map: &MapShape) {
        for key in &map.required {
            if !entries.iter().any(|e| e.key == *key && !e.value.is_null()) {
                self.fault(at, format!("`{key}` is missing"), None);
            }
        }
    }

    fn name(&mut self, entry: &Entry<'_>, names: &ScalarShape) {
        if !names.words.is_empty() && !names.words.contains(&entry.key.clone().into_owned()) {
            entry.value.useless.set(true);
            let advice = advice::one_of(&entry.key, &names.words);
            self.fault(entry.at, "there is no such key".into(), Some(advice));
        }
        if let Some(format) = names.format {
            self.format(&entry.value, entry.at, &entry.key, format);
        }
    }

    fn scalar(&mut self, node: &Node<'_>, text: &str, plain: bool, want: &ScalarShape, shape: &Shape) {
        let value = if plain { scalar::read(text) } else { Scalar::Text };
        if want.words.iter().any(|w| w == text) && value == Scalar::Text {
            return;
        }
        let number = match value {
            Scalar::Text if want.text => {
                if let Some(format) = want.format {
                    self.format(node, node.at, text, format);
                }
                return;
            }
            Scalar::Bool(_) if want.truth => return,
            Scalar::Int(i) if want.integer && want.text => {
                if let Some(format) = want.format {
                    self.format(node, node.at, &i.to_string(), format);
                }
                return;
            }
            #[expect(clippy::cast_precision_loss, reason = "only compared with the bounds of a range")]
            Scalar::Int(i) if want.integer || want.number => i as f64,
            Scalar::Float(f) if want.number => f,
            _ => return self.wrong_type(node, shape),
        };
        let (min, max) = (want.min.unwrap_or(f64::NEG_INFINITY), want.max.unwrap_or(f64::INFINITY));
        if !(min..=max).contains(&number) || !number.is_finite() {
            node.useless.set(true);
            self.fault(node.at, format!("wants {}, found {text}", advice::range(want)), None);
        }
    }

    fn format(&mut self, node: &Node<'_>, at: Mark, text: &str, format: &Format) {
        let Err(particular) = (format.check)(text) else { return };
        if format.typed {
            node.useless.set(true);
        }
        let mut message = format!("wants {}", format.what);
        if !format.discreet {
            message.push_str(&format!(", found `{}`", shorten(text)));
        }
        self.fault(at, message, (!particular.is_empty()).then(|| particular.into_owned()));
    }

    fn wrong_type(&mut self, node: &Node<'_>, shape: &Shape) {
        let found = match &node.value {
            Value::List(_) => "a list".into(),
            Value::Map(_) => "keys with values".into(),
            Value::Scalar { .. } if node.is_null() => "nothing".into(),
            Value::Scalar { .. } if shape.secret => "something else".into(),
            Value::Scalar { text, plain } => match scalar::read(text) {
                Scalar::Int(_) | Scalar::Float(_) if *plain => format!("the number {}", shorten(text)),
                Scalar::Bool(b) if *plain => format!("the truth value {b}"),
                _ => format!("`{}`", shorten(text).escape_debug()),
            },
        };
        node.useless.set(true);
        let advice = advice::wrong_type(node, shape);
        self.fault(node.at, format!("wants {}, found {found}", advice::wanted(shape)), advice);
    }
}
