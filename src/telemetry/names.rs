//! Label values: cleaned, and bounded in number.
//!
//! Whatever a client or provider can influence becomes a label only through [`Names`], so that nobody outside can
//! grow this process's memory or the metrics store.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use arc_swap::ArcSwap;
use parking_lot::Mutex;

/// Longest label value, in bytes.
pub const MAX_LENGTH: usize = 128;

/// Stands for every name beyond the cap.
pub const OTHER: &str = "other";

/// A label value as it may be exposed: at most [`MAX_LENGTH`] bytes, control characters replaced by `_`.
pub fn clean(value: &str) -> Cow<'_, str> {
    let mut end = value.len().min(MAX_LENGTH);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    let cut = value.get(..end).unwrap_or_default();
    let plain = cut.bytes().fold(true, |all, byte| all & (b' '..0x7f).contains(&byte));
    if !plain && cut.chars().any(char::is_control) {
        return Cow::Owned(cut.chars().map(|c| if c.is_control() { '_' } else { c }).collect());
    }
    Cow::Borrowed(cut)
}

/// A name's place in a [`Names`]; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(u32);

impl NameId {
    /// The place of `other`.
    pub const OTHER: Self = Self(0);
}

/// A set of names that grows up to a cap and then answers `other`. Reading takes no lock.
pub struct Names {
    cap: usize,
    known: ArcSwap<Known>,
    growing: Mutex<()>,
}

#[derive(Default, Clone)]
struct Known {
    ids: HashMap<Arc<str>, NameId, RandomState>,
    names: Vec<Arc<str>>,
}

impl Names {
    /// A set of at most `cap` names, `other` not counted.
    pub fn new(cap: usize) -> Self {
        let other: Arc<str> = OTHER.into();
        let known = Known { ids: HashMap::from_iter([(Arc::clone(&other), NameId::OTHER)]), names: vec![other] };
        Self { cap, known: ArcSwap::from_pointee(known), growing: Mutex::new(()) }
    }

    /// The place of a name that may be new.
    pub fn admit(&self, name: &str) -> NameId {
        let name = clean(name);
        if let Some(found) = self.find_clean(&name) {
            return found;
        }
        if self.is_full(&self.known.load()) {
            return NameId::OTHER;
        }
        let _growing = self.growing.lock();
        let known = self.known.load();
        if let Some(found) = known.ids.get(&*name) {
            return *found;
        }
        let Ok(next) = u32::try_from(known.names.len()) else { return NameId::OTHER };
        if self.is_full(&known) {
            return NameId::OTHER;
        }
        let mut grown = Known::clone(&known);
        let name: Arc<str> = name.into();
        grown.ids.insert(Arc::clone(&name), NameId(next));
        grown.names.push(name);
        self.known.store(Arc::new(grown));
        NameId(next)
    }

    /// The place of a name that was admitted before.
    pub fn find(&self, name: &str) -> Option<NameId> {
        self.find_clean(&clean(name))
    }

    fn find_clean(&self, name: &str) -> Option<NameId> {
        self.known.load().ids.get(name).copied()
    }

    /// The name at a place.
    pub fn name(&self, id: NameId) -> Arc<str> {
        let known = self.known.load();
        known.names.get(id.0 as usize).or_else(|| known.names.first()).map_or_else(|| OTHER.into(), Arc::clone)
    }

    fn is_full(&self, known: &Known) -> bool {
        known.names.len() > self.cap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_bounds_length_at_a_character_and_replaces_controls() {
        assert_eq!(clean("gpt-4o"), "gpt-4o");
        assert_eq!(clean("a\nb\u{7f}c\u{85}"), "a_b_c_");
        let long = "é".repeat(100);
        assert_eq!(clean(&long).len(), MAX_LENGTH);
        let odd = format!("x{long}");
        assert_eq!(clean(&odd).len(), MAX_LENGTH - 1);
    }

    #[test]
    fn the_cap_holds_under_threads_and_ids_stay_apart() {
        let names = Names::new(50);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let names = &names;
                scope.spawn(move || {
                    for n in 0..200 {
                        let name = format!("app-{}", (n * 7 + thread * 13) % 120);
                        let id = names.admit(&name);
                        assert!(id == NameId::OTHER || *names.name(id) == *name);
                    }
                });
            }
        });
        let ids: std::collections::BTreeSet<_> = (0..120).map(|n| names.admit(&format!("app-{n}"))).collect();
        assert_eq!(ids.len(), 51, "50 names and other");
        assert_eq!(names.admit("other"), NameId::OTHER);
        assert_eq!(names.find("never-seen"), None);
    }

    #[test]
    fn a_cap_of_zero_knows_only_other() {
        let names = Names::new(0);
        assert_eq!(names.admit("a"), NameId::OTHER);
    }
}
