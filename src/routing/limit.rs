//! How many calls of one route may run at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A limit on calls at one time. The count belongs to the route's name, not to a table, so that a reload does not
/// forget calls in flight.
#[derive(Debug, Clone)]
pub struct Limit {
    most: usize,
    running: Arc<AtomicUsize>,
}

/// One call's place; given back on drop.
#[derive(Debug)]
#[must_use = "the place is given back when the permit is dropped"]
pub struct Permit(Arc<AtomicUsize>);

impl Limit {
    /// A limit of `most` calls that goes on counting where `previous` stands.
    pub(super) fn new(most: usize, previous: Option<&Limit>) -> Self {
        Self { most, running: previous.map_or_else(Arc::default, |p| Arc::clone(&p.running)) }
    }

    /// Takes a place, if one is free.
    pub fn try_acquire(&self) -> Option<Permit> {
        let taken = self.running.try_update(Relaxed, Relaxed, |n| (n < self.most).then_some(n + 1));
        taken.ok().map(|_| Permit(Arc::clone(&self.running)))
    }

    /// How many calls may run at one time.
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many run now.
    pub fn running(&self) -> usize {
        self.running.load(Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_under_threads_and_across_a_reload() {
        let limit = Limit::new(3, None);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..5_000 {
                        let permit = limit.try_acquire();
                        assert!(limit.running() <= 3);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(limit.running(), 0);

        let held = [limit.try_acquire(), limit.try_acquire()];
        let smaller = Limit::new(2, Some(&limit));
        assert!(smaller.try_acquire().is_none(), "the reload forgot two calls");
        drop(held);
        assert!(smaller.try_acquire().is_some());
    }
}
