//! Complete answers of each API around a given text: what the simulated provider says.

mod anthropic;
mod openai;

use bytes::Bytes;
use serde_json::{Value, json};

use super::ids::{DialectId, Operation};

/// What an answer is to hold.
#[derive(Debug, Clone)]
pub struct Sample<'a> {
    /// Part of every id in the answer.
    pub id: &'a str,
    /// Seconds since 1970.
    pub created: u64,
    /// The model that was asked for.
    pub model: &'a str,
    /// The text, one piece a token.
    pub words: &'a [String],
    /// The text ended because it reached the limit that was asked for.
    pub cut: bool,
    /// Tokens that went in.
    pub input_tokens: u64,
    /// Embeddings to return.
    pub inputs: usize,
    /// The stream reports usage.
    pub include_usage: bool,
    /// Dollars, where the provider states them.
    pub cost: Option<f64>,
}

impl Sample<'_> {
    fn output_tokens(&self) -> u64 {
        self.words.len() as u64
    }

    fn text(&self) -> String {
        self.words.concat()
    }

    fn add_cost(&self, mut usage: Value) -> Value {
        if let (Some(cost), Some(object)) = (self.cost, usage.as_object_mut()) {
            object.insert("cost".into(), json!(cost));
        }
        usage
    }
}

/// A whole JSON answer; `None` where the API has none to give.
pub fn sample_body(operation: Operation, sample: &Sample<'_>) -> Option<Bytes> {
    let value = match operation.dialect() {
        DialectId::Anthropic => anthropic::body(operation, sample),
        _ => openai::body(operation, sample),
    }?;
    Some(value.to_string().into())
}

/// The same answer as a stream: what opens it, one event a token, what closes it. `None` where the API does not stream.
pub fn sample_events(operation: Operation, sample: &Sample<'_>) -> Option<(Vec<Bytes>, Vec<Bytes>, Vec<Bytes>)> {
    match operation.dialect() {
        DialectId::Anthropic => anthropic::events(operation, sample),
        _ => openai::events(operation, sample),
    }
}

/// A `data:` event.
fn data(value: &Value) -> Bytes {
    format!("data: {value}\n\n").into()
}

/// A named event whose name stands in its data as `type` too.
fn named(value: &Value) -> Bytes {
    let name = value.get("type").and_then(Value::as_str).unwrap_or("message");
    format!("event: {name}\ndata: {value}\n\n").into()
}
