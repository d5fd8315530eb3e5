//! APIs of vendors' own: their calls are passed through as they are, and what they say of usage is read on the way.
//!
//! Knows nothing of routing: which provider serves a path is no matter here. Start with [`native`] (which API a path
//! asks for) and [`Family`] (how its answers speak); `gemini`, `interactions`, `converse`, `cohere`, `ollama` and
//! `assorted` hold the rules of counting.

mod assorted;
mod cohere;
mod converse;
mod gemini;
mod interactions;
mod measured;
mod ollama;
mod paths;
mod predict;
mod request;

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::tap::Seen;
use super::walk::{Picks, Walker};
use super::{DialectId, Operation};
pub(super) use measured::by_headers;
pub use paths::native;
pub(super) use predict::TokenCounts;
pub use request::RequestTap;

/// A call of a vendor's own API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeCall<'a> {
    /// What it asks for.
    pub operation: Operation,
    /// The path asks for a stream.
    pub streams: bool,
    /// The model, where the path names it; still percent-encoded.
    model: Option<&'a str>,
    /// How its answers speak.
    pub(super) voice: Voice,
}

impl<'a> NativeCall<'a> {
    /// The model that the path names.
    pub fn model(&self) -> Option<Cow<'a, str>> {
        percent_decode_str(self.model?).decode_utf8().ok()
    }

    /// What the request's body may say of model and stream, where the path does not.
    /// `header` gives the request's headers.
    pub fn request_tap<'h>(&self, header: impl Fn(&str) -> Option<&'h [u8]>) -> Option<RequestTap> {
        let silent = self.model.is_none() && self.voice != Voice::Unread;
        let kind = header("content-type").map(<[u8]>::to_ascii_lowercase);
        let json = kind.is_none_or(|kind| kind.windows(4).any(|word| word == b"json"));
        let plain = header("content-encoding").is_none_or(|encoding| encoding.eq_ignore_ascii_case(b"identity"));
        (silent && json && plain).then(|| RequestTap::new(self.voice == Voice::Own(Family::Ollama)))
    }
}

/// Whose events and bodies an answer consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// One of the dialects that are read everywhere.
    Known(DialectId, Operation),
    /// A vendor's own.
    Own(Family),
    /// Tells nothing of usage.
    Unread,
}

/// A family of answers that are read alike, as one JSON object each or as several in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Google's `generateContent` and its relatives.
    Gemini,
    /// Google's Interactions API.
    Interactions,
    /// Bedrock Converse.
    Converse,
    /// Ollama's own API.
    Ollama,
    /// Whatever format a model has of its own, told by its shape: Bedrock `invoke`, Cohere, rerankers.
    Assorted,
    /// Vertex `predict` of embedding models, which counts each input apart.
    Predict,
}

impl Family {
    /// What to pick out of each object.
    pub(super) fn picks(self) -> Picks {
        match self {
            Self::Gemini => gemini::PICKS,
            Self::Interactions => interactions::PICKS,
            Self::Converse => converse::PICKS,
            Self::Ollama => ollama::PICKS,
            Self::Assorted | Self::Predict => assorted::PICKS,
        }
    }

    /// Whether every event is worth reading to its end: usage may stand in any, under a name of its own.
    pub(super) fn reports_all_along(self) -> bool {
        matches!(self, Self::Gemini | Self::Assorted)
    }

    /// Notes what one object says. `name`: that of the event that it came in, or nothing.
    pub(super) fn read(self, operation: Operation, name: &[u8], object: &Walker, seen: &mut Seen) {
        match self {
            Self::Gemini => gemini::read(object, seen),
            Self::Interactions => interactions::read(object, seen),
            Self::Converse => converse::read(name, object, seen),
            Self::Ollama => ollama::read(object, seen),
            Self::Assorted => assorted::read(operation, object, seen),
            Self::Predict => {}
        }
    }

    /// Notes what one object in memory says.
    pub(super) fn read_data(self, operation: Operation, name: &[u8], data: &[u8], seen: &mut Seen) {
        if self == Self::Assorted && assorted::read_known(data, seen) {
            return;
        }
        let mut object = Walker::new(self.picks());
        object.feed(data);
        self.read(operation, name, &object, seen);
    }
}
