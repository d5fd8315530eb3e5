//! The numbers behind metrics: lock-free cells that cost an atomic addition to change.
//!
//! A handle (clone of a cell) may be kept and used without ever looking a label up again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::proto;

use super::table::{Kind, Metric};

/// A number that a [`Family`](super::family::Family) can hold one of per label set.
pub trait Cell: Clone + Send + Sync + 'static {
    /// A cell at zero.
    fn new(metric: &'static Metric) -> Self;
    /// Whether the cell can stand for a metric of this kind.
    fn fits(kind: Kind) -> bool;
    /// Writes the present value into a sample.
    fn sample(&self, kind: Kind, sample: &mut proto::Metric);
}

/// A whole number that only grows.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Cell for Counter {
    fn new(_: &'static Metric) -> Self {
        Self::default()
    }

    fn fits(kind: Kind) -> bool {
        kind == Kind::Counter
    }

    fn sample(&self, kind: Kind, sample: &mut proto::Metric) {
        write_number(self.get() as f64, kind, sample);
    }
}

/// Dollars that only grow: counted in 1e-12 dollars, up to 18 million dollars.
#[derive(Debug, Clone, Default)]
pub struct Dollars(Arc<AtomicU64>);

impl Dollars {
    /// Adds so many 1e-12 dollars.
    pub fn add(&self, pico: u64) {
        self.0.fetch_add(pico, Relaxed);
    }

    /// The present value in 1e-12 dollars.
    pub fn pico(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Cell for Dollars {
    fn new(_: &'static Metric) -> Self {
        Self::default()
    }

    fn fits(kind: Kind) -> bool {
        kind == Kind::Counter
    }

    fn sample(&self, kind: Kind, sample: &mut proto::Metric) {
        write_number(self.pico() as f64 / 1e12, kind, sample);
    }
}

/// A whole number that goes up and down.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Sets the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

impl Cell for Gauge {
    fn new(_: &'static Metric) -> Self {
        Self::default()
    }

    fn fits(kind: Kind) -> bool {
        kind == Kind::Gauge
    }

    fn sample(&self, kind: Kind, sample: &mut proto::Metric) {
        write_number(self.get() as f64, kind, sample);
    }
}

/// The seconds since some time, as they stand when somebody looks. Unknown, and not shown as anything but NaN, before
/// the time is set.
#[derive(Debug, Clone, Default)]
pub struct Since(Arc<AtomicI64>);

impl Since {
    /// Sets the time, in seconds since 1970.
    pub fn set(&self, unix_seconds: i64) {
        self.0.store(unix_seconds, Relaxed);
    }
}

impl Cell for Since {
    fn new(_: &'static Metric) -> Self {
        Self::default()
    }

    fn fits(kind: Kind) -> bool {
        kind == Kind::Gauge
    }

    fn sample(&self, kind: Kind, sample: &mut proto::Metric) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let age = match self.0.load(Relaxed) {
            0 => f64::NAN,
            then => now.floor() - then as f64,
        };
        write_number(age, kind, sample);
    }
}

/// A number with a fraction that is read from elsewhere and set as it was read; counter or gauge.
#[derive(Debug, Clone, Default)]
pub struct Reading(Arc<AtomicU64>);

impl Reading {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

impl Cell for Reading {
    fn new(_: &'static Metric) -> Self {
        Self::default()
    }

    fn fits(kind: Kind) -> bool {
        matches!(kind, Kind::Counter | Kind::Gauge)
    }

    fn sample(&self, kind: Kind, sample: &mut proto::Metric) {
        write_number(self.get(), kind, sample);
    }
}

fn write_number(value: f64, kind: Kind, sample: &mut proto::Metric) {
    if kind == Kind::Counter {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        sample.set_counter(counter);
    } else {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        sample.set_gauge(gauge);
    }
}

/// Durations by bucket. Sums are kept in whole nanoseconds: exact, and one addition.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: &'static [f64],
    /// One per bound, and a last one for what is over all bounds.
    counts: Box<[AtomicU64]>,
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let buckets = &*self.0;
        let seconds = duration.as_secs_f64();
        let at = buckets.bounds.iter().position(|bound| seconds <= *bound).unwrap_or(buckets.bounds.len());
        buckets.sum_nanos.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        if let Some(count) = buckets.counts.get(at) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.0.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// How many fell into each bucket: one number for each upper bound in seconds, and a last one for what is over all.
    pub fn buckets(&self) -> (&'static [f64], Vec<u64>) {
        (self.0.bounds, self.0.counts.iter().map(|count| count.load(Relaxed)).collect())
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.0.sum_nanos.load(Relaxed))
    }
}

impl Cell for Histogram {
    fn new(metric: &'static Metric) -> Self {
        let bounds = if let Kind::Histogram(bounds) = metric.kind { bounds } else { &[] };
        let counts = std::iter::repeat_with(AtomicU64::default).take(bounds.len() + 1).collect();
        Self(Arc::new(Buckets { bounds, counts, sum_nanos: AtomicU64::new(0) }))
    }

    fn fits(kind: Kind) -> bool {
        matches!(kind, Kind::Histogram(_))
    }

    fn sample(&self, _: Kind, sample: &mut proto::Metric) {
        let mut below = 0;
        let mut rows = Vec::with_capacity(self.0.bounds.len());
        for (bound, count) in self.0.bounds.iter().zip(&self.0.counts) {
            below += count.load(Relaxed);
            let mut row = proto::Bucket::default();
            row.set_upper_bound(*bound);
            row.set_cumulative_count(below);
            rows.push(row);
        }
        let over = self.0.counts.last().map_or(0, |count| count.load(Relaxed));
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(rows);
        // The count is the sum of the buckets as just read, so that a scrape never contradicts itself.
        histogram.set_sample_count(below + over);
        histogram.set_sample_sum(self.sum().as_secs_f64());
        sample.set_histogram(histogram);
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn a_bound_is_inclusive_and_what_is_over_all_bounds_is_counted() {
        let histogram = Histogram::new(&table::OVERHEAD_SECONDS);
        for micros in [10, 11, 250_000, 250_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut sample = proto::Metric::default();
        histogram.sample(table::OVERHEAD_SECONDS.kind, &mut sample);
        let rows = sample.get_histogram().get_bucket().to_vec();
        assert_eq!(rows[0].cumulative_count(), 1);
        assert_eq!(rows[1].cumulative_count(), 2);
        assert_eq!(rows.last().map(proto::Bucket::cumulative_count), Some(3));
        assert_eq!(sample.get_histogram().get_sample_count(), 4);
        assert_eq!(histogram.sum(), Duration::from_micros(500_022));
    }
}
