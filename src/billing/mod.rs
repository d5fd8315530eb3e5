//! One bill over all providers: usage records, or the counters of a Prometheus, added up by group.
//!
//! Aggregates alone are kept, so that memory depends on how many groups there are and not on how many calls. Knows
//! records, tokens and money; not how calls are made, nor the configuration.
//!
//! Where to start: [`read`] turns files into [`Record`]s, which a [`Bill`] adds up by [`Dimension`]; [`report`] shows
//! it. [`prometheus`] fills a bill from counters instead. [`advice`] asks of the same records what a router costs and
//! saves. The words of the numbers are defined in docs/prices.md.

pub mod advice;
mod bill;
mod filter;
mod gather;
mod moment;
pub mod prometheus;
mod read;
mod record;
pub mod report;
mod tally;

pub use bill::{Bill, Dimension, Group, MOST_GROUPS};
pub use filter::Filter;
pub use gather::{GatherError, Input, Seen, gather};
pub use moment::{Moment, Period};
pub use read::{Lines, MOST_LINE};
pub use record::{Attempt, Broken, CostFacts, Record, Text};
pub use tally::{SOURCES, Source, Tally};
