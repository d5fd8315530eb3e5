//! The configuration as its user types it: types, loading, validation with places, presets, JSON Schema.
//!
//! Knows nothing of sockets or of a running table: `routing` compiles what stands here. Start with
//! [`types::Config`], then `load`.

pub mod types;
pub mod units;

pub use types::Config;
