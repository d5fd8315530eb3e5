//! What the shape cannot say: references, combinations, files, the environment. One file per part of the configuration.
//!
//! An error is what would fail or mislead for certain; a warning is what probably does not do what its author wants.
//! Findings name the key and its place and say what to do; none ever shows a secret.

use std::sync::Arc;

use super::file::Config;
use super::load::{self, Surroundings};
use super::problem::{Problem, Severity};
use super::tree::{Node, Value, join};

mod aliases;
mod credentials;
mod files;
mod headers;
mod observe;
mod overlap;
mod probes;
mod providers;
mod proxies;
mod references;
mod routes;
mod server;
mod targets;
mod timeouts;
mod urls;

/// Finds everything, for a configuration whose shape is right as far as it goes.
pub(super) fn check(
    config: &Config,
    root: &Node<'_>,
    file: &Arc<str>,
    surroundings: &Surroundings<'_>,
) -> Vec<Problem> {
    let mut report = Report { root, file, surroundings, out: Vec::new() };
    server::check(config, &mut report);
    observe::check(config, &mut report);
    timeouts::check(config, &mut report);
    references::check(config, &mut report);
    providers::check(config, &mut report);
    proxies::check(config, &mut report);
    aliases::check(config, &mut report);
    routes::check(config, &mut report);
    overlap::check(config, &mut report);
    targets::check(config, &mut report);
    probes::check(config, &mut report);
    report.out
}

/// Where findings go.
struct Report<'r, 'e> {
    root: &'r Node<'r>,
    file: &'r Arc<str>,
    surroundings: &'r Surroundings<'e>,
    out: Vec<Problem>,
}

/// One step of a key path.
#[derive(Debug, Clone, Copy)]
enum Step<'s> {
    Key(&'s str),
    Index(usize),
}

impl<'s> From<&'s str> for Step<'s> {
    fn from(key: &'s str) -> Self {
        Self::Key(key)
    }
}

impl<'s> From<&'s String> for Step<'s> {
    fn from(key: &'s String) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Step<'_> {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A key path: `at!["routes", 0, "name"]`; a path before a `;` is gone on from.
macro_rules! at {
    [$base:expr; $($step:expr),+] => { [&$base[..], &[$($crate::config::checks::Step::from($step)),+]].concat() };
    [$($step:expr),*] => { [$($crate::config::checks::Step::from($step)),*] };
}
use at;

/// Where a path leads, or as near as it is written in the file.
struct Spot<'r> {
    node: Option<&'r Node<'r>>,
    at: super::tree::Mark,
    key: String,
}

impl<'r> Report<'r, '_> {
    fn error(&mut self, path: &[Step<'_>], message: impl Into<String>, advice: impl Into<String>) {
        self.add(Severity::Error, path, message.into(), advice.into());
    }

    fn warn(&mut self, path: &[Step<'_>], message: impl Into<String>, advice: impl Into<String>) {
        self.add(Severity::Warning, path, message.into(), advice.into());
    }

    /// An error here, a warning when the configuration will run elsewhere.
    fn absent(&mut self, path: &[Step<'_>], message: impl Into<String>, advice: impl Into<String>) {
        let severity = if self.surroundings.elsewhere { Severity::Warning } else { Severity::Error };
        self.add(severity, path, message.into(), advice.into());
    }

    /// Adds a finding at the value (or, for a key without one, the key) that the path leads to.
    fn add(&mut self, severity: Severity, path: &[Step<'_>], message: String, advice: String) {
        let Spot { at, key, .. } = self.spot(path);
        let advice = (!advice.is_empty()).then_some(advice);
        self.out.push(Problem { severity, place: load::place(self.file, at), key, message, advice });
    }

    /// Whether the file has this key with a value.
    fn has(&self, path: &[Step<'_>]) -> bool {
        self.spot(path).node.is_some_and(|node| !node.is_null())
    }

    /// The line that a path leads to.
    fn line(&self, path: &[Step<'_>]) -> u32 {
        self.spot(path).at.line
    }

    fn spot(&self, path: &[Step<'_>]) -> Spot<'r> {
        let mut spot = Spot { node: Some(self.root), at: self.root.at, key: String::new() };
        for step in path {
            match *step {
                Step::Key(name) => {
                    spot.key = join(&spot.key, name);
                    let entry = spot.node.and_then(|n| n.get(name));
                    spot.at = entry.map_or(spot.at, |e| if e.value.is_null() { e.at } else { e.value.at });
                    spot.node = entry.map(|e| &e.value);
                }
                Step::Index(index) => {
                    spot.node = match spot.node.map(|n| &n.value) {
                        Some(Value::List(list)) => {
                            spot.key.push_str(&format!("[{index}]"));
                            list.get(index)
                        }
                        // One value where a list may stand.
                        Some(Value::Scalar { .. }) => spot.node,
                        _ => None,
                    };
                    spot.at = spot.node.map_or(spot.at, |n| n.at);
                }
            }
        }
        spot
    }
}

/// Names in a sentence, each once.
fn words<'w>(names: impl IntoIterator<Item = &'w str>) -> String {
    super::advice::list(names)
}
