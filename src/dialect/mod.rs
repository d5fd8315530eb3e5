//! Wire formats of LLM APIs, read and written as bytes.
//!
//! Pure and synchronous: no I/O, no clock, no configuration, no metrics. This is the only part of Faregate that
//! knows what a vendor's JSON looks like; everything else sees the plain values of `chat` and the types below.
//!
//! # Where to start reading
//!
//! - [`recognise`]: which API a path asks for.
//! - [`scan`] and [`RequestFacts::patch`]: the few facts of a request, found and changed without building a tree.
//! - [`has_side_effects`]: whether a request may be made twice.
//! - [`Tap`]: reads usage, errors and the first content out of a response that passes through.
//! - [`native`]: the same for APIs of vendors' own, which are passed through.
//! - [`decode_error`], [`encode_error`], [`encode_stream_error`]: errors in and out.
//! - `openai/` and `anthropic/`: what the two families say differently.
//! - `router` and `excise`: what a router tells of its own part, and how that is taken out again.
//! - `json`, `walk`, `sse`: reading JSON in place, JSON in pieces, and server-sent events.

mod anthropic;
mod charge;
mod effects;
mod error;
mod excise;
mod ids;
mod json;
mod native;
mod openai;
mod patch;
mod prefix;
mod recognise;
mod router;
mod sample;
mod scan;
mod sse;
mod tap;
mod walk;
mod words;

pub use effects::has_side_effects;
pub use error::{UpstreamError, UpstreamErrorKind, decode_error, encode_error, encode_stream_error};
pub use ids::{ApiCall, DialectId, Operation};
pub use native::{NativeCall, RequestTap, native};
pub use prefix::conversation_prefix;
pub use recognise::{recognise, spoken_by};
pub use sample::{Sample, sample_body, sample_events};
pub use scan::{RequestFacts, ScanError, ScanProblem, scan};
pub use tap::{Tap, decode_usage};
