//! A response that is an event stream: cuts it into events, has them read, forwards them.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use smallvec::SmallVec;

use super::super::excise::{Cuts, cuts, without};
use super::super::native::Voice;
use super::super::sse::{Block, Framer};
use super::super::{Operation, anthropic, openai, router};
use super::large::LargeEvent;
use super::marks::Marks;
use super::{Router, Seen};

/// Longest event that is held in memory; a longer one is read as it goes by and never held back.
const MAX_EVENT: usize = 1024 * 1024;
/// Room for an unfinished event that is kept between events.
const KEEP_CAPACITY: usize = 16 * 1024;

static MARKS: LazyLock<Marks> = LazyLock::new(Marks::new);

/// Reads one event stream.
#[derive(Debug)]
pub(super) struct StreamTap {
    voice: Voice,
    operation: Operation,
    strip: bool,
    router: Router,
    framer: Framer,
    marks: &'static Marks,
    /// Bytes of the unfinished event that have arrived.
    length: usize,
    /// Those bytes, unless they are too many.
    carry: Vec<u8>,
    /// Reads the unfinished event when it is too long to be carried.
    large: Option<Box<LargeEvent>>,
    /// The unfinished event as it will be forwarded, where it may have to be left out or changed.
    held: SmallVec<[Bytes; 4]>,
    /// The last event was left out.
    dropped: bool,
    /// The stream ended inside an event, which was handed on.
    unfinished: bool,
}

/// What becomes of an event.
#[derive(Debug)]
enum Fate {
    Stays,
    Goes,
    /// Without these parts.
    Cut(Cuts),
}

impl StreamTap {
    pub(super) fn new(voice: Voice, operation: Operation, strip: bool, router: Router) -> Self {
        Self {
            voice,
            operation,
            strip,
            router,
            framer: Framer::new(),
            marks: &MARKS,
            length: 0,
            carry: Vec::new(),
            large: None,
            held: SmallVec::new(),
            dropped: false,
            unfinished: false,
        }
    }

    /// See [`super::Tap::expecting_router`].
    pub(super) fn expect_router(&mut self, router: Router) {
        self.router = router;
    }

    /// Whether what was handed on ends inside an event.
    pub(super) fn mid_event(&self) -> bool {
        self.unfinished || (self.length > 0 && !self.holds())
    }

    /// Whether the unfinished event is held back.
    fn holds(&self) -> bool {
        (self.strip || self.router == Router::AskedForUs) && self.large.is_none()
    }

    pub(super) fn feed(&mut self, chunk: Bytes, out: &mut SmallVec<[Bytes; 4]>, seen: &mut Seen) {
        let late = self.framer.late_lf(&chunk);
        let mid_event = self.length > 0;
        if mid_event {
            self.event_goes_on(&chunk[..late]);
        }
        let mut at = late;
        // Where the current event's bytes begin; the late end of its last line belongs to an event that ended.
        let mut begin = if mid_event { 0 } else { late };
        // What is forwarded next starts here; that late end goes the way of its event.
        let mut from = if self.dropped && !mid_event { late } else { 0 };
        while let Some(n) = self.framer.event_end(&chunk[at..]) {
            let end = at + n;
            let fate = self.event_ends(&chunk[at..end], seen);
            let held = std::mem::take(&mut self.held);
            self.dropped = matches!(fate, Fate::Goes);
            // Only the first event of a chunk has held pieces: nothing of this chunk went out before them.
            match fate {
                Fate::Stays => out.extend(held),
                Fate::Goes => {
                    forward(&chunk, from..begin, out);
                    from = end;
                }
                Fate::Cut(cuts) => {
                    forward(&chunk, from..begin, out);
                    without(held.into_iter().chain([chunk.slice(begin..end)]), &cuts, out);
                    from = end;
                }
            }
            at = end;
            begin = end;
        }
        self.event_goes_on(&chunk[at..]);
        if self.holds() {
            forward(&chunk, from..begin, out);
            if begin < chunk.len() {
                self.held.push(chunk.slice(begin..));
            }
        } else {
            out.extend(std::mem::take(&mut self.held));
            forward(&chunk, from..chunk.len(), out);
        }
    }

    pub(super) fn finish(&mut self, out: &mut SmallVec<[Bytes; 4]>, seen: &mut Seen) {
        if self.length > 0 {
            let fate = self.event_ends(b"", seen);
            let held = std::mem::take(&mut self.held);
            self.unfinished = !matches!(fate, Fate::Goes);
            match fate {
                Fate::Stays => out.extend(held),
                Fate::Goes => {}
                Fate::Cut(cuts) => without(held, &cuts, out),
            }
        }
    }

    /// More of an event that is not complete.
    fn event_goes_on(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        if let Some(large) = &mut self.large {
            large.feed(bytes);
        } else if self.length > MAX_EVENT {
            let mut large = Box::new(LargeEvent::new(self.voice));
            large.feed(&self.carry);
            large.feed(bytes);
            self.large = Some(large);
            self.carry = Vec::new();
        } else {
            self.carry.extend_from_slice(bytes);
        }
    }

    /// The rest of an event: reads it.
    fn event_ends(&mut self, rest: &[u8], seen: &mut Seen) -> Fate {
        let fate = if self.length == 0 && rest.len() <= MAX_EVENT {
            // The common case: the whole event stands in one chunk.
            self.read(rest, seen)
        } else {
            self.event_goes_on(rest);
            match self.large.take() {
                Some(large) => {
                    large.settle(self.operation, seen);
                    Fate::Stays
                }
                None => self.read(&self.carry, seen),
            }
        };
        self.length = 0;
        self.carry.clear();
        self.carry.shrink_to(KEEP_CAPACITY);
        fate
    }

    /// Reads one complete event.
    fn read(&self, event: &[u8], seen: &mut Seen) -> Fate {
        let all_along = matches!(self.voice, Voice::Own(family) if family.reports_all_along());
        let tells = self.router != Router::Silent && self.marks.may_tell(event);
        if seen.content && !all_along && !tells && !self.marks.worth_reading(event) {
            seen.contents += 1;
            return Fate::Stays;
        }
        let before = seen.content;
        let block = Block::parse(event);
        let Some(data) = &block.data else { return Fate::Stays };
        let only_usage = match (self.voice, self.operation) {
            (Voice::Own(family), operation) => {
                seen.event(|seen| family.read_data(operation, block.name, data, seen));
                return Fate::Stays;
            }
            (_, Operation::Messages) => {
                anthropic::events::read(block.name, data, seen);
                false
            }
            (_, Operation::Responses) => {
                openai::responses::read(block.name, data, seen);
                false
            }
            (_, operation) => openai::chat::read(operation, block.name, data, seen),
        };
        seen.contents += u64::from(seen.content && !before);
        if only_usage && self.strip {
            return Fate::Goes;
        }
        match data {
            Cow::Borrowed(data) if tells && self.router == Router::AskedForUs => self.taken_out(event, data),
            // Data that stands in several lines stays as it is; no router writes it so.
            _ => Fate::Stays,
        }
    }

    /// An event without what the router added to it for us alone.
    fn taken_out(&self, event: &[u8], data: &[u8]) -> Fate {
        let mut cuts = cuts(data);
        if cuts.is_empty() {
            return Fate::Stays;
        }
        if router::alone(self.operation, data) {
            return Fate::Goes;
        }
        // `data` is a part of `event`.
        let at = (data.as_ptr() as usize).saturating_sub(event.as_ptr() as usize);
        for cut in &mut cuts {
            *cut = cut.start + at..cut.end + at;
        }
        Fate::Cut(cuts)
    }
}

/// Hands on a part of `chunk`, not copied.
fn forward(chunk: &Bytes, part: Range<usize>, out: &mut SmallVec<[Bytes; 4]>) {
    if !part.is_empty() {
        out.push(chunk.slice(part));
    }
}
