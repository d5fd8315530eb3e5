//! One budget for all request bodies that are held at a time, so that memory has a bound whatever clients send.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The budget.
#[derive(Debug, Clone)]
pub struct BodyBudget {
    held: Arc<AtomicUsize>,
    limit: usize,
}

/// Bytes of the budget, given back on drop.
#[derive(Debug)]
pub struct Held {
    budget: BodyBudget,
    bytes: usize,
}

impl BodyBudget {
    /// A budget of so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { held: Arc::default(), limit }
    }

    /// An empty share, to be grown.
    pub fn open(&self) -> Held {
        Held { budget: self.clone(), bytes: 0 }
    }
}

impl Held {
    /// Grows the share to `bytes` in all; false when the budget does not allow it.
    #[must_use]
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let before = self.budget.held.fetch_add(more, Ordering::AcqRel);
        if before.saturating_add(more) > self.budget.limit {
            self.budget.held.fetch_sub(more, Ordering::AcqRel);
            return false;
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_bounded_and_given_back() {
        let budget = BodyBudget::new(10);
        let mut first = budget.open();
        assert!(first.grow_to(4) && first.grow_to(6) && first.grow_to(5));
        let mut second = budget.open();
        assert!(!second.grow_to(5) && second.grow_to(4));
        drop(first);
        assert!(second.grow_to(10));
    }
}
