//! An event too long to be held: its JSON is walked as it goes by, so that a final event that carries a whole answer
//! still tells its usage.

use super::super::native::{Family, Voice};
use super::super::walk::{Picks, Walker};
use super::super::{DialectId, Operation, json, openai, router};
use super::Seen;

const PICKS: Picks = Picks {
    keys: &["type", "usage", "tool_usage", "model", "error", "service_tier", "provider", router::MEMBER],
    inside: &[router::INSIDE],
};
const DATA: &[u8] = b"data:";

/// Reads one event in pieces.
#[derive(Debug)]
pub(super) struct LargeEvent {
    walker: Walker,
    line: Line,
    family: Option<Family>,
}

/// Where in a line the next byte stands.
#[derive(Debug, Clone, Copy)]
enum Line {
    /// After so many bytes of `data:`.
    Field(usize),
    /// In the value of a data field.
    Data,
    /// In a line of another kind.
    Other,
}

impl LargeEvent {
    pub(super) fn new(voice: Voice) -> Self {
        let family = if let Voice::Own(family) = voice { Some(family) } else { None };
        Self { walker: Walker::new(family.map_or(PICKS, Family::picks)), line: Line::Field(0), family }
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(&first) = bytes.first() {
            let used = match self.line {
                Line::Field(n) if DATA.get(n) == Some(&first) => {
                    self.line = if n + 1 == DATA.len() { Line::Data } else { Line::Field(n + 1) };
                    1
                }
                Line::Field(_) if matches!(first, b'\n' | b'\r') => {
                    self.line = Line::Field(0);
                    1
                }
                Line::Field(_) => {
                    self.line = Line::Other;
                    1
                }
                Line::Data | Line::Other => {
                    let end = memchr::memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len());
                    if matches!(self.line, Line::Data) {
                        self.walker.feed(&bytes[..end]);
                    }
                    if end < bytes.len() {
                        self.line = Line::Field(0);
                    }
                    (end + 1).min(bytes.len())
                }
            };
            bytes = &bytes[used..];
        }
    }

    /// Notes what the event said.
    pub(super) fn settle(&self, operation: Operation, seen: &mut Seen) {
        if let Some(family) = self.family {
            family.read(operation, b"", &self.walker, seen);
            seen.content = true;
            return;
        }
        let kind = self.walker.value("type").and_then(json::text).unwrap_or_default();
        let responses = operation == Operation::Responses;
        if responses {
            openai::responses::note_end(&kind, seen);
        }
        if !(responses && openai::responses::is_announcement(&kind)) {
            seen.content = true;
        }
        if let Some(model) = self.walker.value("model") {
            seen.note_model(model);
        }
        if let Some(error) = self.walker.value("error").filter(|value| json::says_something(value)) {
            let dialect = if operation == Operation::Messages { DialectId::Anthropic } else { DialectId::OpenAi };
            seen.note_error(dialect, &[b"{\"error\":", error, b"}"].concat());
        }
        for key in ["service_tier", "provider", router::MEMBER] {
            if let Some(value) = self.walker.value(key) {
                seen.charge.note_beside(key.as_bytes(), value);
            }
        }
        if let Some(usage) = self.walker.value("usage") {
            match operation {
                Operation::Messages => seen.note_anthropic_usage(usage),
                _ => seen.note_openai_usage(operation, usage),
            }
        }
        if let Some(tools) = self.walker.value("tool_usage") {
            seen.note_searches(openai::responses::searches(tools));
        }
    }
}
