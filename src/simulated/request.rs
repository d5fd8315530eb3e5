//! The little that the simulated provider reads of a request.

use serde_json::Value;

/// What a request asks for.
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) max_tokens: Option<u64>,
    /// An estimate, four bytes a token.
    pub(super) input_tokens: u64,
    /// Texts to embed.
    pub(super) inputs: usize,
}

impl Asked {
    /// Reads a body; what it does not say has a default.
    pub(super) fn read(body: &[u8], path_model: Option<&str>) -> Self {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let limit = |key: &str| value.get(key).and_then(Value::as_u64);
        let inputs = match value.get("input") {
            Some(Value::Array(many)) if many.iter().all(|one| !one.is_number()) => many.len(),
            _ => 1,
        };
        Self {
            model: value.get("model").and_then(Value::as_str).or(path_model).unwrap_or("simulated").to_owned(),
            stream: value.get("stream").and_then(Value::as_bool).unwrap_or(false),
            include_usage: value["stream_options"]["include_usage"].as_bool().unwrap_or(false),
            max_tokens: limit("max_completion_tokens").or(limit("max_output_tokens")).or(limit("max_tokens")),
            input_tokens: (body.len() as u64).div_ceil(4).max(1),
            inputs,
        }
    }
}
