//! A response that is one JSON object: picks usage, model and error out of it as it goes by, whatever its size.

use super::super::walk::{Picks, Walker};
use super::super::{DialectId, Operation, json};
use super::Seen;

const PICKS: Picks = Picks {
    keys: &[
        "usage",
        "tool_usage",
        "model",
        "error",
        "type",
        "object",
        "message",
        "code",
        "cost",
        "copilot_usage",
        "service_tier",
        "provider",
    ],
    inside: &[],
};
/// What stands beside `usage` and tells of money.
const BESIDE: [&str; 4] = ["cost", "copilot_usage", "service_tier", "provider"];

/// Reads one JSON body.
#[derive(Debug)]
pub(super) struct BodyTap {
    walker: Walker,
}

impl BodyTap {
    pub(super) fn new() -> Self {
        Self { walker: Walker::new(PICKS) }
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) {
        self.walker.feed(chunk);
    }

    /// Whether nothing was read yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.walker.is_untouched()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.walker.is_complete()
    }

    /// Notes what the complete body said.
    pub(super) fn settle(&self, dialect: DialectId, operation: Operation, seen: &mut Seen) {
        seen.ended = true;
        if let Some(model) = self.walker.value("model") {
            seen.note_model(model);
        }
        if let Some(error) = self.walker.value("error").filter(|value| json::says_something(value)) {
            let body = [b"{\"error\":", error, b"}"].concat();
            seen.note_error(dialect, &body);
        }
        // Hosts that answer 200 and describe the error in the body itself.
        let is_error = |key| self.walker.value(key).is_some_and(|value| value == b"\"error\"");
        if (is_error("object") || is_error("type"))
            && let Some(message) = self.walker.value("message")
        {
            let code = self.walker.value("code").unwrap_or(b"null");
            seen.note_error(dialect, &[b"{\"message\":", message, b",\"code\":", code, b"}"].concat());
        }
        for key in BESIDE {
            if let Some(value) = self.walker.value(key) {
                seen.charge.note_beside(key.as_bytes(), value);
            }
        }
        let Some(usage) = self.walker.value("usage") else { return };
        match dialect {
            DialectId::OpenAi => seen.note_openai_usage(operation, usage),
            DialectId::Anthropic if operation == Operation::Messages => seen.note_anthropic_usage(usage),
            DialectId::Anthropic | DialectId::Opaque => {}
        }
        if let Some(tools) = self.walker.value("tool_usage") {
            seen.note_searches(super::super::openai::responses::searches(tools));
        }
    }
}
