//! The file format as JSON Schema, made from the types.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::file::Config;

/// The JSON Schema (draft 2020-12) of a configuration file.
pub fn schema() -> Value {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Config>();
    Value::from(schema)
}

/// The schema as it is committed and printed.
pub fn schema_text() -> String {
    // A JSON value cannot fail to be written: its keys are strings.
    let mut text = serde_json::to_string_pretty(&schema()).unwrap_or_default();
    text.push('\n');
    text
}
