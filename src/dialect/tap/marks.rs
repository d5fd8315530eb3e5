//! Tells which events can be passed by once content has started, without parsing them.

use memchr::memmem::Finder;

use super::super::router;

/// Longest event that is looked at for an end marker.
const MAX_END_MARKER: usize = 256;

/// Searches for the words that make an event worth reading.
///
/// Between quotes they cannot be part of a text: there the quotes are escaped. A host that writes a key with escapes
/// would be missed; none does.
#[derive(Debug)]
pub(super) struct Marks {
    usage: Finder<'static>,
    error: Finder<'static>,
    done: Finder<'static>,
    stop: Finder<'static>,
    router: Finder<'static>,
}

impl Marks {
    pub(super) fn new() -> Self {
        Self {
            usage: Finder::new("\"usage\""),
            error: Finder::new("\"error\""),
            done: Finder::new("[DONE]"),
            stop: Finder::new("message_stop"),
            router: Finder::new(router::MEMBER),
        }
    }

    /// Whether `event` may report usage, an error or the end.
    pub(super) fn worth_reading(&self, event: &[u8]) -> bool {
        let ends =
            event.len() <= MAX_END_MARKER && (self.done.find(event).is_some() || self.stop.find(event).is_some());
        // What begins with another field or a comment is rare, and its name may stand anywhere.
        let unusual = !event.starts_with(b"data:") && !event.starts_with(b"event:");
        ends || unusual
            || event.starts_with(b"event: error")
            || event.starts_with(b"event:error")
            || self.has_value(&self.usage, event)
            || self.has_value(&self.error, event)
    }

    /// Whether `event` may hold what a router tells of itself.
    pub(super) fn may_tell(&self, event: &[u8]) -> bool {
        self.router.find(event).is_some()
    }

    /// Whether the word is there with anything but null after it.
    fn has_value(&self, word: &Finder<'static>, event: &[u8]) -> bool {
        word.find_iter(event).any(|at| {
            let rest = &event[at + word.needle().len()..];
            let value = rest.iter().position(|b| !matches!(b, b':' | b' '));
            !value.is_some_and(|at| rest[at..].starts_with(b"null"))
        })
    }
}
