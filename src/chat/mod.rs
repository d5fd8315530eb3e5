//! Plain data that every dialect shares: the hub of the wire formats.
//!
//! Knows nothing of JSON, HTTP or providers. Start with [`Usage`].

mod usage;

pub use usage::{Usage, UsageReport};
