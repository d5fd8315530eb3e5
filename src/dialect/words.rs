//! Looking at eight bytes at a time. Most keys and values of JSON end within a few of such words, where a longer search
//! would only begin.

/// So many words are looked at; what lies farther off is for a search that pays off there.
const NEAR: usize = 4;

/// A word of eight times this byte.
pub(super) const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The high bit of the first byte that equals `byte`, counted from the low end. Bits above that one may be set as well.
pub(super) const fn equal(word: u64, byte: u8) -> u64 {
    let difference = word ^ each(byte);
    difference.wrapping_sub(each(1)) & !difference & each(0x80)
}

/// The first byte at or after `from` that `hits` marks, as [`equal`] does; or from where to look on.
#[inline]
pub(super) fn find_near(bytes: &[u8], mut from: usize, hits: impl Fn(u64) -> u64) -> Result<usize, usize> {
    for _ in 0..NEAR {
        let Some(eight) = bytes.get(from..).and_then(|rest| rest.first_chunk()) else { break };
        let marked = hits(u64::from_le_bytes(*eight));
        if marked != 0 {
            return Ok(from + marked.trailing_zeros() as usize / 8);
        }
        from += 8;
    }
    Err(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_byte_is_found_wherever_it_stands() {
        let hits = |word| equal(word, b'"') | equal(word, b'\\');
        for length in 0..50 {
            for at in 0..length {
                for (hit, around) in [(b'"', b'#'), (b'\\', b'['), (b'"', 0x21), (b'\\', 0xff)] {
                    let mut bytes = vec![around; length];
                    bytes[at] = hit;
                    // Later ones change nothing.
                    bytes[length - 1] = if at == length - 1 { hit } else { b'"' };
                    match find_near(&bytes, 0, hits) {
                        Ok(found) => assert_eq!(found, at),
                        Err(from) => assert!(from <= at && (from == 8 * NEAR || length - from < 8), "{length} {at}"),
                    }
                }
            }
        }
    }
}
