//! What a provider says of money in its answer, beside tokens.

use super::Money;

/// What a provider states that a call cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatedCost {
    /// What the account that was called is charged.
    pub amount: Money,
    /// What the inference costs behind a router, where it says so. A part of `amount`, except for calls with a key of
    /// the account's own ([`StatedCost::byok`]).
    pub upstream: Option<Money>,
    /// The router used the account's own key at the serving provider: `amount` is the router's fee alone, and
    /// `upstream` is charged by the serving provider.
    pub byok: bool,
}

/// The tier of service that a call was given, as far as it decides the price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceTier {
    /// The usual one, or none is named.
    #[default]
    Standard,
    /// Slower and cheaper.
    Flex,
    /// Before others, and dearer.
    Priority,
    /// A faster model, and dearer.
    Fast,
    /// Answered within a day.
    Batch,
    /// Another one: whatever the standard price is, it is not known to hold.
    Other,
}

impl ServiceTier {
    /// Reads the word that a provider uses.
    pub fn parse(word: &str) -> Self {
        match word {
            "" | "auto" | "default" | "standard" | "standard_only" | "on_demand" => Self::Standard,
            "flex" => Self::Flex,
            "priority" => Self::Priority,
            "fast" => Self::Fast,
            "batch" => Self::Batch,
            _ => Self::Other,
        }
    }

    /// The word in price cards and usage records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Fast => "fast",
            Self::Batch => "batch",
            Self::Other => "other",
        }
    }
}
