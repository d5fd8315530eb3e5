//! Which provider serves a call: configuration compiled to an immutable table; match, select, health, limits.
//!
//! Knows no sockets, no bytes of a request and no vendor: it is told the facts of a call ([`CallFacts`]) and answers
//! with targets in the order in which to try them ([`Selection`]). Everything that can be computed once is computed
//! when a table is compiled; a table never changes, and what must outlive a reload (health, calls in flight, the
//! retry budget) is shared with the next table.
//!
//! Start with [`RoutingTable::select`] in `select`; `compile` builds the table, `index` makes a match cost the same
//! with ten routes as with ten thousand, `strategy` orders targets, `health` takes them out of service.

mod budget;
mod compile;
mod condition;
mod endpoint;
mod facts;
mod hash;
mod health;
mod index;
mod limit;
mod no_route;
mod pattern;
mod policy;
pub mod prices;
mod probe;
mod provider;
mod reason;
mod ring;
mod route;
mod select;
mod strategy;
mod table;
mod trie;

pub use budget::RetryBudget;
pub use compile::CompileError;
pub use condition::Mismatch;
pub use endpoint::{Endpoint, EndpointError};
pub use facts::{CallFacts, Candidate, HeaderLookup, Selection};
pub use hash::{StableHasher, stable_hash};
pub use health::{Health, HealthState, Probe};
pub use limit::{Limit, Permit};
pub use no_route::NoRoute;
pub use policy::{HealthPolicy, RetryPolicy, Timeouts};
pub use probe::ProbePolicy;
pub use provider::Provider;
pub use reason::{Implicit, Place, Reason, Standing, Stuck};
pub use route::{Route, Target};
pub use table::RoutingTable;
