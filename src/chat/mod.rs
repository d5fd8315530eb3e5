//! Plain data that every dialect shares: the hub of the wire formats.
//!
//! Knows nothing of JSON, HTTP or providers. Start with [`Usage`] and [`Money`].

mod charge;
mod money;
mod router;
mod usage;

pub use charge::{ServiceTier, StatedCost};
pub use money::{Money, decimal};
pub use router::RouterTold;
pub use usage::{Usage, UsageReport};
