//! What frames say. Pure; the table stands in the module's head.

use std::time::Duration;

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};

use super::frame::{Frame, FrameError, encode};
use super::{MAX_SMALL, MAX_TABLE, MAX_TRUST};

/// The longest hash.
pub const MAX_HASH: usize = u8::MAX as usize;
/// The longest text of `nack` and `bye`.
const MAX_TEXT: usize = 2 << 10;

const TABLE: u8 = 1;
const KEEP: u8 = 2;
const NONE: u8 = 3;
const TRUST: u8 = 4;
const PING: u8 = 5;
const BYE: u8 = 6;
const HELLO: u8 = 65;
const ACK: u8 = 66;
const NACK: u8 = 67;
const PONG: u8 = 68;

/// What control says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToSidecar {
    /// Run this table.
    Table {
        /// Its name.
        hash: String,
        /// Its text, gzip.
        packed: Bytes,
    },
    /// The table in use is the right one.
    Keep {
        /// Its name.
        hash: String,
    },
    /// There is none.
    None,
    /// Trust these authorities too.
    Trust {
        /// Their certificates, PEM.
        pem: String,
    },
    /// Answer; the next comes within this time.
    Ping {
        /// Whole seconds.
        next: Duration,
    },
    /// The connection ends.
    Bye {
        /// Why.
        reason: String,
    },
    /// Something that only newer ones understand.
    Unknown,
}

/// What a sidecar says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToControl {
    /// Who is there.
    Hello {
        /// The program's version.
        version: String,
        /// The table that it has from control and runs.
        table: Option<String>,
    },
    /// The table is in use.
    Ack {
        /// Its name.
        hash: String,
    },
    /// The table is refused.
    Nack {
        /// Its name.
        hash: String,
        /// Why.
        reason: String,
    },
    /// The answer to `ping`.
    Pong,
    /// Something that only newer ones understand.
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct Hello {
    #[serde(default)]
    version: String,
    #[serde(default)]
    table: Option<String>,
}

impl ToSidecar {
    /// The longest payload of a kind.
    pub fn most(kind: u8) -> usize {
        match kind {
            TABLE => MAX_TABLE,
            TRUST => MAX_TRUST,
            _ => MAX_SMALL,
        }
    }

    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Table { hash, packed } => encode(out, TABLE, &[&length(hash), named(hash), packed]),
            Self::Keep { hash } => encode(out, KEEP, &[&length(hash), named(hash)]),
            Self::None => encode(out, NONE, &[]),
            Self::Trust { pem } => encode(out, TRUST, &[pem.as_bytes()]),
            Self::Ping { next } => {
                encode(out, PING, &[&u16::try_from(next.as_secs()).unwrap_or(u16::MAX).to_be_bytes()]);
            }
            Self::Bye { reason } => encode(out, BYE, &[bounded(reason).as_bytes()]),
            Self::Unknown => {}
        }
    }

    /// What a frame says.
    ///
    /// # Errors
    /// It is not what its kind should be.
    pub fn read(frame: Frame) -> Result<Self, FrameError> {
        let Frame { kind, mut payload } = frame;
        let malformed = FrameError::Malformed { kind };
        Ok(match kind {
            TABLE => Self::Table { hash: take_hash(&mut payload).ok_or(malformed)?, packed: payload },
            KEEP => Self::Keep { hash: take_hash(&mut payload).ok_or(malformed)? },
            NONE => Self::None,
            TRUST => Self::Trust { pem: String::from_utf8(payload.into()).map_err(|_| malformed)? },
            PING => match payload.first_chunk::<2>() {
                Some(next) => Self::Ping { next: Duration::from_secs(u16::from_be_bytes(*next).into()) },
                None => return Err(malformed),
            },
            BYE => Self::Bye { reason: text(&payload) },
            _ => Self::Unknown,
        })
    }
}

impl ToControl {
    /// The longest payload of any kind.
    pub fn most(_: u8) -> usize {
        MAX_SMALL
    }

    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello { version, table } => {
                let hello = Hello { version: version.clone(), table: table.clone() };
                encode(out, HELLO, &[&serde_json::to_vec(&hello).unwrap_or_default()]);
            }
            Self::Ack { hash } => encode(out, ACK, &[&length(hash), named(hash)]),
            Self::Nack { hash, reason } => {
                encode(out, NACK, &[&length(hash), named(hash), bounded(reason).as_bytes()]);
            }
            Self::Pong => encode(out, PONG, &[]),
            Self::Unknown => {}
        }
    }

    /// What a frame says.
    ///
    /// # Errors
    /// It is not what its kind should be.
    pub fn read(frame: Frame) -> Result<Self, FrameError> {
        let Frame { kind, mut payload } = frame;
        let malformed = FrameError::Malformed { kind };
        Ok(match kind {
            HELLO => {
                let Hello { version, table } = serde_json::from_slice(&payload).map_err(|_| malformed)?;
                Self::Hello { version, table }
            }
            ACK => Self::Ack { hash: take_hash(&mut payload).ok_or(malformed)? },
            NACK => Self::Nack { hash: take_hash(&mut payload).ok_or(malformed)?, reason: text(&payload) },
            PONG => Self::Pong,
            _ => Self::Unknown,
        })
    }
}

/// What of a hash is sent.
fn named(hash: &str) -> &[u8] {
    let bytes = hash.as_bytes();
    bytes.get(..bytes.len().min(MAX_HASH)).unwrap_or_default()
}

fn length(hash: &str) -> [u8; 1] {
    [u8::try_from(named(hash).len()).unwrap_or(u8::MAX)]
}

fn take_hash(payload: &mut Bytes) -> Option<String> {
    let length = usize::from(*payload.first()?);
    let hash = std::str::from_utf8(payload.get(1..=length)?).ok()?.to_owned();
    payload.advance(1 + length);
    Some(hash)
}

/// The start of a text, as much of it as is sent.
fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    let all = String::from_utf8_lossy(bytes);
    // It goes to logs and to a resource's status.
    bounded(&all).chars().map(|c| if c.is_control() && c != '\n' { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::super::decode;
    use super::*;

    fn to_sidecar() -> impl Strategy<Value = ToSidecar> {
        prop_oneof![
            ("[0-9a-f]{0,64}", prop::collection::vec(any::<u8>(), 0..200))
                .prop_map(|(hash, packed)| ToSidecar::Table { hash, packed: packed.into() }),
            "[0-9a-f]{0,64}".prop_map(|hash| ToSidecar::Keep { hash }),
            Just(ToSidecar::None),
            "\\PC{0,300}".prop_map(|pem| ToSidecar::Trust { pem }),
            (0u64..=0xffff).prop_map(|next| ToSidecar::Ping { next: Duration::from_secs(next) }),
            "\\PC{0,300}".prop_map(|reason| ToSidecar::Bye { reason }),
        ]
    }

    fn to_control() -> impl Strategy<Value = ToControl> {
        prop_oneof![
            ("\\PC{0,40}", prop::option::of("[0-9a-f]{0,64}"))
                .prop_map(|(version, table)| ToControl::Hello { version, table }),
            "[0-9a-f]{0,64}".prop_map(|hash| ToControl::Ack { hash }),
            ("[0-9a-f]{0,64}", "\\PC{0,300}").prop_map(|(hash, reason)| ToControl::Nack { hash, reason }),
            Just(ToControl::Pong),
        ]
    }

    proptest! {
        #[test]
        fn what_is_said_is_heard(out in to_sidecar(), back in to_control()) {
            let mut wire = Vec::new();
            out.write(&mut wire);
            back.write(&mut wire);
            let mut input = BytesMut::from(&wire[..]);
            let frame = decode(&mut input, ToSidecar::most).unwrap().unwrap();
            prop_assert_eq!(ToSidecar::read(frame), Ok(out));
            let frame = decode(&mut input, ToControl::most).unwrap().unwrap();
            prop_assert_eq!(ToControl::read(frame), Ok(back));
        }

        #[test]
        fn any_frame_is_understood_skipped_or_refused(kind: u8, payload: Vec<u8>) {
            let frame = Frame { kind, payload: payload.into() };
            let (_, _) = (ToSidecar::read(frame.clone()), ToControl::read(frame));
        }

        #[test]
        fn more_than_is_known_does_no_harm(more: Vec<u8>) {
            let with = |known: &[u8]| Bytes::from([known, &more].concat());
            let keep = Frame { kind: KEEP, payload: with(b"\x01a") };
            prop_assert_eq!(ToSidecar::read(keep), Ok(ToSidecar::Keep { hash: "a".into() }));
            let ping = Frame { kind: PING, payload: with(&[0, 7]) };
            prop_assert_eq!(ToSidecar::read(ping), Ok(ToSidecar::Ping { next: Duration::from_secs(7) }));
        }
    }

    #[test]
    fn a_hello_of_tomorrow_is_read() {
        let payload = br#"{"version":"9.0","table":null,"zone":"a","more":[1]}"#;
        let frame = Frame { kind: HELLO, payload: Bytes::from_static(payload) };
        assert_eq!(ToControl::read(frame), Ok(ToControl::Hello { version: "9.0".into(), table: None }));
        assert_eq!(ToControl::read(Frame { kind: 200, payload: Bytes::new() }), Ok(ToControl::Unknown));
    }

    #[test]
    fn reasons_are_short_and_clean() {
        let nack = ToControl::Nack { hash: "a".into(), reason: "é\u{7}".repeat(4000) };
        let mut wire = Vec::new();
        nack.write(&mut wire);
        let frame = decode(&mut BytesMut::from(&wire[..]), ToControl::most).unwrap().unwrap();
        let Ok(ToControl::Nack { reason, .. }) = ToControl::read(frame) else { panic!("a nack") };
        assert!(reason.len() <= MAX_TEXT && reason.starts_with("é_é_"), "{} bytes", reason.len());
    }
}
