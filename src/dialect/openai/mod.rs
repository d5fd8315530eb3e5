//! OpenAI's formats and everything compatible with them: chat completions, legacy completions, responses, embeddings.
//!
//! Start with `usage` (the rules of counting) and `chat`, `responses` (what their stream events say).

pub(super) mod chat;
pub(super) mod errors;
pub(super) mod responses;
pub(super) mod usage;
