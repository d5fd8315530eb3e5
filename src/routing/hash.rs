//! A hash that gives the same value in every process, release and machine, for choices that replicas must agree on:
//! sticky targets, and the name of a configuration.
//!
//! It multiplies 64-bit words to 128 bits and folds the halves together (the construction of wyhash), with fixed
//! keys and little-endian words, and ends with the finaliser of SplitMix64. Not for secrets. Its values are pinned by
//! a test: changing them moves every sticky conversation once.

use std::hash::{BuildHasherDefault, Hasher};
use std::io;

const K1: u64 = 0x9e37_79b9_7f4a_7c15;
const K2: u64 = 0xd6e8_feb8_6659_fd93;

/// Hash maps whose keys come from the configuration. Clients only look up and never insert, so that fixed keys cannot
/// be abused to build long chains.
pub(super) type Map<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<StableHasher>>;

/// Builds a stable hash piece by piece; how the pieces were cut does not matter.
#[derive(Debug, Clone, Default)]
pub struct StableHasher {
    state: u64,
    pending: [u8; 8],
    length: u64,
}

/// The stable hash of some bytes.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hasher = StableHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
pub(super) const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number in (0, 1), never 0 or 1 itself, that two hashes decide.
pub(super) fn unit(a: u64, b: u64) -> f64 {
    let bits = mix(a ^ mix(b.wrapping_add(K1))) >> 12;
    (bits as f64 + 0.5) / (1u64 << 52) as f64
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

impl StableHasher {
    fn word(&mut self, word: [u8; 8]) {
        self.state = fold(self.state ^ u64::from_le_bytes(word) ^ K2, K1);
    }
}

impl Hasher for StableHasher {
    fn write(&mut self, mut bytes: &[u8]) {
        let held = (self.length % 8) as usize;
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if held > 0 {
            let (now, later) = bytes.split_at(bytes.len().min(8 - held));
            self.pending[held..held + now.len()].copy_from_slice(now);
            if held + now.len() < 8 {
                return;
            }
            self.word(self.pending);
            bytes = later;
        }
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(*word);
        }
        self.pending = [0; 8];
        self.pending[..rest.len()].copy_from_slice(rest);
    }

    fn finish(&self) -> u64 {
        let mut last = self.clone();
        last.word(last.pending);
        mix(fold(last.state ^ K1, self.length ^ K2))
    }
}

/// So that a value can be serialised straight into the hash.
impl io::Write for StableHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Hasher::write(self, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_pinned() {
        // From an independent implementation in another language.
        let pinned = [
            ("", 0x0d4851acf482a371_u64),
            ("a", 0xc9d34d8c46dd5afa_u64),
            ("gpt-4o-mini", 0x0c00a3d7f9054457_u64),
            ("eight by", 0xf3f03d8f6bdd6f68_u64),
        ];
        for (text, hash) in pinned {
            assert_eq!(stable_hash(text.as_bytes()), hash, "{text}");
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(bytes: Vec<u8>, cuts in prop::collection::vec(0usize..64, 0..8)) {
            let mut hasher = StableHasher::default();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                Hasher::write(&mut hasher, head);
                rest = tail;
            }
            Hasher::write(&mut hasher, rest);
            prop_assert_eq!(hasher.finish(), stable_hash(&bytes));
        }

        #[test]
        fn one_bit_moves_about_half_of_the_bits(bytes in prop::collection::vec(any::<u8>(), 1..40), bit: usize) {
            let mut other = bytes.clone();
            let bit = bit % (bytes.len() * 8);
            other[bit / 8] ^= 1 << (bit % 8);
            let moved = (stable_hash(&bytes) ^ stable_hash(&other)).count_ones();
            prop_assert!((8..=56).contains(&moved), "{} bits moved", moved);
        }
    }

    #[test]
    fn units_are_even() {
        let mut tenths = [0u32; 10];
        for i in 0..100_000 {
            tenths[(unit(7, i) * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|n| (9_600..10_400).contains(n)), "{tenths:?}");
    }
}
