//! The life of a target's health, on a clock of the test's own.

use proptest::prelude::*;

use super::*;

const POLICY: HealthPolicy = HealthPolicy {
    consecutive_failures: 3,
    error_rate: 0.5,
    eject: Duration::from_secs(5),
    max_eject: Duration::from_secs(60),
};

struct Bench {
    health: Health,
    now: Instant,
}

impl Bench {
    fn new(policy: HealthPolicy) -> Self {
        let health = Health::new(policy, None);
        let now = health.record.start;
        Self { health, now }
    }

    fn after(&mut self, seconds: f64) -> &mut Self {
        self.now += Duration::from_secs_f64(seconds);
        self
    }

    fn record(&self, outcomes: &str) {
        outcomes.chars().for_each(|c| self.health.record(c == '+', self.now));
    }

    fn state(&self) -> HealthState {
        self.health.state(self.now)
    }

    /// Seconds until the ejection ends; 0: not ejected.
    fn out_for(&self) -> f64 {
        match self.state() {
            HealthState::Ejected { until } => until.duration_since(self.now).as_secs_f64(),
            _ => 0.0,
        }
    }

    fn probe(&self) -> Option<Probe> {
        self.health.try_probe(self.now)
    }

    /// Waits for the ejection to end and probes.
    fn probe_with(&mut self, outcome: &str) {
        let out_for = self.out_for();
        self.after(out_for);
        let probe = self.probe();
        assert!(probe.is_some(), "no probe at the end of the ejection");
        self.record(outcome);
    }
}

#[test]
fn failures_in_a_row_eject_and_a_success_breaks_the_row() {
    let bench = Bench::new(POLICY);
    bench.record("--+--");
    assert_eq!(bench.state(), HealthState::Up);
    bench.record("-");
    assert_eq!(bench.out_for(), 5.0);
    assert!(!bench.health.is_up());
}

#[test]
fn a_share_of_failures_ejects_once_there_are_enough_calls() {
    let bench = Bench::new(POLICY);
    bench.record(&"+-".repeat(9));
    assert_eq!(bench.state(), HealthState::Up, "18 calls say nothing");
    bench.record("+-");
    assert_eq!(bench.out_for(), 5.0);

    let below = Bench::new(POLICY);
    below.record(&"++-".repeat(100));
    assert_eq!(below.state(), HealthState::Up, "a third of calls failed");
}

#[test]
fn failures_older_than_a_minute_do_not_count() {
    let mut bench = Bench::new(HealthPolicy { consecutive_failures: 0, ..POLICY });
    bench.record(&"-".repeat(15));
    bench.after(65.0).record(&"+".repeat(10));
    bench.record("-");
    assert_eq!(bench.state(), HealthState::Up);
}

#[test]
fn each_rule_can_be_turned_off() {
    let row_only = Bench::new(HealthPolicy { error_rate: 0.0, ..POLICY });
    row_only.record(&"--+".repeat(50));
    assert_eq!(row_only.state(), HealthState::Up);
    let share_only = Bench::new(HealthPolicy { consecutive_failures: 0, ..POLICY });
    share_only.record(&"-".repeat(19));
    assert_eq!(share_only.state(), HealthState::Up);
    share_only.record("-");
    assert_eq!(share_only.out_for(), 5.0);
}

#[test]
fn one_probe_at_a_time_and_its_success_brings_the_target_back() {
    let mut bench = Bench::new(POLICY);
    bench.record("---");
    assert!(bench.probe().is_none(), "probed during the ejection");
    bench.after(5.0);
    assert_eq!(bench.state(), HealthState::Probing);
    let probe = bench.probe();
    assert!(probe.is_some() && bench.probe().is_none(), "two probes at a time");
    bench.record("+");
    drop(probe);
    assert_eq!(bench.state(), HealthState::Up);
    bench.record("--");
    assert_eq!(bench.state(), HealthState::Up, "failures from before the ejection were counted again");
}

#[test]
fn a_probe_without_a_result_lets_the_next_one_go() {
    let mut bench = Bench::new(POLICY);
    bench.record("---");
    bench.after(5.0);
    drop(bench.probe());
    let second = bench.probe();
    assert!(second.is_some());
    second.as_ref().unwrap().release();
    let third = bench.probe();
    assert!(third.is_some());
    drop(second);
    assert!(bench.probe().is_none(), "the second probe gave the third one's right away");
}

#[test]
fn only_the_probe_counts_while_the_target_is_out() {
    let mut bench = Bench::new(POLICY);
    bench.record("---");
    bench.record("+++---");
    assert_eq!(bench.out_for(), 5.0, "calls from before the ejection changed it");
    bench.after(6.0).record("-+");
    assert_eq!(bench.state(), HealthState::Probing, "calls that were no probe decided");
}

#[test]
fn ejections_double_up_to_the_longest_and_start_small_again_after_a_good_time() {
    let mut bench = Bench::new(POLICY);
    bench.record("---");
    let mut lengths = vec![bench.out_for()];
    for _ in 0..5 {
        bench.probe_with("-");
        lengths.push(bench.out_for());
    }
    assert_eq!(lengths, [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]);

    bench.probe_with("+");
    bench.after(59.0).record("---");
    assert_eq!(bench.out_for(), 60.0, "a short recovery was taken for a lasting one");
    bench.probe_with("+");
    bench.after(60.0).record("---");
    assert_eq!(bench.out_for(), 5.0);
}

#[test]
fn a_reload_keeps_the_record_and_takes_the_new_policy() {
    let mut bench = Bench::new(POLICY);
    bench.record("--");
    let old = bench.health.clone();
    bench.health = Health::new(HealthPolicy { eject: Duration::from_secs(7), ..POLICY }, Some(&old));
    bench.record("-");
    assert_eq!(bench.out_for(), 7.0);
    assert!(!old.is_up(), "calls of the old table do not see the ejection");
}

#[test]
fn threads_never_hold_two_probes() {
    let mut bench = Bench::new(POLICY);
    bench.record("---");
    bench.after(5.0);
    let (health, now) = (&bench.health, bench.now);
    let (held, granted) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..20_000 {
                    if let Some(probe) = health.try_probe(now) {
                        granted.fetch_add(1, Relaxed);
                        assert_eq!(held.fetch_add(1, Relaxed), 0, "two probes at a time");
                        held.fetch_sub(1, Relaxed);
                        drop(probe);
                    }
                }
            });
        }
    });
    assert!(granted.load(Relaxed) > 0);
}

#[test]
fn threads_eject_once() {
    let mut bench = Bench::new(POLICY);
    bench.after(1.0);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| (0..1_000).for_each(|_| bench.health.record(false, bench.now)));
        }
    });
    assert_eq!(bench.out_for(), 5.0);
    assert_eq!(bench.health.record.history.lock().ejections, 1);
}

proptest! {
    /// Whatever happens: ejections in a row never get shorter, none is longer than allowed, and an ejected target
    /// comes up again only by a probe.
    #[test]
    fn ejections_grow_and_are_bounded(
        steps in prop::collection::vec((0u8..4, 0u64..30_000), 0..300),
        eject in 0u64..20_000,
        max_eject in 0u64..100_000,
    ) {
        let max = Duration::from_millis(max_eject.max(eject));
        let mut bench = Bench::new(HealthPolicy { eject: Duration::from_millis(eject), max_eject: max, ..POLICY });
        let mut probe = None;
        for (step, wait) in steps {
            let was_up = bench.health.is_up();
            let probing = probe.is_some() && bench.state() == HealthState::Probing;
            let before = *bench.health.record.history.lock();
            match step {
                0 => bench.record("-"),
                1 => bench.record("+"),
                2 => probe = bench.probe().or(probe),
                _ => drop(bench.after(wait as f64 / 1000.0)),
            }
            let after = *bench.health.record.history.lock();
            prop_assert!(Duration::from_millis(after.last) <= max.max(Duration::from_millis(1)));
            if after.ejections > before.ejections {
                prop_assert!(after.last >= before.last, "{} after {}", after.last, before.last);
            }
            if !was_up && bench.health.is_up() {
                prop_assert!(probing && step == 1, "came up without a probe's success");
            }
            if !was_up && after.ejections != before.ejections {
                prop_assert!(probing && step == 0, "ejected again without a probe's failure");
            }
            if step < 2 {
                probe = None;
            }
        }
    }
}
