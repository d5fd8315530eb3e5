//! Frames between control and sidecars.

use bytes::BytesMut;
use faregate::config::MAX_FILE;
use faregate::distribution::{Frame, FrameError, ToControl, ToSidecar, decode, pack, unpack};

use super::Choices;

/// Kind and length.
const HEAD: usize = 5;

/// Whatever comes, and in whatever pieces: the same frames, or the same refusal at the same place; never more held than a
/// frame may be long; and what is understood says the same when it is said again.
pub fn frames(data: &[u8]) {
    let (choices, wire) = Choices::take(data, 5);
    if choices.byte(4) % 2 == 0 {
        for frame in both_ways(&choices, wire, ToSidecar::most) {
            let Ok(message) = ToSidecar::read(frame) else { continue };
            again(&message, ToSidecar::write, ToSidecar::most, ToSidecar::read, &ToSidecar::Unknown);
            if let ToSidecar::Table { packed, .. } = message {
                table(&packed);
            }
        }
    } else {
        for frame in both_ways(&choices, wire, ToControl::most) {
            let Ok(message) = ToControl::read(frame) else { continue };
            again(&message, ToControl::write, ToControl::most, ToControl::read, &ToControl::Unknown);
        }
    }
    table(wire);
}

/// The frames of a stream, which do not depend on how it was cut.
fn both_ways(choices: &Choices<'_>, wire: &[u8], most: fn(u8) -> usize) -> Vec<Frame> {
    let whole = taken([wire], most);
    let cut = taken(choices.pieces(wire), most);
    assert_eq!(whole, cut);
    whole.0
}

fn taken<'w>(pieces: impl IntoIterator<Item = &'w [u8]>, most: fn(u8) -> usize) -> (Vec<Frame>, Option<FrameError>) {
    let (mut input, mut frames) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match decode(&mut input, most) {
                Ok(Some(frame)) => {
                    assert!(frame.payload.len() <= most(frame.kind));
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(error) => {
                    let FrameError::TooLong { length, most: limit } = error else {
                        panic!("{error}: of a frame alone")
                    };
                    assert!(length > limit && limit == most(input[0]));
                    return (frames, Some(error));
                }
            }
        }
        // What is not whole yet will be, before it is longer than may be.
        if let Some((&kind, length)) = input.split_first().filter(|_| input.len() >= HEAD) {
            let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
            assert!(length <= most(kind) && input.len() < HEAD + length);
        }
    }
    (frames, None)
}

/// Said and heard again, a message is the same.
fn again<M: PartialEq + std::fmt::Debug>(
    message: &M,
    write: fn(&M, &mut Vec<u8>),
    most: fn(u8) -> usize,
    read: fn(Frame) -> Result<M, FrameError>,
    unknown: &M,
) {
    let mut wire = Vec::new();
    write(message, &mut wire);
    if message == unknown {
        assert!(wire.is_empty());
        return;
    }
    let mut input = BytesMut::from(&wire[..]);
    match decode(&mut input, most) {
        Ok(Some(frame)) => assert_eq!(read(frame).as_ref(), Ok(message)),
        // JSON may be shorter than we write it, by what it leaves out; nobody repeats a hello.
        Err(FrameError::TooLong { length, most }) => assert!(length - most < 64, "{length} bytes of {most}"),
        other => panic!("{other:?} of what was written"),
    }
    assert!(input.is_empty() || input.len() == wire.len());
}

/// A table's text, or a refusal, within the bound.
fn table(packed: &[u8]) {
    let Ok(text) = unpack(packed) else { return };
    assert!(text.len() as u64 <= MAX_FILE && text.capacity() as u64 <= 2 * MAX_FILE);
    assert_eq!(unpack(&pack(&text)).ok().as_deref(), Some(&*text));
}
