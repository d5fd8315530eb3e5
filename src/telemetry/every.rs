//! Once-per-interval logging for places that could flood the log.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Lets one through per interval and counts the others. Make it a `static` beside the log line:
///
/// ```
/// use faregate::telemetry::Every;
/// static FULL: Every = Every::minutes(1);
/// if let Some(skipped) = FULL.ready() {
///     tracing::error!(skipped, "the disk is full");
/// }
/// ```
#[derive(Debug)]
pub struct Every {
    interval: Duration,
    /// Milliseconds of the process's life at which the next one may pass.
    next: AtomicU64,
    skipped: AtomicU64,
}

impl Every {
    /// One per so many minutes.
    pub const fn minutes(minutes: u64) -> Self {
        Self::new(Duration::from_secs(minutes * 60))
    }

    /// One per interval.
    pub const fn new(interval: Duration) -> Self {
        Self { interval, next: AtomicU64::new(0), skipped: AtomicU64::new(0) }
    }

    /// How many were held back since the last, when it is time for one; else counts this one as held back.
    pub fn ready(&self) -> Option<u64> {
        let now = millis(process_age());
        let next = self.next.load(Relaxed);
        let mine = now >= next
            && self.next.compare_exchange(next, now + millis(self.interval).max(1), Relaxed, Relaxed).is_ok();
        if mine {
            return Some(self.skipped.swap(0, Relaxed));
        }
        self.skipped.fetch_add(1, Relaxed);
        None
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

/// Time since the first question.
fn process_age() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_passes_per_interval_and_the_others_are_counted() {
        let every = Every::new(Duration::from_millis(300));
        assert_eq!(every.ready(), Some(0));
        assert_eq!(every.ready(), None);
        assert_eq!(every.ready(), None);
        std::thread::sleep(Duration::from_millis(320));
        assert_eq!(every.ready(), Some(2));
    }

    #[test]
    fn of_many_threads_one_passes() {
        let every = Every::minutes(1);
        let passed = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    if every.ready().is_some() {
                        passed.fetch_add(1, Relaxed);
                    }
                });
            }
        });
        assert_eq!(passed.load(Relaxed), 1);
    }
}
