//! Random numbers for ids: fast and unlikely to repeat, not secret. Never use them for keys.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

thread_local! {
    static STATE: Cell<[u64; 4]> = Cell::new(seed());
}

/// Seeded from the hash keys that the standard library draws from the system, anew for each thread.
fn seed() -> [u64; 4] {
    let keys = RandomState::new();
    let mut n = 0u64;
    [(); 4].map(|()| {
        n += 1;
        // The generator must not start at all zeros.
        keys.hash_one(n) | 1
    })
}

/// 64 random bits (xoshiro256++ of Blackman and Vigna).
pub(super) fn next() -> u64 {
    STATE.with(|state| {
        let [mut a, mut b, mut c, mut d] = state.get();
        let drawn = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let t = b << 17;
        c ^= a;
        d ^= b;
        b ^= c;
        a ^= d;
        c ^= t;
        d = d.rotate_left(45);
        state.set([a, b, c, d]);
        drawn
    })
}

/// 64 random bits that are not all zero.
pub(super) fn nonzero() -> u64 {
    loop {
        let drawn = next();
        if drawn != 0 {
            return drawn;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_draw_different_numbers() {
        let drawn: Vec<_> =
            (0..8).map(|_| std::thread::spawn(|| (0..1000).map(|_| next()).collect::<Vec<_>>())).collect();
        let mut all: Vec<u64> = drawn.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8000);
        let ones: u32 = all.iter().map(|n| n.count_ones()).sum();
        assert!((250_000..262_000).contains(&ones), "{ones} of 512,000 bits are set");
    }
}
