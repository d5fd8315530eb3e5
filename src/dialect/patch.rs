//! Changing the two things of a request that a same-dialect call may need changed, and no other byte.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Operation, RequestFacts};

impl RequestFacts {
    /// `body` with its model replaced by `model` and, if `ask_usage`, with the stream asked to report usage. The same
    /// bytes, not copied, when nothing changes; doing it twice changes nothing more.
    ///
    /// `body` must be the one that was scanned. A model repeated in the body is replaced everywhere, so that no parser
    /// downstream sees another one; a body without a model gets one (its path may have named it). `ask_usage` acts on
    /// streamed chat and legacy completions alone: other APIs report usage unasked and refuse the option.
    pub fn patch(&self, body: &Bytes, model: Option<&str>, ask_usage: bool) -> Bytes {
        let mut edits: SmallVec<[Edit; 4]> = SmallVec::new();
        if let Some(model) = model {
            self.edit_model(body, model, &mut edits);
        }
        if ask_usage && self.stream && matches!(self.operation, Operation::Chat | Operation::Completions) {
            self.edit_stream_options(&mut edits);
        }
        if edits.is_empty() {
            return body.clone();
        }
        edits.sort_by_key(|edit| edit.at.start);
        let grown: usize = edits.iter().map(|edit| edit.text.len()).sum();
        let mut out = Vec::with_capacity(body.len() + grown);
        let mut copied = 0;
        for edit in &edits {
            out.extend_from_slice(&body[copied..edit.at.start]);
            out.extend_from_slice(edit.text.as_bytes());
            copied = edit.at.end;
        }
        out.extend_from_slice(&body[copied..]);
        out.into()
    }

    fn edit_model(&self, body: &[u8], model: &str, edits: &mut SmallVec<[Edit; 4]>) {
        if self.models.len() <= 1 && self.model.as_deref() == Some(model) {
            return;
        }
        let quoted = serde_json::Value::from(model).to_string();
        if self.models.is_empty() {
            edits.push(Edit::insert(self.inside, member("model", &quoted, self.is_empty)));
        }
        for span in &self.models {
            if body[span.clone()] != *quoted.as_bytes() {
                edits.push(Edit { at: span.clone(), text: quoted.clone() });
            }
        }
    }

    fn edit_stream_options(&self, edits: &mut SmallVec<[Edit; 4]>) {
        let edit = match &self.stream_options {
            _ if self.include_usage => return,
            None => Edit::insert(self.inside, member("stream_options", r#"{"include_usage":true}"#, self.is_empty)),
            Some(options) => match &options.include_usage {
                Some(value) => Edit { at: value.clone(), text: "true".to_owned() },
                None if options.is_object => {
                    Edit::insert(options.value.start + 1, member("include_usage", "true", options.is_empty))
                }
                None => Edit { at: options.value.clone(), text: r#"{"include_usage":true}"#.to_owned() },
            },
        };
        edits.push(edit);
    }
}

/// Bytes of the body that give way to `text`.
struct Edit {
    at: Range<usize>,
    text: String,
}

impl Edit {
    fn insert(at: usize, text: String) -> Self {
        Self { at: at..at, text }
    }
}

/// A member to put at the front of an object.
fn member(key: &str, value: &str, alone: bool) -> String {
    let comma = if alone { "" } else { "," };
    format!("\"{key}\":{value}{comma}")
}
