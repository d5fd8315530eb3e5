//! A stopwatch for things that take nanoseconds: repeats them until a sample is long enough, and prints the fastest
//! and the median of many samples. On a machine that others use too, the fastest is what the code costs.

use std::hint::black_box;
use std::time::{Duration, Instant};

const SAMPLES: usize = 25;

/// Nanoseconds that one call of `work` takes, at best.
pub fn time<T>(name: &str, mut work: impl FnMut() -> T) -> f64 {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let long_enough = if quick { Duration::from_micros(200) } else { Duration::from_millis(8) };
    let mut repeats = 1u32;
    let mut sample = |repeats: u32| {
        let began = Instant::now();
        for _ in 0..repeats {
            black_box(work());
        }
        began.elapsed()
    };
    while sample(repeats) < long_enough && repeats < 1 << 24 {
        repeats *= 2;
    }
    let mut samples: Vec<f64> = (0..SAMPLES).map(|_| sample(repeats).as_nanos() as f64 / f64::from(repeats)).collect();
    samples.sort_unstable_by(f64::total_cmp);
    println!("{name:52} {:>12.1} ns   (median {:.1})", samples[0], samples[SAMPLES / 2]);
    samples[0]
}

/// Nanoseconds that each of these takes, at best, from short samples in turn: whatever else the machine does meets all
/// of them, and their differences mean something.
#[allow(dead_code, reason = "each benchmark uses a part of this file")]
pub fn in_turn<const N: usize>(mut works: [(&str, &mut dyn FnMut()); N]) -> [f64; N] {
    const REPEATS: u32 = 200;
    let rounds = if std::env::args().any(|arg| arg == "--quick") { 10 } else { 2_000 };
    let mut best = [f64::INFINITY; N];
    for _ in 0..rounds {
        for ((_, work), best) in works.iter_mut().zip(&mut best) {
            let began = Instant::now();
            for _ in 0..REPEATS {
                work();
            }
            *best = best.min(began.elapsed().as_nanos() as f64 / f64::from(REPEATS));
        }
    }
    for ((name, _), best) in works.iter().zip(best) {
        println!("{name:52} {best:>12.1} ns");
    }
    best
}

/// Whether cargo started this as a benchmark; `cargo test --all-targets` starts it too.
pub fn wanted() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}
