//! Medians over rounds, absolute and as ratios, as Markdown.

use std::time::Duration;

use super::Plan;
use super::load::Driven;

/// One system in one round.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    per_second: f64,
    p50: f64,
    p99: f64,
    /// CPU microseconds of the proxy per request.
    cpu: f64,
}

impl Row {
    /// `cpu`: what the proxy used for all requests of the round, those of the warm-up included.
    pub fn of(driven: &Driven, cpu: Option<f64>) -> Self {
        let requests = driven.requests() as f64;
        Self {
            per_second: requests / driven.took.as_secs_f64(),
            p50: driven.quantile(0.5),
            p99: driven.quantile(0.99),
            cpu: cpu.map_or(f64::NAN, |cpu| cpu / driven.in_all as f64),
        }
    }
}

/// What was measured where.
pub fn intro(plan: &Plan) {
    println!(
        "{} rounds of {:?} for each system, {} workers, medians. Latencies in microseconds, beyond those of a direct call.\n",
        plan.rounds, plan.window, plan.workers
    );
}

/// One table for one case.
pub fn case(name: &str, rounds: &[[Row; 3]]) {
    let of = |at: usize, value: fn(&Row) -> f64| median(rounds.iter().map(|round| value(&round[at])));
    // A round is measured within seconds: what it says of two systems is compared inside it.
    let against = |a: usize, b: usize, value: fn(&Row) -> f64| {
        median(rounds.iter().map(|round| value(&round[a]) / value(&round[b])))
    };
    let added =
        |at: usize, value: fn(&Row) -> f64| median(rounds.iter().map(|round| value(&round[at]) - value(&round[0])));
    println!("### {name}\n");
    println!("| | requests/s | CPU us/request | added p50 | added p99 |");
    println!("|---|---|---|---|---|");
    println!("| direct | {:.0} | | ({:.0}) | ({:.0}) |", of(0, |r| r.per_second), of(0, |r| r.p50), of(0, |r| r.p99));
    for (at, system) in [(1, "nginx"), (2, "Faregate")] {
        println!(
            "| {system} | {:.0} | {:.1} | {:.0} | {:.0} |",
            of(at, |r| r.per_second),
            of(at, |r| r.cpu),
            added(at, |r| r.p50),
            added(at, |r| r.p99),
        );
    }
    let ratio = |value: fn(&Row) -> f64| {
        median(
            rounds
                .iter()
                .map(|[direct, nginx, faregate]| (value(faregate) - value(direct)) / (value(nginx) - value(direct))),
        )
    };
    println!(
        "| **Faregate : nginx** | **{:.2}** | **{:.2}** | **{:.2}** | **{:.2}** |",
        against(2, 1, |r| r.per_second),
        against(2, 1, |r| r.cpu),
        ratio(|r| r.p50),
        ratio(|r| r.p99),
    );
    println!("| Faregate : direct | {:.2} | | | |\n", against(2, 0, |r| r.per_second));
}

/// Faregate's own count before and after a case: see [`Proxy::inside`](super::process::Proxy::inside). It ends where its
/// bytes are handed to the kernel, so that what a client sees added is more.
pub fn inside(before: [f64; 3], after: [f64; 3]) {
    let [request, response, calls] = [0, 1, 2].map(|at| after[at] - before[at]);
    println!(
        "By its own count Faregate spent {:.0} us of a call on the way to the provider and {:.0} us on the way back (means of {calls:.0} calls).\n",
        request / calls,
        response / calls
    );
}

/// Resident and proportional KiB of both.
pub fn memory(name: &str, nginx: (f64, f64), faregate: (f64, f64)) {
    println!("### {name}\n");
    println!("| | resident MiB | proportional MiB |");
    println!("|---|---|---|");
    for (system, (resident, proportional)) in [("nginx", nginx), ("Faregate", faregate)] {
        println!("| {system} | {:.1} | {:.1} |", resident / 1024.0, proportional / 1024.0);
    }
    println!("| **Faregate : nginx** | **{:.2}** | **{:.2}** |\n", faregate.0 / nginx.0, faregate.1 / nginx.1);
}

/// Start to first answer.
pub fn starts(times: &[Vec<Duration>; 2]) {
    println!("### start to ready\n");
    println!("| | ms, median | ms, longest |");
    println!("|---|---|---|");
    for (system, times) in ["nginx", "Faregate"].iter().zip(times) {
        let longest = times.iter().max().copied().unwrap_or_default();
        println!("| {system} | {:.1} | {:.1} |", median(times.iter().copied().map(millis)), millis(longest));
    }
    println!();
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}
