//! What the shape cannot say: references, combinations, files, the environment. One file per part of the configuration.

use std::sync::Arc;

use super::load::{self, Surroundings};
use super::problem::{Problem, Severity};
use super::tree::{Node, Value, join};
use super::types::Config;

mod references;

/// Finds everything, for a configuration whose shape is right as far as it goes.
pub(super) fn check(
    config: &Config,
    root: &Node<'_>,
    file: &Arc<str>,
    surroundings: &Surroundings<'_>,
    out: &mut Vec<Problem>,
) {
    let mut report = Report { root, file, surroundings, out };
    references::check(config, &mut report);
}

/// Where findings go.
struct Report<'r, 'e> {
    root: &'r Node<'r>,
    file: &'r Arc<str>,
    surroundings: &'r Surroundings<'e>,
    out: &'r mut Vec<Problem>,
}

/// One step of a key path.
#[derive(Debug, Clone, Copy)]
enum Step<'s> {
    Key(&'s str),
    Index(usize),
}

impl Report<'_, '_> {
    fn error(&mut self, path: &[Step<'_>], message: impl Into<String>, advice: impl Into<String>) {
        self.add(Severity::Error, path, message.into(), advice.into());
    }

    fn warn(&mut self, path: &[Step<'_>], message: impl Into<String>, advice: impl Into<String>) {
        self.add(Severity::Warning, path, message.into(), advice.into());
    }

    /// Adds a finding at the value (or, for a key without one, the key) that the path leads to, or as near as it is
    /// written in the file.
    fn add(&mut self, severity: Severity, path: &[Step<'_>], message: String, advice: String) {
        let (mut node, mut at, mut key) = (Some(self.root), self.root.at, String::new());
        for step in path {
            match *step {
                Step::Key(name) => {
                    key = join(&key, name);
                    let entry = node.and_then(|n| n.get(name));
                    at = entry.map_or(at, |e| if e.value.is_null() { e.at } else { e.value.at });
                    node = entry.map(|e| &e.value);
                }
                Step::Index(index) => {
                    key.push_str(&format!("[{index}]"));
                    node = match node.map(|n| &n.value) {
                        Some(Value::List(list)) => list.get(index),
                        // One value where a list may stand.
                        Some(Value::Scalar { .. }) => node,
                        _ => None,
                    };
                    at = node.map_or(at, |n| n.at);
                }
            }
        }
        let advice = (!advice.is_empty()).then_some(advice);
        self.out.push(Problem { severity, place: load::place(self.file, at), key, message, advice });
    }
}
