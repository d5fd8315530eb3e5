//! "Go direct?": what a router costs over the direct provider of the same model, in dollars and milliseconds a month,
//! and what its failover saved.
//!
//! Knows nothing of the configuration: a [`Market`] says which provider sells what others serve. Start with
//! [`Advisor::add`], which sorts calls into roads (a provider and a model); [`Advisor::judge`] compares each road
//! through a router with the direct one. What cannot be told is [`Verdict::Unknown`], with the reason.

mod counters;
mod judge;
mod market;
mod road;
mod show;
mod times;

pub use counters::from_counters;
pub use judge::{Advice, Judged, Verdict};
pub use market::Market;
pub use road::{Advisor, MOST_ROADS};
pub use show::{json, table};
pub use times::{Statistic, Times};
