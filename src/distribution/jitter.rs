//! Chance, so that thousands that lost the same thing at the same time do not come back at the same time.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// Some time below this, each as likely as the others. From the hash keys that the standard library draws from the
/// system; not secret.
pub fn up_to(most: Duration) -> Duration {
    let drawn = (RandomState::new().hash_one(0) >> 11) as f64 / (1u64 << 53) as f64;
    most.mul_f64(drawn)
}

/// How long to wait before another try, after so many that failed in a row: full jitter, below a limit that doubles
/// from 1 s to 30 s.
pub(super) fn pause(failures: u32) -> Duration {
    up_to(Duration::from_secs(1 << failures.min(5)).min(Duration::from_secs(30)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_spread_over_all_of_their_span_and_have_an_end() {
        for (failures, limit) in [(0, 1), (1, 2), (4, 16), (5, 30), (u32::MAX, 30)] {
            let drawn: Vec<f64> = (0..2000).map(|_| pause(failures).as_secs_f64() / f64::from(limit)).collect();
            assert!(drawn.iter().all(|part| (0.0..1.0).contains(part)));
            for tenth in 0..10 {
                let here = drawn.iter().filter(|part| (**part * 10.0) as usize == tenth).count();
                assert!((100..300).contains(&here), "{here} of 2000 in tenth {tenth}");
            }
        }
    }
}
