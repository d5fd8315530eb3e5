//! The rules. ARCHITECTURE.md tells the reasons; a new edge in [`MAY_IMPORT`] is a decision, not a formality.

use std::fs;
use std::path::Path;

use super::imports::imports;
use super::source::Source;

/// Who may import whom. `module` admits all that the module shows; `module::{A, B}` only these names.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // Leaves: plain data and pure code.
    ("chat", &[]),
    ("error", &[]),
    ("http1", &[]),
    ("config", &[]),
    ("fetch", &["http1"]),
    ("runbooks", &[]),
    ("telemetry", &["fetch"]),
    ("wire", &["http1"]),
    // How tables travel, not what they mean.
    ("distribution", &["config", "http1", "telemetry"]),
    ("dialect", &["chat", "error"]),
    ("pricing", &["chat"]),
    // Reads what was written, long after the calls.
    ("billing", &["chat", "pricing", "fetch"]),
    // The middle: what a call needs.
    ("routing", &["config", "pricing", "chat", "dialect::{ApiCall, DialectId, Operation}"]),
    ("metering", &["chat", "pricing", "telemetry", "dialect::{ApiCall, DialectId, Operation}"]),
    ("upstream", &["config::{file}", "routing", "error", "http1", "wire", "dialect::{DialectId}"]),
    ("gateway", &["config::{file}", "routing", "dialect", "upstream", "metering", "chat", "error", "http1"]),
    // A provider behind the seam of `gateway`; it must not know connections or metrics.
    (
        "simulated",
        &["config::{file}", "dialect", "error", "gateway::{Answer, BodyBudget, BodyLength, Downstream, End}", "http1"],
    ),
    // The composition root of the proxy.
    (
        "server",
        &[
            "config",
            "dialect",
            "distribution",
            "error",
            "gateway",
            "http1",
            "metering",
            "routing",
            "runbooks",
            "simulated",
            "telemetry",
            "upstream",
            "wire",
        ],
    ),
    // The cluster's side; must not know how calls are made.
    (
        "control",
        &["config", "telemetry", "error", "fetch", "distribution", "http1", "routing::{RoutingTable}", "runbooks"],
    ),
    ("cli", &["*"]),
    ("main", &["cli"]),
    ("lib", &["*"]),
];

/// Who may name Pingora.
const PINGORA: &[&str] = &["server", "upstream", "intercept"];

/// Where vendors may be named, with the reason.
const VENDORS: &[(&str, &str)] = &[
    ("dialect/", "wire formats are the vendors'"),
    ("config/presets", "the vendors as data"),
    ("config/file/dialect.rs", "names of dialects as users write them"),
    ("config/formats.rs", "examples in messages"),
    ("config/checks/", "examples in messages, and the names of headers that hold keys"),
    ("cli/", "examples in help texts"),
];

/// Names of dialects, which are no names of vendors: `DialectId::OpenAi` is a wire format that many hosts speak.
const DIALECT_NAMES: &[&str] =
    &["DialectId::OpenAi", "DialectId::Anthropic", "DialectName::Openai", "DialectName::Anthropic"];

/// Lines that a file may have, and the files that are tables and may have more.
const MAX_LINES: usize = 400;
const TABLES: &[&str] = &["telemetry/table.rs"];

/// Module names that promise nothing.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "misc", "types"];

/// Modules on the request path: they answer errors and never panic.
const REQUEST_PATH: &[&str] = &["gateway", "upstream", "dialect", "http1", "wire", "metering", "simulated", "chat"];
const PANICS: &[&str] = &[".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "unimplemented!("];

/// Every breach of a rule, as `file:line: what`.
pub fn violations(sources: &[Source], vendors: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let mut say = |line: usize, what: String| found.push(format!("src/{}:{line}: {what}", source.path));
        check_imports(source, &mut say);
        check_pingora(source, &mut say);
        check_vendors(source, vendors, &mut say);
        check_shape(source, &mut say);
        check_panics(source, &mut say);
    }
    found
}

/// The names of the presets, and of the model families that go with them.
pub fn vendors(root: &Path) -> Vec<String> {
    let presets = fs::read_to_string(root.join("config/presets.yaml")).expect("config/presets.yaml");
    // English words, and the provider that is our own.
    let ordinary = ["together", "simulated", "vertex", "azure"];
    let mut names: Vec<String> = presets
        .lines()
        .filter_map(|line| line.split_once(':').map(|(key, _)| key))
        .filter(|key| key.starts_with(|c: char| c.is_ascii_lowercase()) && !ordinary.contains(key))
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 20, "only {} presets found", names.len());
    names.extend(["claude-", "gpt-", "gemini", "llamacpp"].map(str::to_owned));
    names
}

fn check_imports(source: &Source, say: &mut dyn FnMut(usize, String)) {
    let module = source.module();
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
        return say(1, format!("module `{module}` has no row in the import table (tests/architecture/rules.rs)"));
    };
    for import in imports(source) {
        let target = import.path[0].as_str();
        if target != module && MAY_IMPORT.iter().any(|(name, _)| *name == target) && !admits(allowed, &import.path) {
            say(import.line, format!("`{module}` may not import `{}`", import.path.join("::")));
        }
    }
}

fn admits(allowed: &[&str], path: &[String]) -> bool {
    allowed.iter().any(|entry| match entry.split_once("::{") {
        None => *entry == "*" || *entry == path[0],
        Some((module, names)) => {
            let names = names.trim_end_matches('}');
            module == path[0] && path.get(1).is_some_and(|name| names.split(", ").any(|n| n == name))
        }
    })
}

fn check_pingora(source: &Source, say: &mut dyn FnMut(usize, String)) {
    if PINGORA.contains(&source.module()) {
        return;
    }
    for (at, _) in source.code.match_indices("pingora") {
        say(source.line_of(at), format!("`{}` may not name Pingora", source.module()));
    }
}

fn check_vendors(source: &Source, vendors: &[String], say: &mut dyn FnMut(usize, String)) {
    if VENDORS.iter().any(|(place, _)| source.path.starts_with(place)) {
        return;
    }
    let mut text = source.code_and_strings.clone();
    for name in DIALECT_NAMES {
        text = text.replace(name, &" ".repeat(name.len()));
    }
    let text = text.to_ascii_lowercase();
    for vendor in vendors {
        for (at, _) in text.match_indices(vendor.as_str()) {
            let inside_word = text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            // `nim` in `minimum` is no vendor; `openai` in `for_openai` is.
            if !inside_word {
                say(source.line_of(at), format!("names the vendor `{vendor}`"));
            }
        }
    }
}

fn check_shape(source: &Source, say: &mut dyn FnMut(usize, String)) {
    let lines = source.text.lines().count();
    if lines > MAX_LINES && !TABLES.contains(&source.path.as_str()) {
        say(lines, format!("{lines} lines: one story has at most {MAX_LINES}; split it"));
    }
    if !source.text.starts_with("//!") {
        say(1, "no `//!` header: what is its duty, what must it not know?".to_owned());
    }
    let stem = source.path.trim_end_matches("/mod.rs").trim_end_matches(".rs").rsplit('/').next().unwrap_or_default();
    if EMPTY_NAMES.contains(&stem) {
        say(1, format!("`{stem}` is no name for a duty"));
    }
    for (at, _) in source.code.match_indices("[allow(") {
        say(source.line_of(at), "`#[expect(.., reason = \"..\")]`, not `allow`".to_owned());
    }
}

fn check_panics(source: &Source, say: &mut dyn FnMut(usize, String)) {
    if !REQUEST_PATH.contains(&source.module()) {
        return;
    }
    for panic in PANICS {
        for (at, _) in source.code.match_indices(panic) {
            say(source.line_of(at), format!("`{panic}` on the request path"));
        }
    }
}
