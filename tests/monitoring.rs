//! What stands in `deploy/monitoring`, held to the table of metrics, to its own rules and to its documents. That Prometheus
//! agrees, and that every query finds something in real traffic, is tested by `tests/e2e/test_monitoring.py`.

#[path = "monitoring/compose.rs"]
mod compose;
#[path = "monitoring/dashboards.rs"]
mod dashboards;
#[path = "monitoring/promql.rs"]
mod promql;
#[path = "monitoring/rules.rs"]
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder that end so, in order of their names; never none.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|it| it == extension));
    files.sort();
    assert!(!files.is_empty(), "{folder} holds no .{extension}");
    files
}
