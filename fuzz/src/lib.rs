//! What the fuzz targets do with bytes, and what must hold of the outcome. Also run as a plain test, on mutations of
//! recorded traffic: tests/fuzz_smoke.rs.

mod billing;
mod codec;
mod dialect;
mod tables;

pub use billing::records;
pub use codec::{chunked, config, request, response};
pub use dialect::{error, model, native, tap};
pub use tables::frames;

/// Numbers taken from the front of the input: how to cut, which API, and so on.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// The first `n` bytes choose; the rest is the input proper.
    fn take(data: &'a [u8], n: usize) -> (Self, &'a [u8]) {
        let (choices, rest) = data.split_at(n.min(data.len()));
        (Self(choices), rest)
    }

    fn byte(&self, n: usize) -> usize {
        usize::from(self.0.get(n).copied().unwrap_or(0))
    }

    /// Pieces of `bytes`, none empty, of lengths that repeat in a pattern.
    fn pieces<'b>(&self, bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        let mut n = 0;
        while !rest.is_empty() {
            let length = (self.byte(n % 4) * (1 + n % 7) / 2 + 1).min(rest.len());
            let (piece, after) = rest.split_at(length);
            pieces.push(piece);
            rest = after;
            n += 1;
        }
        pieces
    }
}
