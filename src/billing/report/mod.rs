//! Bills for people and programs: a table, CSV, JSON, FOCUS.
//!
//! Amounts are written with all their digits wherever a program may read them; only the table rounds, to a millionth
//! of a dollar.

mod csv;
mod focus;
mod json;
mod table;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::bill::Bill;
use super::gather::Seen;
use super::moment::Period;
use crate::chat::Money;

pub use csv::csv;
pub use focus::{COLUMNS, DIMENSIONS, focus, nameless};
pub use json::json;
pub use table::{Cell, aligned, printable, table};

/// A bill and where it comes from.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The sums.
    pub bill: Bill,
    /// Where they come from.
    pub origin: Origin,
    /// The time that was asked for.
    pub period: Period,
}

/// Where a bill comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Usage records: exact.
    Records {
        /// What was read.
        seen: Seen,
        /// Records that the filter left out.
        left_out: u64,
    },
    /// Counters of a Prometheus, which interpolates at the ends of the time and counts in binary floats. They do not
    /// tell which calls were not charged, nor where a billed cost is known from.
    Counters {
        /// Whether unpriced calls are known: they are counted without the app that called.
        unpriced: bool,
    },
}

impl Statement {
    /// Whether every number of it is exact.
    pub fn is_exact(&self) -> bool {
        matches!(self.origin, Origin::Records { .. })
    }

    /// One sentence that says whether the sums agree with what was read.
    pub fn check(&self) -> String {
        let total = self.bill.total();
        let unpriced = total.unpriced_calls();
        match &self.origin {
            Origin::Records { seen, left_out } => {
                let read = total.calls + left_out;
                let agree = self.bill.adds_up()
                    && read == seen.records
                    && total.calls == total.charged + unpriced + total.not_charged;
                format!(
                    "{} calls read = {} charged + {unpriced} unpriced + {} not charged{}; groups and total {}",
                    read,
                    total.charged,
                    total.not_charged,
                    if *left_out > 0 { format!(" + {left_out} left out by the filter") } else { String::new() },
                    if agree { "agree" } else { "DISAGREE: please report this" },
                )
            }
            Origin::Counters { .. } => {
                format!("about {} calls by counters, which are interpolated; usage records are exact", total.calls)
            }
        }
    }
}

/// An amount, written to JSON with all its digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dollars(pub Money);

impl Serialize for Dollars {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?.serialize(s)
    }
}

/// Millionths as the number that they are: `0.15` for 150,000.
pub fn ratio(millionths: i64) -> Dollars {
    Dollars(Money::from_atto(i128::from(millionths) * 1_000_000_000_000))
}
