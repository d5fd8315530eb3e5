//! Routing tables on their way from a control plane to the processes that serve calls.
//!
//! Knows how a table travels, not what it means: to this module it is a text with a name, its hash. Must not know
//! Kubernetes, calls, or who puts a table into use.

mod pack;

pub use pack::{PackError, pack, unpack};
