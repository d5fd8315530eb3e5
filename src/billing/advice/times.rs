//! How long calls took, in bounded memory.

use std::collections::BTreeMap;

/// A bucket ends this many times later than it begins: percentiles are within half a percent.
const STEP: f64 = 1.01;

/// Times of calls. Adding is commutative.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Times {
    /// Calls by logarithm of their time.
    buckets: BTreeMap<i32, u64>,
    count: u64,
    /// The mean that counters tell, in place of the calls.
    mean: Option<f64>,
}

/// What a number of milliseconds is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// The median of the calls.
    Median,
    /// Their mean, where only counters are known.
    Mean,
}

impl Statistic {
    /// The word in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Median => "p50",
            Self::Mean => "mean",
        }
    }
}

impl Times {
    /// Times of which counters tell only how many there are, and their mean in milliseconds.
    pub fn of_mean(count: u64, mean: f64) -> Self {
        Self { count, mean: Some(mean), ..Self::default() }
    }

    /// Adds the time of one call, in milliseconds. What is no time is left out.
    pub fn add(&mut self, ms: f64) {
        if ms.is_finite() && ms >= 0.0 {
            // Between 0 (a nanosecond) and 86 thousand years the logarithm stays within 5,000 buckets.
            let bucket = (ms.clamp(1e-6, 1e15).ln() / STEP.ln()).floor() as i32;
            *self.buckets.entry(bucket).or_default() += 1;
            self.count += 1;
        }
    }

    /// Adds the times of other calls.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
        if let Some(theirs) = other.mean {
            let (a, b) = (self.count as f64, other.count as f64);
            self.mean = Some((self.mean.unwrap_or(0.0) * a + theirs * b) / (a + b).max(1.0));
        }
        self.count += other.count;
    }

    /// How many calls.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What is typical of them, in milliseconds.
    pub fn typical(&self) -> Option<(Statistic, f64)> {
        match self.mean {
            Some(mean) => Some((Statistic::Mean, mean)),
            None => self.quantile(0.5).map(|ms| (Statistic::Median, ms)),
        }
    }

    /// The time that a share of the calls did not exceed; `None` where there are no calls, or counters alone.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut passed = 0;
        self.buckets.iter().find_map(|(bucket, count)| {
            passed += count;
            // The middle of the bucket, by its logarithm.
            (passed >= rank).then(|| STEP.powf(f64::from(*bucket) + 0.5))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_half_a_percent() {
        let mut times = Times::default();
        assert_eq!(times.quantile(0.5), None);
        (1..=1_000).for_each(|n| times.add(f64::from(n)));
        for (share, want) in [(0.5, 500.0), (0.95, 950.0), (0.001, 1.0), (1.0, 1_000.0)] {
            let got = times.quantile(share).expect("calls");
            assert!((got / want - 1.0).abs() <= 0.006, "{got} is not {want}");
        }
        [f64::NAN, -1.0, f64::INFINITY].into_iter().for_each(|ms| times.add(ms));
        assert_eq!(times.count(), 1_000);
        times.add(0.0);
        assert!(times.quantile(0.0).is_some_and(|ms| ms < 0.001));
    }

    #[test]
    fn means_are_weighed() {
        let mut times = Times::default();
        times.merge(&Times::of_mean(1, 100.0));
        times.merge(&Times::of_mean(3, 200.0));
        assert_eq!((times.count(), times.typical()), (4, Some((Statistic::Mean, 175.0))));
    }
}
