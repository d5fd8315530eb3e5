//! Who sells what others serve.

use std::collections::BTreeMap;

use crate::chat::ServiceTier;
use crate::pricing::{At, Kind, PriceBook};

use crate::billing::moment::Moment;

/// The providers of a configuration, and the price book.
#[derive(Debug, Clone, Default)]
pub struct Market {
    book: PriceBook,
    /// The preset of each provider that has another name than its preset.
    presets: BTreeMap<String, String>,
}

impl Market {
    /// A market where providers of these names are of these presets; others go by their own names.
    pub fn new(book: PriceBook, presets: BTreeMap<String, String>) -> Self {
        Self { book, presets }
    }

    /// How a provider's price stands to the list price; `None` where nobody knows the provider.
    pub fn kind(&self, provider: &str) -> Option<Kind> {
        self.book.known_kind(self.preset(provider))
    }

    /// Whose price is the list price of a model that was bought at `provider`.
    pub fn direct(&self, provider: &str, model: &str, served_by: Option<&str>, at: Moment) -> Option<String> {
        let quote = self.book.list(provider, self.preset(provider), model, served_by);
        let at = At::from_unix(u64::try_from(at.seconds().0).unwrap_or(0));
        quote.card(at, ServiceTier::Standard).map(|card| card.provider.to_string())
    }

    /// The preset that a provider is of.
    pub fn preset<'a>(&'a self, provider: &'a str) -> &'a str {
        self.presets.get(provider).map_or(provider, String::as_str)
    }
}
