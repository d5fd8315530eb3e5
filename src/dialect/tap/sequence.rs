//! A response that is one JSON object, a list of them, or one a line: reads each as it goes by, whatever its size.

use super::super::Operation;
use super::super::native::Family;
use super::super::walk::{Walker, may_precede};
use super::Seen;

/// Reads objects in a row.
#[derive(Debug)]
pub(super) struct Sequence {
    family: Family,
    operation: Operation,
    walker: Walker,
    any: bool,
    /// Objects read to their end.
    complete: bool,
    streams: bool,
}

impl Sequence {
    pub(super) fn new(family: Family, operation: Operation, streams: bool) -> Self {
        Self { family, operation, walker: Walker::new(family.picks()), any: false, complete: false, streams }
    }

    /// Whether nothing was read yet.
    pub(super) fn is_untouched(&self) -> bool {
        !self.any && self.walker.is_untouched()
    }

    /// Whether an object was read to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], seen: &mut Seen) {
        while !bytes.is_empty() && !self.walker.is_unreadable() {
            if self.walker.is_untouched() {
                let separates = |byte: &u8| may_precede(*byte) || matches!(byte, b'[' | b']' | b',');
                let start = bytes.iter().position(|byte| !separates(byte)).unwrap_or(bytes.len());
                self.any |= start < bytes.len() || bytes.contains(&b'[');
                bytes = &bytes[start..];
            }
            let used = self.walker.feed(bytes);
            bytes = &bytes[used..];
            if self.walker.is_complete() {
                self.complete = true;
                let (family, operation, object) = (self.family, self.operation, &self.walker);
                let read = |seen: &mut Seen| family.read(operation, b"", object, seen);
                if self.streams {
                    seen.event(read)
                } else {
                    read(seen)
                }
                self.walker = Walker::new(self.family.picks());
            }
        }
    }
}
