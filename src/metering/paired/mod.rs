//! Calls that went two ways: by their route, and as a duplicate to a direct target.
//!
//! A [`Pair`] is told how both ended, in whatever order, each by its own record when that is dropped. Two that ended
//! well are added up in the [`Ledger`], from which metrics and the admin page are filled. `statistics` makes means and
//! intervals of the sums.

mod call;
mod ledger;
mod pair;
mod statistics;

pub use ledger::{Compared, Ledger, MoneyCompared, TimeCompared};
pub use pair::{Pair, Skipped};
pub use statistics::Difference;

pub(super) use pair::Pairing;
