//! The mean of paired differences and its confidence interval. Sums are whole numbers and exact; binary floats begin
//! here.

/// Two-sided 95 % quantiles of Student's t distribution, for 1 to 30 degrees of freedom (any table of it).
const T: [f64; 30] = [
    12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004, 2.262_157, 2.228_139,
    2.200_985, 2.178_813, 2.160_369, 2.144_787, 2.131_450, 2.119_905, 2.109_816, 2.100_922, 2.093_024, 2.085_963,
    2.079_614, 2.073_873, 2.068_658, 2.063_899, 2.059_539, 2.055_529, 2.051_831, 2.048_407, 2.045_230, 2.042_272,
];

/// The same of the normal distribution.
const Z: f64 = 1.959_964;

/// What is known of the difference between two sides of so many pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// How many.
    pub pairs: u64,
    /// Mean of routed less direct.
    pub mean: f64,
    /// Where the true mean lies with 95 % confidence; `None` for fewer than two pairs.
    pub interval: Option<(f64, f64)>,
}

/// Sums over pairs, in one small unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) pairs: u64,
    difference: i128,
    squares: u128,
}

impl Sums {
    /// Adds a pair. Stops at the ends of the range instead of wrapping.
    pub(super) fn add(&mut self, difference: i128) {
        let size = difference.unsigned_abs();
        self.pairs += 1;
        self.difference = self.difference.saturating_add(difference);
        self.squares = self.squares.saturating_add(size.saturating_mul(size));
    }

    /// The sum of squares, in `units` to the square.
    pub(super) fn squares(&self, units: f64) -> f64 {
        self.squares as f64 / units / units
    }

    /// Mean and interval, in `units`; `None` without a pair.
    pub(super) fn difference(&self, units: f64) -> Option<Difference> {
        if self.pairs == 0 {
            return None;
        }
        let n = self.pairs as f64;
        let mean = self.difference as f64 / n / units;
        let interval = (self.pairs > 1).then(|| {
            let half = t(self.pairs - 1) * (self.variance() / n).sqrt() / units;
            (mean - half, mean + half)
        });
        Some(Difference { pairs: self.pairs, mean, interval })
    }

    /// The sample's variance, in the sums' own unit.
    fn variance(&self) -> f64 {
        let (n, sum) = (u128::from(self.pairs), self.difference.unsigned_abs());
        let spread = match (n.checked_mul(self.squares), sum.checked_mul(sum)) {
            // Exact: nothing is lost where the differences are large and alike.
            (Some(a), Some(b)) => a.saturating_sub(b) as f64,
            _ => (n as f64 * self.squares as f64 - sum as f64 * sum as f64).max(0.0),
        };
        spread / (n as f64 * (n as f64 - 1.0))
    }
}

/// The two-sided 95 % quantile of Student's t.
fn t(degrees: u64) -> f64 {
    let at = usize::try_from(degrees).unwrap_or(usize::MAX).saturating_sub(1);
    T.get(at).copied().unwrap_or_else(|| {
        // Cornish and Fisher's expansion (Abramowitz and Stegun, 26.7.5): good to five decimals from here on.
        let v = degrees as f64;
        let (z3, z5, z7) = (Z.powi(3), Z.powi(5), Z.powi(7));
        Z + (z3 + Z) / (4.0 * v)
            + (5.0 * z5 + 16.0 * z3 + 3.0 * Z) / (96.0 * v.powi(2))
            + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * Z) / (384.0 * v.powi(3))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(differences: &[i128]) -> Sums {
        let mut sums = Sums::default();
        differences.iter().for_each(|d| sums.add(*d));
        sums
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-5 * b.abs().max(1e-9), "{a} is not {b}");
    }

    #[test]
    fn an_interval_is_that_of_the_paired_t_test() {
        // Differences 1, 2, 3, 4, 10: mean 4, sample deviation sqrt(12.5), t(4) = 2.776445.
        let it = sums(&[1_000, 2_000, 3_000, 4_000, 10_000]).difference(1_000.0).unwrap();
        assert_eq!((it.pairs, it.mean), (5, 4.0));
        let (low, high) = it.interval.unwrap();
        let half = 2.776_445 * (12.5_f64 / 5.0).sqrt();
        near(low, 4.0 - half);
        near(high, 4.0 + half);
    }

    #[test]
    fn one_pair_has_a_mean_and_no_interval_and_none_has_nothing() {
        assert_eq!(sums(&[]).difference(1.0), None);
        assert_eq!(sums(&[-7]).difference(1.0), Some(Difference { pairs: 1, mean: -7.0, interval: None }));
    }

    #[test]
    fn large_differences_that_are_alike_leave_no_spread() {
        let it = sums(&[1_000_000_000_000_000; 50]).difference(1e15).unwrap();
        assert_eq!(it.interval, Some((1.0, 1.0)));
        let beyond = sums(&[i128::MAX, i128::MAX, 0]).difference(1.0).unwrap();
        assert!(beyond.interval.is_some_and(|(low, high)| low.is_finite() && high.is_finite() && low <= high));
    }

    #[test]
    fn quantiles_go_on_where_the_table_ends() {
        near(t(1), 12.706_205);
        near(t(30), 2.042_272);
        near(t(31), 2.039_513);
        near(t(60), 2.000_298);
        near(t(1_000_000), 1.959_966);
        assert!((1..200).all(|degrees| t(degrees) > t(degrees + 1)));
    }
}
