//! A response that is one JSON object: picks usage, model and error out of it as it goes by, whatever its size.

use bytes::Bytes;
use smallvec::SmallVec;

use super::super::excise::{cuts, without};
use super::super::walk::{Picks, Walker};
use super::super::{DialectId, Operation, json, router};
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
        router::MEMBER,
    ],
    inside: &[],
};
/// What stands beside `usage` and tells of money, and of who served.
const BESIDE: [&str; 5] = ["cost", "copilot_usage", "service_tier", "provider", router::MEMBER];

/// A body that something is taken out of is held back up to here; a longer one passes as it is.
const MAX_HELD: usize = 1024 * 1024;

/// Reads one JSON body.
#[derive(Debug)]
pub(super) struct BodyTap {
    walker: Walker,
    /// What is held back until all is here, where something is to be taken out.
    held: Option<Held>,
}

#[derive(Debug, Default)]
struct Held {
    pieces: SmallVec<[Bytes; 4]>,
    /// Of the object.
    length: usize,
}

impl BodyTap {
    pub(super) fn new() -> Self {
        Self { walker: Walker::new(PICKS), held: None }
    }

    /// What a router tells of itself is to be taken out.
    pub(super) fn take_out(&mut self) {
        self.held = Some(Held::default());
    }

    /// Hands on what was just read, `used` bytes of it, or holds it back until it is known what goes.
    pub(super) fn hand_on(&mut self, chunk: Bytes, used: usize, out: &mut SmallVec<[Bytes; 4]>) {
        // White space before a body keeps connections alive.
        let Some(held) = self.held.as_mut().filter(|_| !self.walker.is_untouched()) else { return out.push(chunk) };
        held.length += used;
        held.pieces.push(chunk);
        if self.walker.is_complete() || self.walker.is_unreadable() || held.length > MAX_HELD {
            self.finish(out);
        }
    }

    /// Lets go of what was held back.
    pub(super) fn finish(&mut self, out: &mut SmallVec<[Bytes; 4]>) {
        let Some(Held { pieces, length }) = self.held.take() else { return };
        let goes = self.walker.is_complete() && length <= MAX_HELD && self.walker.has(router::MEMBER);
        let cuts = match &*pieces {
            _ if !goes => SmallVec::new(),
            [whole] => cuts(whole),
            several => cuts(&several.concat()),
        };
        without(pieces, &cuts, out);
    }

    /// Reads the next piece; how much of it belongs to the object.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> usize {
        self.walker.feed(chunk)
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
