//! The configuration as its user types it: types, loading, validation with places, presets, JSON Schema.
//!
//! Knows nothing of sockets or of a running table: `routing` compiles what stands here.
//!
//! How a file becomes a [`Config`] ([`load()`], [`check`]): `tree` reads the text, once, into values that know their
//! places; `walk` holds them against `shape`, which is the JSON Schema of [`file`] compiled, and `mend` takes out what
//! is of no use; `de` takes the values out; `checks` finds what no schema can say. [`resolve()`] then lays the presets
//! under the user's keys. Start with [`file::Config`].

mod advice;
mod checks;
mod de;
mod environment;
pub mod file;
mod formats;
mod load;
mod mend;
mod presets;
pub mod prices;
mod problem;
mod reference;
mod resolve;
mod scalar;
mod schema;
mod shape;
mod starter;
mod syntax;
mod tree;
pub mod units;
mod walk;

pub use environment::environment;
pub use file::Config;
pub use load::{Checked, MAX_FILE, Overrides, Surroundings, check, check_file, check_typed, load, parse, unreadable};
pub use presets::{Preset, Presets, RouterMetadata};
pub use prices::{CheckedPrices, check_prices, check_prices_file};
pub use problem::{Place, Problem, Problems, Severity};
pub use reference::reference;
pub use resolve::{ResolvedProvider, resolve, resolve_with};
pub use schema::{schema, schema_text};
pub use starter::embedded_default;
