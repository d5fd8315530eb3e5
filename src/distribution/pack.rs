//! A table's text, compressed once for all who get it, and unpacked within a bound.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::config::MAX_FILE;

/// Why what came is no table's text.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Not gzip, or cut off.
    #[error("the table cannot be unpacked: {0}")]
    Broken(#[source] io::Error),
    /// A text longer than a configuration file may be.
    #[error("the table is larger than {} MiB", MAX_FILE >> 20)]
    TooLarge,
    /// Not text.
    #[error("the table is not UTF-8 text")]
    Text,
}

/// Compresses a text (gzip).
pub fn pack(text: &str) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing into memory does not fail.
    let _infallible = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default().into()
}

/// The text again, whatever the bytes are never more than [`MAX_FILE`] of it in memory.
///
/// # Errors
/// Why it is none.
pub fn unpack(packed: &[u8]) -> Result<String, PackError> {
    let mut text = Vec::new();
    GzDecoder::new(packed).take(MAX_FILE + 1).read_to_end(&mut text).map_err(PackError::Broken)?;
    if text.len() as u64 > MAX_FILE {
        return Err(PackError::TooLarge);
    }
    String::from_utf8(text).map_err(|_| PackError::Text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_come_back(text: String) {
            prop_assert_eq!(unpack(&pack(&text)).ok(), Some(text));
        }

        #[test]
        fn garbage_is_refused(bytes: Vec<u8>) {
            prop_assert!(unpack(&bytes).is_err());
        }

        #[test]
        fn what_is_cut_off_is_refused(text in ".{0,200}", cut in 1usize..30) {
            let packed = pack(&text);
            prop_assert!(matches!(unpack(&packed[..packed.len().saturating_sub(cut)]), Err(PackError::Broken(_))));
        }
    }

    #[test]
    fn a_small_pack_does_not_become_large_memory() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let block = vec![b' '; 1 << 20];
        for _ in 0..=(MAX_FILE >> 20) {
            encoder.write_all(&block).unwrap();
        }
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 1 << 20);
        assert!(matches!(unpack(&bomb), Err(PackError::TooLarge)));
    }
}
