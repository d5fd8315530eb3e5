//! The words for wire formats and APIs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A wire format of an LLM API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DialectName {
    /// OpenAI: chat completions, responses, completions, embeddings.
    Openai,
    /// Anthropic: messages.
    Anthropic,
    /// Anything else: passed through unread under the provider's path prefix.
    Opaque,
}

impl DialectName {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::Opaque => "opaque",
        }
    }
}

/// An API as routes tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// OpenAI chat completions.
    Chat,
    /// OpenAI responses.
    Responses,
    /// OpenAI legacy completions.
    Completions,
    /// OpenAI embeddings.
    Embeddings,
    /// Anthropic messages.
    Messages,
    /// Anything else.
    Other,
}
