//! A response that is an event stream: cuts it into events, has them read, forwards them.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use smallvec::SmallVec;

use super::super::native::Voice;
use super::super::sse::{Block, Framer};
use super::super::{Operation, anthropic, openai};
use super::Seen;
use super::large::LargeEvent;
use super::marks::Marks;

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
    framer: Framer,
    marks: &'static Marks,
    /// Bytes of the unfinished event that have arrived.
    length: usize,
    /// Those bytes, unless they are too many.
    carry: Vec<u8>,
    /// Reads the unfinished event when it is too long to be carried.
    large: Option<Box<LargeEvent>>,
    /// The unfinished event as it will be forwarded, where it may have to be left out.
    held: SmallVec<[Bytes; 4]>,
    /// The last event was left out.
    dropped: bool,
}

impl StreamTap {
    pub(super) fn new(voice: Voice, operation: Operation, strip: bool) -> Self {
        Self {
            voice,
            operation,
            strip,
            framer: Framer::new(),
            marks: &MARKS,
            length: 0,
            carry: Vec::new(),
            large: None,
            held: SmallVec::new(),
            dropped: false,
        }
    }

    /// Whether an event has begun and not ended.
    pub(super) fn mid_event(&self) -> bool {
        self.length > 0
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
            self.dropped = self.event_ends(&chunk[at..end], seen);
            let held = std::mem::take(&mut self.held);
            if self.dropped {
                forward(&chunk, from..begin, out);
                from = end;
            } else {
                // Only the first event of a chunk has held pieces: nothing of this chunk went out before them.
                out.extend(held);
            }
            at = end;
            begin = end;
        }
        self.event_goes_on(&chunk[at..]);
        if self.strip && self.large.is_none() {
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
            self.dropped = self.event_ends(b"", seen);
            let held = std::mem::take(&mut self.held);
            if !self.dropped {
                out.extend(held);
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

    /// The rest of an event: reads it. Whether it is to be left out.
    fn event_ends(&mut self, rest: &[u8], seen: &mut Seen) -> bool {
        let drop = if self.length == 0 && rest.len() <= MAX_EVENT {
            // The common case: the whole event stands in one chunk.
            self.read(rest, seen)
        } else {
            self.event_goes_on(rest);
            match self.large.take() {
                Some(large) => {
                    large.settle(self.operation, seen);
                    false
                }
                None => self.read(&self.carry, seen),
            }
        };
        self.length = 0;
        self.carry.clear();
        self.carry.shrink_to(KEEP_CAPACITY);
        drop && self.strip
    }

    /// Reads one complete event. Whether it reports usage and nothing else.
    fn read(&self, event: &[u8], seen: &mut Seen) -> bool {
        let all_along = matches!(self.voice, Voice::Own(family) if family.reports_all_along());
        if seen.content && !all_along && !self.marks.worth_reading(event) {
            seen.contents += 1;
            return false;
        }
        let before = seen.content;
        let block = Block::parse(event);
        let Some(data) = &block.data else { return false };
        let only_usage = match (self.voice, self.operation) {
            (Voice::Own(family), operation) => {
                seen.event(|seen| family.read_data(operation, block.name, data, seen));
                return false;
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
        only_usage
    }
}

/// Hands on a part of `chunk`, not copied.
fn forward(chunk: &Bytes, part: Range<usize>, out: &mut SmallVec<[Bytes; 4]>) {
    if !part.is_empty() {
        out.push(chunk.slice(part));
    }
}
