//! What the body of a request that streams through says of its model and of streaming.

use super::super::json;
use super::super::walk::{Picks, Walker};

const PICKS: Picks = Picks { keys: &["model", "stream"], inside: &[] };
/// Longest model name that is kept.
const MAX_MODEL: usize = 256;

/// Reads one JSON request as it goes by, in bounded memory.
#[derive(Debug)]
pub struct RequestTap {
    walker: Walker,
    /// The API streams unless told not to.
    streams: bool,
}

impl RequestTap {
    pub(super) fn new(streams: bool) -> Self {
        Self { walker: Walker::new(PICKS), streams }
    }

    /// Reads the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        self.walker.feed(piece);
    }

    /// The model that is asked for, where the body names one so far.
    pub fn model(&self) -> Option<String> {
        let value = self.walker.value("model").filter(|value| value.len() <= MAX_MODEL)?;
        json::text(value).filter(|name| !name.is_empty()).map(std::borrow::Cow::into_owned)
    }

    /// Whether a stream is asked for.
    pub fn stream(&self) -> bool {
        self.walker.value("stream").map_or(self.streams, |value| value == b"true")
    }
}
