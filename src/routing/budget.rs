//! The retry budget: when most calls fail, retries would only double the load of a provider that is down. It counts
//! further attempts at a provider that the same call has tried; falling back to another one adds no load to the first
//! and is bounded by the number of attempts alone.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::ring::Ring;

/// Attempts beyond the first that are always allowed within ten seconds.
const ALWAYS: u64 = 10;

/// Attempts at a provider already tried, as a share of the calls of the last ten seconds. Its counts outlive a reload.
#[derive(Debug)]
pub struct RetryBudget {
    share: f64,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    start: Instant,
    calls: Ring<10, 1000>,
    retries: Ring<10, 1000>,
    /// Makes "is there room" and "take it" one step. Held for nanoseconds, and only by retries.
    taking: Mutex<()>,
}

impl RetryBudget {
    /// A budget that goes on counting where `previous` stands.
    pub(super) fn new(share: f64, previous: Option<&RetryBudget>) -> Self {
        let fresh = || {
            Arc::new(Counts {
                start: Instant::now(),
                calls: Ring::default(),
                retries: Ring::default(),
                taking: Mutex::new(()),
            })
        };
        Self { share, counts: previous.map_or_else(fresh, |p| Arc::clone(&p.counts)) }
    }

    /// Takes one further attempt out of the budget; false: there is no room, give up.
    pub fn try_withdraw(&self) -> bool {
        self.try_withdraw_at(Instant::now())
    }

    /// Counts a call. Once per call, at its first attempt.
    pub fn deposit_at(&self, now: Instant) {
        self.counts.calls.add(self.ms(now));
    }

    /// As [`RetryBudget::try_withdraw`], for callers that know the time.
    pub fn try_withdraw_at(&self, now: Instant) -> bool {
        let ms = self.ms(now);
        let _one_at_a_time = self.counts.taking.lock();
        let room = ((self.counts.calls.sum(ms) as f64 * self.share) as u64).max(ALWAYS);
        let granted = self.counts.retries.sum(ms) < room;
        if granted {
            self.counts.retries.add(ms);
        }
        granted
    }

    fn ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.counts.start).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn granted(budget: &RetryBudget, now: Instant, tries: usize) -> usize {
        (0..tries).filter(|_| budget.try_withdraw_at(now)).count()
    }

    #[test]
    fn ten_are_always_allowed_then_a_share_of_calls() {
        let (budget, now) = (RetryBudget::new(0.2, None), Instant::now());
        assert_eq!(granted(&budget, now, 50), 10);
        (0..200).for_each(|_| budget.deposit_at(now));
        assert_eq!(granted(&budget, now, 100), 30, "a fifth of 200 calls, ten of them already taken");
    }

    #[test]
    fn the_window_slides() {
        let (budget, now) = (RetryBudget::new(0.5, None), Instant::now());
        (0..100).for_each(|_| budget.deposit_at(now));
        assert_eq!(granted(&budget, now, 100), 50);
        let later = now + Duration::from_secs(5);
        assert_eq!(granted(&budget, later, 100), 0);
        let much_later = now + Duration::from_secs(11);
        assert_eq!(granted(&budget, much_later, 100), 10, "the calls have left the window, and so have the retries");
    }

    #[test]
    fn a_reload_forgets_nothing() {
        let (old, now) = (RetryBudget::new(0.2, None), Instant::now());
        assert_eq!(granted(&old, now, 6), 6);
        let new = RetryBudget::new(0.5, Some(&old));
        assert_eq!(granted(&new, now, 50), 4);
        (0..100).for_each(|_| old.deposit_at(now));
        assert_eq!(granted(&new, now, 100), 40);
    }

    #[test]
    fn threads_never_take_more_than_there_is() {
        let (budget, now) = (RetryBudget::new(0.2, None), Instant::now());
        let taken: usize = std::thread::scope(|s| {
            let workers: Vec<_> = (0..4).map(|_| s.spawn(|| granted(&budget, now, 1_000))).collect();
            workers.into_iter().map(|w| w.join().unwrap()).sum()
        });
        assert_eq!(taken, 10);
    }
}
