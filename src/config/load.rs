//! From a file to a checked [`Config`], with everything that is wrong with it said at once.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::checks;
use super::de::De;
use super::environment::environment;
use super::file::Config;
use super::mend;
use super::prices;
use super::problem::{Place, Problem, Problems, Severity};
use super::shape;
use super::tree::{self, Fault, Mark, Node, Value};
use super::walk;

/// Largest configuration file.
pub const MAX_FILE: u64 = 64 << 20;

/// What a configuration is checked against besides itself.
#[derive(Clone, Copy)]
pub struct Surroundings<'e> {
    /// Environment variables.
    pub env: &'e dyn Fn(&str) -> Option<String>,
    /// Look for the files that the configuration names, and read certificates and keys.
    pub files: bool,
    /// Missing environment variables and files are only warned of: for checks away from where the configuration will
    /// run.
    pub elsewhere: bool,
    /// What the command line says over the file.
    pub overrides: Overrides,
}

/// Settings of the command line that win over the file's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides {
    /// Replaces `server.listen`.
    pub listen: Option<SocketAddr>,
    /// Replaces `server.admin`.
    pub admin: Option<SocketAddr>,
}

impl Overrides {
    fn apply(&self, config: &mut Config) {
        config.server.listen = self.listen.unwrap_or(config.server.listen);
        config.server.admin = self.admin.unwrap_or(config.server.admin);
    }
}

impl Surroundings<'static> {
    /// This process.
    pub fn process() -> Self {
        Self { env: &environment, files: true, elsewhere: false, overrides: Overrides::default() }
    }
}

/// What a check found.
#[derive(Debug)]
pub struct Checked {
    /// The configuration; there unless there are errors.
    pub config: Option<Config>,
    /// Errors and warnings.
    pub problems: Problems,
}

/// Reads and checks a file. Warnings are dropped; [`check_file`] keeps them.
pub fn load(path: &Path) -> Result<Config, Problems> {
    check_file(path, &Surroundings::process()).into_result()
}

/// Checks a text; `source` stands for the file's name in messages. Warnings are dropped; [`check`] keeps them.
pub fn parse(text: &str, source: &str) -> Result<Config, Problems> {
    check(text.as_bytes(), source, &Surroundings::process()).into_result()
}

impl Checked {
    /// The configuration, or all problems where it has errors.
    pub fn into_result(self) -> Result<Config, Problems> {
        self.config.ok_or(self.problems)
    }
}

/// Reads a file and checks it.
pub fn check_file(path: &Path, surroundings: &Surroundings<'_>) -> Checked {
    let source = path.to_string_lossy();
    match read(path) {
        Ok(bytes) => check(&bytes, &source, surroundings),
        Err(message) => refuse(&source, message, None),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|e| format!("cannot be opened: {e}"))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| format!("cannot be read: {e}"))?;
    Ok(bytes)
}

/// What is said of a source that cannot be read at all.
pub fn unreadable(source: &str, error: &std::io::Error) -> Checked {
    refuse(source, format!("cannot be read: {error}"), None)
}

/// A finding about the whole file.
fn refuse(source: &str, message: String, advice: Option<String>) -> Checked {
    let place = Place { file: source.into(), line: 0, column: 0 };
    let problem = Problem { severity: Severity::Error, place, key: String::new(), message, advice };
    Checked { config: None, problems: Problems(vec![problem]) }
}

/// Checks a text.
pub fn check(bytes: &[u8], source: &str, surroundings: &Surroundings<'_>) -> Checked {
    if bytes.len() as u64 > MAX_FILE {
        return refuse(source, format!("larger than {} MiB", MAX_FILE >> 20), Some("split the table".into()));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => return not_utf8(bytes, e.valid_up_to(), source),
    };
    let file: Arc<str> = source.into();
    let parsed = tree::parse(text);
    let mut problems = Problems(parsed.faults.into_iter().map(|f| error(&file, f)).collect());
    // An empty file is read as one without keys; a file that could not be read to its end is nothing.
    let nothing = Node::new(Mark { line: 1, column: 1 }, Value::Map(Vec::new()));
    let mut root = match parsed.root {
        Some(root) => root,
        None if problems.is_empty() => nothing,
        None => return Checked { config: None, problems },
    };
    let faults = walk::check(&root, shape::config());
    let sound = faults.is_empty();
    problems.0.extend(faults.into_iter().map(|f| error(&file, f)));
    if !sound {
        mend::mend(&mut root, shape::config());
    }
    let mut config = None;
    match Config::deserialize(De(&root)) {
        Ok(mut typed) => {
            surroundings.overrides.apply(&mut typed);
            let mut found = checks::check(&typed, &root, &file, surroundings);
            forget_consequences(&mut found, &problems);
            problems.0.append(&mut found);
            if surroundings.files {
                prices::check_overlays(&typed.prices, &mut problems.0);
            }
            config = Some(typed);
        }
        // What does not fit its type has been found above; this is for what only the types know.
        Err(e) if sound => {
            let fault = Fault { at: e.at.unwrap_or(root.at), key: String::new(), message: e.message, advice: None };
            problems.0.push(error(&file, fault));
        }
        Err(_) => {}
    }
    problems.settle();
    Checked { config: config.filter(|_| !problems.has_errors()), problems }
}

/// Drops findings that may only follow from what was found wrong in the text itself: those about the same place
/// or key, and those about a mapping that lacks something because it was wrong.
fn forget_consequences(found: &mut Vec<Problem>, before: &Problems) {
    let places: BTreeSet<&Place> = before.0.iter().map(|p| &p.place).collect();
    let above = |key: &str| key.char_indices().filter(|(_, c)| matches!(c, '.' | '[')).map(|(at, _)| at).collect();
    let mut mappings: BTreeSet<&str> = BTreeSet::new();
    for problem in &before.0 {
        let ends: Vec<usize> = above(&problem.key);
        mappings.insert(&problem.key);
        mappings.extend(ends.iter().filter_map(|end| problem.key.get(..*end)));
    }
    found.retain(|p| !places.contains(&p.place) && !mappings.contains(&*p.key));
}

/// Checks a configuration that stands in no file; `source` names where it comes from.
pub fn check_typed(mut config: Config, source: &str, surroundings: &Surroundings<'_>) -> Checked {
    surroundings.overrides.apply(&mut config);
    let root = Node::new(Mark { line: 0, column: 0 }, Value::Map(Vec::new()));
    let mut problems = Problems(checks::check(&config, &root, &source.into(), surroundings));
    problems.settle();
    Checked { config: (!problems.has_errors()).then_some(config), problems }
}

fn not_utf8(bytes: &[u8], good: usize, source: &str) -> Checked {
    let before = bytes.get(..good).unwrap_or_default();
    let line = 1 + before.iter().filter(|b| **b == b'\n').count();
    let column = 1 + String::from_utf8_lossy(before).chars().rev().take_while(|c| *c != '\n').count();
    let advice = "save the file in UTF-8, without the old encoding's letters".to_owned();
    let mut checked = refuse(source, "not UTF-8 text".into(), Some(advice));
    for problem in &mut checked.problems.0 {
        (problem.place.line, problem.place.column) = (line, column);
    }
    checked
}

fn error(file: &Arc<str>, fault: Fault) -> Problem {
    let Fault { at, key, message, advice } = fault;
    Problem { severity: Severity::Error, place: place(file, at), key, message, advice }
}

/// A mark in a file.
pub(super) fn place(file: &Arc<str>, at: Mark) -> Place {
    Place { file: file.clone(), line: at.line as usize, column: at.column as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_many_faults_shows_them_all_in_order() {
        let text = "server:\n  listn: 1\n  workers: many\nproviders:\n  openai:\n  local: {base_url: \"localhost:80\"}\n\
                    routes:\n  - name: a\n    match: {model: gpt-4*, api: [chat]}\n    targets:\n      - {provider: openai}\n      - provider: opnai\n";
        let surroundings = Surroundings { env: &|_| Some("key".into()), ..Surroundings::process() };
        let problems = check(text.as_bytes(), "f.yaml", &surroundings).into_result().expect_err("faults");
        let lines: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "f.yaml:2:3: server.listn: there is no such key; did you mean `listen`?",
                "f.yaml:3:12: server.workers: wants a whole number from 0 up, found `many`",
                "f.yaml:6:21: providers.local.base_url: wants a URL such as https://api.example.com/v1; the scheme is \
                 missing: http:// or https://",
                "f.yaml:12:19: routes[0].targets[1].provider: no provider is called `opnai`; did you mean `openai`?",
            ]
        );
    }

    #[test]
    fn values_arrive() {
        let text = "providers:\n  openai:\n  a: {base_url: \"https://a/v1\", auth: {header: x-key}, http: \"2\"}\n\
                    routes:\n- {name: r, match: {model: m*}, sticky: {header: x-s}, timeouts: {total: 5s}, targets: [{provider: a, weight: 3}]}\n";
        let config = parse(text, "f.yaml").unwrap_or_else(|p| panic!("{p}"));
        assert_eq!(config.providers.len(), 2);
        assert_eq!(config.routes[0].matches.model.0, ["m*"]);
        assert_eq!(config.routes[0].targets[0].weight, 3);
        let text = serde_json::to_string(&config).expect("json");
        assert_eq!(parse(&text, "f.json").unwrap_or_else(|p| panic!("{p}")), config);
    }
}
