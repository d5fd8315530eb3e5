//! Raw bytes that a server may be sent, and what becomes of them: one table per part of RFC 9112.
//!
//! A row says which rule its bytes break (or obey), what our codec makes of them and, where Pingora's parser makes
//! something else of them, what that is and why. Sections are those of RFC 9112 unless they say 9110.

mod because;
mod chunked;
mod encoding;
mod fields;
mod host;
mod length;
mod request_line;
mod target;
mod valid;

use faregate::http1::{BodyError, FramingError, HeadError};

/// The rule that a request breaks, as our codec names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Head(HeadError),
    Framing(FramingError),
    Body(BodyError),
}

/// What our codec is to make of the bytes.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// A connection that is refused with this fault, after the messages that `reads` shows, if any.
    Fault(Fault),
    /// These messages: see [`crate::reading`] for the notation.
    Reads(&'static str),
}

/// What Pingora makes of the bytes.
#[derive(Debug, Clone, Copy)]
pub enum Pingora {
    /// The same as we.
    Same,
    /// Something else.
    Reads { what: &'static str, because: &'static str },
}

pub struct Case {
    /// Section of RFC 9112 and what is wrong (or right) in a few words; unique.
    pub rule: &'static str,
    pub bytes: Vec<u8>,
    pub expected: Expected,
    pub pingora: Pingora,
}

impl Case {
    /// Pingora differs: what it reads, and why.
    fn pingora(mut self, what: &'static str, because: &'static str) -> Self {
        self.pingora = Pingora::Reads { what, because };
        self
    }
}

/// Bytes that must be refused.
fn refused(rule: &'static str, bytes: impl AsRef<[u8]>, fault: impl Into<Fault>) -> Case {
    let (bytes, expected) = (bytes.as_ref().to_vec(), Expected::Fault(fault.into()));
    Case { rule, bytes, expected, pingora: Pingora::Same }
}

/// Bytes that must be read.
fn read(rule: &'static str, bytes: impl AsRef<[u8]>, reads: &'static str) -> Case {
    let (bytes, expected) = (bytes.as_ref().to_vec(), Expected::Reads(reads));
    Case { rule, bytes, expected, pingora: Pingora::Same }
}

pub fn cases() -> Vec<Case> {
    [
        request_line::cases(),
        target::cases(),
        host::cases(),
        fields::cases(),
        length::cases(),
        encoding::cases(),
        chunked::cases(),
        valid::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl From<HeadError> for Fault {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<FramingError> for Fault {
    fn from(error: FramingError) -> Self {
        Self::Framing(error)
    }
}

impl From<BodyError> for Fault {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}
