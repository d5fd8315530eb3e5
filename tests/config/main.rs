//! The configuration as its author meets it: findings, YAML traps, the schema, presets, and the subcommands that show
//! what a file does before it runs.

mod cli;
mod explain;
mod findings;
mod generated;
mod presets;
mod traps;

use std::path::Path;

/// A file of the repository.
fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares a text with a committed file, which `BLESS=1` writes anew.
#[track_caller]
fn same_as_committed(path: &str, text: &str, made_by: &str) {
    let path = repository(path);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{} is stale: {made_by}", path.display());
}
