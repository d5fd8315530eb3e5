//! Anthropic Messages. Start with `usage` (the rules of counting) and `events` (what its stream events say).

pub(super) mod errors;
pub(super) mod events;
pub(super) mod usage;
