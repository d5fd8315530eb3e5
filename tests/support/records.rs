//! Usage records, read back from their file.

use std::fs;
use std::path::Path;

/// One usage record.
pub type Record = serde_json::Value;

/// The records that are complete in a file.
pub fn read(file: &Path) -> Vec<Record> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The outcomes of a record's attempts: `provider:outcome` each.
pub fn attempt_outcomes(record: &Record) -> Vec<String> {
    let attempts = record["attempts"].as_array().unwrap();
    attempts.iter().map(|a| format!("{}:{}", a["provider"].as_str().unwrap(), a["outcome"].as_str().unwrap())).collect()
}
