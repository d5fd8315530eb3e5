//! Frames off the front of a buffer, whatever the pieces in which it was filled. Pure.

use bytes::{Buf, Bytes, BytesMut};

/// Kind and length.
const HEAD: usize = 5;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is; see the table in the module's head.
    pub kind: u8,
    /// What it carries.
    pub payload: Bytes,
}

/// Why the other side cannot be followed any longer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than this side reads.
    #[error("a frame of {length} bytes, where {most} are the most")]
    TooLong {
        /// What it says of itself.
        length: usize,
        /// What would be read.
        most: usize,
    },
    /// Its payload is not what its kind wants.
    #[error("a frame of kind {kind} that is not what it should be")]
    Malformed {
        /// Its kind.
        kind: u8,
    },
}

/// Splits a frame off when it is complete; `Ok(None)`: read more, then ask again. `most` is the longest payload, by
/// kind; what is longer is refused as soon as its head is there.
///
/// # Errors
/// It is too long. After that nothing of the buffer can be trusted.
pub fn decode(input: &mut BytesMut, most: impl Fn(u8) -> usize) -> Result<Option<Frame>, FrameError> {
    let Some((&[kind, a, b, c, d], rest)) = input.split_first_chunk::<HEAD>() else { return Ok(None) };
    let (length, most) = (u32::from_be_bytes([a, b, c, d]) as usize, most(kind));
    if length > most {
        return Err(FrameError::TooLong { length, most });
    }
    if rest.len() < length {
        return Ok(None);
    }
    input.advance(HEAD);
    Ok(Some(Frame { kind, payload: input.split_to(length).freeze() }))
}

/// Appends a frame whose payload is these parts.
pub(super) fn encode(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.reserve(HEAD + length);
    out.push(kind);
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
        prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)), 0..12)
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_split(frames in frames(), cuts in prop::collection::vec(1usize..40, 1..50)) {
            let mut wire = Vec::new();
            frames.iter().for_each(|(kind, payload)| encode(&mut wire, *kind, &[payload]));
            let (mut input, mut seen, mut rest) = (BytesMut::new(), Vec::new(), &wire[..]);
            for cut in cuts.iter().cycle() {
                while let Some(frame) = decode(&mut input, |_| 300).unwrap() {
                    seen.push((frame.kind, frame.payload.to_vec()));
                }
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                input.extend_from_slice(piece);
                rest = after;
            }
            prop_assert_eq!(seen, frames);
            prop_assert!(input.is_empty());
        }

        #[test]
        fn what_is_too_long_is_known_by_its_head(kind: u8, length: u32, most in 0usize..100_000) {
            let mut input = BytesMut::from(&[&[kind][..], &length.to_be_bytes()].concat()[..]);
            let found = decode(&mut input, |_| most);
            match length as usize {
                0 => prop_assert!(found.unwrap().is_some()),
                length if length > most => prop_assert_eq!(found, Err(FrameError::TooLong { length, most })),
                _ => prop_assert_eq!(found, Ok(None)),
            }
        }

        #[test]
        fn garbage_is_read_to_an_end(bytes: Vec<u8>) {
            let mut input = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decode(&mut input, |_| 64) {}
            prop_assert!(input.len() <= bytes.len());
        }
    }
}
