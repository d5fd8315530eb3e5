//! What Prometheus is asked.
//!
//! `increase()` counts from the first sample of a series on, and a series of Faregate appears when it is first
//! counted: the call that made it would be missing. So what a series held when it first appeared is asked for as well
//! ([`births`]), where it is certain that it was counted within the time.

use crate::billing::moment::Moment;

/// A piece of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) from: Moment,
    pub(super) to: Moment,
}

impl Range {
    /// Its length as PromQL writes it.
    fn length(self) -> String {
        let (from, to) = (self.from.0.div_euclid(1_000), self.to.0.div_euclid(1_000));
        format!("{}ms", (to - from).max(1))
    }
}

/// How much a counter grew between the samples of its series, summed by labels.
pub(super) fn increase(metric: &str, labels: &[&str], range: Range) -> String {
    format!("sum by ({}) (increase({metric}[{}]))", labels.join(", "), range.length())
}

/// What counters held when their series first appeared, summed by labels: of series that were not there in the day
/// before, of processes that were watched then without them, or that have started since.
pub(super) fn births(metric: &str, labels: &[&str], range: Range) -> String {
    let (length, (second, micros)) = (range.length(), range.from.seconds());
    format!(
        "sum by ({}) ((min_over_time({metric}[{length}]) unless last_over_time({metric}[1d] offset {length})) \
         and on (instance, job) (last_over_time(faregate_build_info[1d] offset {length}) \
         or min_over_time(process_start_time_seconds[{length}]) >= {second}.{micros:06}))",
        labels.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_its_length() {
        let range = Range { from: Moment(1_000_000_500_000), to: Moment(1_000_060_500_000) };
        assert_eq!(increase("m", &["a", "b"], range), "sum by (a, b) (increase(m[60000ms]))");
        assert!(births("m", &["a"], range).ends_with("(process_start_time_seconds[60000ms]) >= 1000000.500000))"));
    }
}
