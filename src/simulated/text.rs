//! Text, chance and price of the simulated provider: the same for the same seed and request.

use crate::config::file::Simulate;

const WORDS: [&str; 32] = [
    "the", "fare", "of", "every", "route", "is", "shown", "at", "gate", "before", "you", "board", "a", "token",
    "costs", "what", "it", "and", "no", "more", "while", "streams", "flow", "as", "they", "come", "this", "answer",
    "was", "made", "up", "here",
];

/// FNV-1a, 64 bits: stable from run to run.
pub(super) fn fingerprint(seed: u64, bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// One step of SplitMix64.
fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A number from 0 to 1 for the nth call.
pub(super) fn chance(seed: u64, nth: u64) -> f64 {
    let bits = mix(seed.wrapping_add(nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

/// So many tokens of text for a request.
pub(super) fn words(seed: u64, request: &[u8], count: u64) -> Vec<String> {
    let start = fingerprint(seed, request);
    (0..count)
        .map(|n| {
            let word = WORDS[(mix(start.wrapping_add(n)) % WORDS.len() as u64) as usize];
            if n == 0 { word.to_owned() } else { format!(" {word}") }
        })
        .collect()
}

/// What a call costs in dollars, where prices are configured. Prices per million tokens are decimals with at most six
/// places, so that a token's price is a whole number of pico-dollars.
pub(super) fn cost(settings: &Simulate, input_tokens: u64, output_tokens: u64) -> Option<f64> {
    let price = |price: &Option<String>| price.as_deref().map_or(Some(0), pico_dollars_per_token);
    if settings.input_price.is_none() && settings.output_price.is_none() {
        return None;
    }
    let pico = u128::from(input_tokens) * price(&settings.input_price)?
        + u128::from(output_tokens) * price(&settings.output_price)?;
    // JSON knows only this kind of number; the nearest double prints back to the same twelve places.
    format!("{}.{:012}", pico / 1_000_000_000_000, pico % 1_000_000_000_000).parse().ok()
}

fn pico_dollars_per_token(per_million: &str) -> Option<u128> {
    let (whole, part) = per_million.split_once('.').unwrap_or((per_million, ""));
    let part = format!("{part:0<6}");
    (part.len() == 6).then_some(())?;
    Some(whole.parse::<u128>().ok()? * 1_000_000 + part.parse::<u128>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact() {
        let settings =
            Simulate { input_price: Some("0.15".into()), output_price: Some("0.600001".into()), ..Simulate::default() };
        assert_eq!(cost(&settings, 1_000_000, 1_000_000), Some(0.750001));
        assert_eq!(cost(&settings, 3, 0), Some(0.00000045));
        assert_eq!(cost(&Simulate::default(), 3, 3), None);
        assert_eq!(pico_dollars_per_token("0.1234567"), None);
    }

    #[test]
    fn the_same_request_gets_the_same_text() {
        assert_eq!(words(1, b"a", 20), words(1, b"a", 20));
        assert_ne!(words(1, b"a", 20), words(2, b"a", 20));
        assert_ne!(words(1, b"a", 20), words(1, b"b", 20));
    }

    #[test]
    fn chance_is_even() {
        let below = (0..10_000).filter(|n| chance(7, *n) < 0.25).count();
        assert!((2_300..2_700).contains(&below), "{below}");
    }
}
