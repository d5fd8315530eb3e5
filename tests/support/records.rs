//! Usage records, read back from their file.

use std::fs;
use std::path::Path;

/// One usage record.
pub type Record = serde_json::Value;

/// The records that are complete in a file, in the order in which their calls began: they are written as calls end, and
/// calls on two connections end after their clients have read the last byte, in any order.
pub fn read(file: &Path) -> Vec<Record> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let record = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let mut records: Vec<Record> = whole.lines().map(record).collect();
    records.sort_by_cached_key(|record| record["time"].as_str().unwrap_or_default().to_owned());
    records
}

/// The outcomes of a record's attempts: `provider:outcome` each.
pub fn attempt_outcomes(record: &Record) -> Vec<String> {
    let attempts = record["attempts"].as_array().unwrap();
    attempts.iter().map(|a| format!("{}:{}", a["provider"].as_str().unwrap(), a["outcome"].as_str().unwrap())).collect()
}
