//! Counts over a sliding window: a ring of buckets in fixed memory, without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// `N` buckets of `PERIOD` milliseconds. Each word holds the bucket's number (upper half) and its count (lower half),
/// so that a bucket is never seen with another one's count.
#[derive(Debug)]
pub(super) struct Ring<const N: usize, const PERIOD: u64>([AtomicU64; N]);

impl<const N: usize, const PERIOD: u64> Default for Ring<N, PERIOD> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

const fn bucket(word: u64) -> u64 {
    word >> 32
}

const fn count(word: u64) -> u64 {
    word & 0xffff_ffff
}

impl<const N: usize, const PERIOD: u64> Ring<N, PERIOD> {
    /// Numbers from 1, so that an untouched word is nobody's bucket. 32 bits of seconds outlast any process.
    const fn number(ms: u64) -> u64 {
        (ms / PERIOD + 1) & 0xffff_ffff
    }

    /// Counts one at a time in milliseconds. What comes later than a whole window is left out.
    pub(super) fn add(&self, ms: u64) {
        let number = Self::number(ms);
        let slot = &self.0[(number % N as u64) as usize];
        let mut word = slot.load(Relaxed);
        loop {
            let next = match bucket(word) {
                b if b == number => (number << 32) | (count(word) + 1).min(0xffff_ffff),
                b if b < number => (number << 32) | 1,
                _ => return,
            };
            match slot.compare_exchange_weak(word, next, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(seen) => word = seen,
            }
        }
    }

    /// The count over the window that ends at a time in milliseconds.
    pub(super) fn sum(&self, ms: u64) -> u64 {
        let number = Self::number(ms);
        self.0
            .iter()
            .map(|slot| slot.load(Relaxed))
            .filter(|word| bucket(*word) + (N as u64) > number && bucket(*word) <= number)
            .map(count)
            .sum()
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for slot in &self.0 {
            slot.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sums_what_is_inside_the_window(mut times in prop::collection::vec(0u64..40_000, 0..200), end in 0u64..50_000) {
            times.sort_unstable();
            let ring = Ring::<10, 1000>::default();
            let seen: Vec<u64> = times.into_iter().filter(|t| *t <= end).collect();
            for t in &seen {
                ring.add(*t);
            }
            let oldest = (end / 1000).saturating_sub(9);
            let want = seen.iter().filter(|t| **t / 1000 >= oldest).count() as u64;
            prop_assert_eq!(ring.sum(end), want);
        }
    }

    #[test]
    fn threads_lose_no_count() {
        let ring = Ring::<10, 1000>::default();
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| (0..5_000).for_each(|i| ring.add(i % 3_000)));
            }
        });
        assert_eq!(ring.sum(2_999), 20_000);
        ring.clear();
        assert_eq!(ring.sum(2_999), 0);
    }
}
