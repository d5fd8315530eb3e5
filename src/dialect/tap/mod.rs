//! Reads what passes through: usage, errors, the first content, the end. Changes no byte, except that what Faregate
//! asked for on its own is left out where told so: the usage chunk of a stream, and what a router tells of itself.
//!
//! Bounds: 1 MiB of an event that arrives in pieces, or of a body that something is taken out of; 64 KiB for each value
//! picked out of a body; nothing grows with the length of a response. What is seen does not depend on how the bytes were split. Once content has started,
//! events without a usage, error or end marker are not parsed.
//!
//! Start with [`Tap::feed`]; `stream` cuts events, `openai::chat`, `openai::responses` and `anthropic::events` read them.

mod body;
mod frames;
mod large;
mod marks;
mod seen;
mod sequence;
mod stream;

use bytes::Bytes;
use smallvec::SmallVec;

use super::native::{Family, NativeCall, TokenCounts, Voice, by_headers};
use super::{DialectId, Operation, UpstreamError, anthropic, openai, walk};
use crate::chat::{RouterTold, ServiceTier, StatedCost, UsageReport};
use body::BodyTap;
use frames::Frames;
pub(super) use seen::Seen;
use sequence::Sequence;
use stream::StreamTap;

/// Reads one response as it passes through.
#[derive(Debug)]
pub struct Tap {
    dialect: DialectId,
    operation: Operation,
    voice: Voice,
    /// Its content comes bit by bit: that of any other answer starts with its first byte.
    streams: bool,
    /// The upstream ended its body, and with no error: many streams have no other mark of their end.
    whole: bool,
    router: Router,
    seen: Seen,
    reader: Reader,
}

/// Whether a router may tell of its own part in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Router {
    /// Nobody expects it.
    Silent,
    /// It may, and the client wants to see it.
    Tells,
    /// It was asked on Faregate's own account, so the client sees nothing of it.
    AskedForUs,
}

#[derive(Debug)]
enum Reader {
    Stream(Box<StreamTap>),
    Body(Box<BodyTap>),
    /// An error's body, of which nothing is noted.
    Refusal(Box<BodyTap>),
    Sequence(Box<Sequence>),
    Frames(Box<Frames>),
    Counts(TokenCounts),
    Nothing,
}

impl Tap {
    /// A tap for one response with a 2xx status. `event_stream`: its content type is `text/event-stream`, whatever the
    /// request asked for. `strip_usage`: leave out the chunk that only reports usage (OpenAI chat and completions).
    pub fn new(dialect: DialectId, operation: Operation, event_stream: bool, strip_usage: bool) -> Self {
        let reads = dialect != DialectId::Opaque && !matches!(operation, Operation::Models | Operation::Other);
        let strips = strip_usage && matches!(operation, Operation::Chat | Operation::Completions);
        let voice = Voice::Known(dialect, operation);
        let reader = match (reads, event_stream) {
            (true, true) if may_stream(operation) => {
                Reader::Stream(Box::new(StreamTap::new(voice, operation, strips, Router::Silent)))
            }
            (true, false) => Reader::Body(Box::new(BodyTap::new())),
            _ => Reader::Nothing,
        };
        let (seen, router) = (Seen::default(), Router::Silent);
        Self { dialect, operation, voice, streams: event_stream, whole: false, router, seen, reader }
    }

    /// A tap for an answer with another status, out of which what a router tells of itself is taken.
    pub fn of_refusal() -> Self {
        let (dialect, operation) = (DialectId::Opaque, Operation::Other);
        let mut tap = Self::new(dialect, operation, false, false);
        tap.reader = Reader::Refusal(Box::new(BodyTap::new()));
        tap.expecting_router(true)
    }

    /// A router may tell of its own part in this answer. `asked_for_us`: it was asked on Faregate's own account, so that
    /// what it tells is left out of what the client gets, byte for byte as if nobody had asked. A body is held back
    /// until it is whole, an event likewise, up to 1 MiB each; what is longer passes as it is.
    #[must_use]
    pub fn expecting_router(mut self, asked_for_us: bool) -> Self {
        self.router = if asked_for_us { Router::AskedForUs } else { Router::Tells };
        match &mut self.reader {
            Reader::Stream(stream) => stream.expect_router(self.router),
            Reader::Body(body) | Reader::Refusal(body) if asked_for_us => body.take_out(),
            _ => {}
        }
        self
    }

    /// A tap for the answer with a 2xx status to a call of a vendor's own API. `header` gives the answer's headers.
    /// `None` where nothing can be read: the answer is encoded, or of a kind that tells of no usage.
    pub fn of_native<'h>(call: &NativeCall<'_>, header: impl Fn(&str) -> Option<&'h [u8]>) -> Option<Self> {
        if header("content-encoding").is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
            return None;
        }
        let kind = Media::of(header("content-type").unwrap_or(b"application/json"))?;
        let (voice, operation) = (call.voice, call.operation);
        let streams = call.streams || kind != Media::Json;
        let mut seen = Seen::default();
        let reader = match (voice, kind) {
            (Voice::Unread, _) => return None,
            (_, Media::Events) => Reader::Stream(Box::new(StreamTap::new(voice, operation, false, Router::Silent))),
            (Voice::Known(..), Media::Json | Media::Lines) => Reader::Body(Box::new(BodyTap::new())),
            (Voice::Own(Family::Predict), _) => Reader::Counts(TokenCounts::new()),
            (Voice::Own(family), Media::Frames) => Reader::Frames(Box::new(Frames::new(family, operation))),
            (Voice::Own(family), _) => Reader::Sequence(Box::new(Sequence::new(family, operation, streams))),
            (Voice::Known(..), Media::Frames) => return None,
        };
        if voice == Voice::Own(Family::Assorted) {
            seen.measured = by_headers(&header, matches!(operation, Operation::Embeddings | Operation::Rerank));
        }
        let tier = TIERS.iter().find_map(|name| std::str::from_utf8(header(name)?).ok());
        seen.charge.tier =
            tier.map(str::to_ascii_lowercase).map_or(ServiceTier::Standard, |tier| ServiceTier::parse(&tier));
        let dialect = if let Voice::Known(dialect, _) = voice { dialect } else { DialectId::Opaque };
        Some(Self { dialect, operation, voice, streams, whole: false, router: Router::Silent, seen, reader })
    }

    /// Reads `chunk` and gives what the client is to receive to `out`: the same bytes, not copied. With `strip_usage`
    /// the last event is held back until it is complete (up to 1 MiB); see also [`Tap::expecting_router`].
    pub fn feed(&mut self, chunk: Bytes, out: &mut SmallVec<[Bytes; 4]>) {
        if chunk.is_empty() {
            return;
        }
        if let Reader::Body(body) = &self.reader
            && body.is_untouched()
            && may_stream(self.operation)
            && starts_like_events(&chunk)
        {
            self.reader = Reader::Stream(Box::new(StreamTap::new(self.voice, self.operation, false, self.router)));
        }
        match &mut self.reader {
            Reader::Stream(stream) => stream.feed(chunk, out, &mut self.seen),
            Reader::Body(body) => {
                let used = body.feed(&chunk);
                self.seen.content |= !body.is_untouched();
                body.hand_on(chunk, used, out);
                if body.is_complete() {
                    body.settle(self.dialect, self.operation, &mut self.seen);
                }
            }
            Reader::Refusal(body) => {
                let used = body.feed(&chunk);
                body.hand_on(chunk, used, out);
            }
            Reader::Sequence(sequence) => {
                sequence.feed(&chunk, &mut self.seen);
                self.seen.content |= !self.streams && !sequence.is_untouched();
                self.seen.ended |= !self.streams && sequence.is_complete();
                out.push(chunk);
            }
            Reader::Frames(frames) => {
                frames.feed(&chunk, &mut self.seen);
                out.push(chunk);
            }
            Reader::Counts(counts) => {
                counts.feed(&chunk);
                self.seen.content = true;
                out.push(chunk);
            }
            Reader::Nothing => {
                self.seen.content = true;
                out.push(chunk);
            }
        }
    }

    /// The upstream's body ended: reads what an unfinished last event says and lets go of what was held back.
    pub fn finish(&mut self, out: &mut SmallVec<[Bytes; 4]>) {
        self.whole = self.seen.error.is_none();
        match &mut self.reader {
            Reader::Stream(stream) => stream.finish(out, &mut self.seen),
            Reader::Body(body) | Reader::Refusal(body) => body.finish(out),
            Reader::Sequence(_) | Reader::Frames(_) => {}
            Reader::Counts(counts) => {
                self.seen.note_usage(counts.report());
                self.seen.ended = true;
            }
            Reader::Nothing => self.seen.ended = true,
        }
    }

    /// Whether content was seen: text, reasoning, a tool call, a refusal, audio. Reasoning counts, since the model is at
    /// work and its tokens are charged from there on; so does a tool call once it is named. Roles, pings, comments,
    /// empty deltas and the announcements of a response, message or block are none. The first byte that is no white
    /// space counts in a body that is no event stream.
    pub fn content_started(&self) -> bool {
        self.seen.content
    }

    /// An error event or error object inside the response.
    pub fn error(&self) -> Option<&UpstreamError> {
        self.seen.error.as_ref()
    }

    /// Whether the response said that it is over: `[DONE]`, `message_stop`, `response.completed`, `.incomplete` or
    /// `.failed`; a JSON body: its object is complete; an unread response: [`Tap::finish`] was called. Some hosts send
    /// no marker: a stream that ended cleanly without one is not broken by that alone.
    pub fn ended(&self) -> bool {
        self.seen.ended
    }

    /// Whether the bytes handed on so far end inside an event: nothing can then be added to the stream that its reader
    /// would understand. Always false for a body that is no event stream.
    pub fn mid_event(&self) -> bool {
        match &self.reader {
            Reader::Stream(stream) => stream.mid_event(),
            Reader::Frames(frames) => frames.mid_event(),
            _ => false,
        }
    }

    /// Whether it reads an event stream.
    pub fn is_event_stream(&self) -> bool {
        matches!(self.reader, Reader::Stream(_))
    }

    /// Whether the answer's content comes bit by bit, in whatever framing.
    pub fn is_stream(&self) -> bool {
        self.streams || self.is_event_stream()
    }

    /// The tokens as last reported.
    pub fn usage(&self) -> UsageReport {
        self.seen.tokens(self.operation)
    }

    /// The tokens of a response that ends here, whether or not it is whole; of a stream that broke off before its
    /// report they are estimated. `request`: length of the request's body.
    pub fn usage_at_end(&self, request: usize) -> UsageReport {
        if self.is_stream() && !self.seen.ended && !self.whole {
            self.seen.usage_of_broken(self.operation, request)
        } else {
            self.usage()
        }
    }

    /// What the response states that the call cost.
    pub fn stated_cost(&self) -> Option<StatedCost> {
        self.seen.charge.stated()
    }

    /// The tier of service that the response names last.
    pub fn service_tier(&self) -> ServiceTier {
        self.seen.charge.tier
    }

    /// Who served the call, where a router says so.
    pub fn served_by(&self) -> Option<&str> {
        self.seen.charge.served_by()
    }

    /// What a router told of its own part.
    pub fn router(&self) -> Option<&RouterTold> {
        self.seen.charge.router.as_ref()
    }

    /// The model that the response names.
    pub fn served_model(&self) -> Option<&str> {
        self.seen.model.as_deref()
    }
}

/// Headers of answers that name the tier of service.
const TIERS: [&str; 2] = ["x-gemini-service-tier", "x-amzn-bedrock-service-tier"];

/// The media types that tell of usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    Events,
    Frames,
    Json,
    /// Several objects, one a line.
    Lines,
}

impl Media {
    fn of(content_type: &[u8]) -> Option<Self> {
        let media = content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        match &*media {
            b"text/event-stream" => Some(Self::Events),
            b"application/vnd.amazon.eventstream" => Some(Self::Frames),
            b"application/x-ndjson" | b"application/ndjson" | b"application/stream+json" | b"application/jsonl" => {
                Some(Self::Lines)
            }
            media if media.ends_with(b"json") => Some(Self::Json),
            _ => None,
        }
    }
}

/// Whether a body that was not announced as an event stream is one all the same: its first byte is that of a field
/// (`data`, `event`, `id`, `retry`) or a comment, with which no JSON begins.
fn starts_like_events(chunk: &[u8]) -> bool {
    let first = chunk.iter().find(|byte| !walk::may_precede(**byte));
    matches!(first, Some(b'd' | b'e' | b'i' | b'r' | b':'))
}

fn may_stream(operation: Operation) -> bool {
    !matches!(operation, Operation::CountTokens | Operation::Embeddings)
}

/// Reads one `usage` object of `dialect`.
pub fn decode_usage(dialect: DialectId, operation: Operation, usage: &[u8]) -> UsageReport {
    match dialect {
        DialectId::OpenAi => openai::usage::report(operation, usage),
        DialectId::Anthropic => {
            let mut counts = anthropic::usage::Counts::default();
            counts.absorb(usage);
            counts.report()
        }
        DialectId::Opaque => UsageReport::Unknown,
    }
}
