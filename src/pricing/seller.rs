//! A provider as this account buys from it: what its models cost, resolved once for each and kept by whoever asks.

use std::sync::Arc;

use super::assess::Terms;
use super::book::{PriceBook, Quote};
use super::fees::{Account, Fees};
use super::providers::Kind;

/// A provider of the configuration.
#[derive(Debug, Clone)]
pub struct Seller {
    book: PriceBook,
    name: Arc<str>,
    preset: Arc<str>,
    fees: Fees,
    account: Account,
}

impl Seller {
    /// The provider `name`, which is of the kind `preset`.
    pub fn new(book: PriceBook, name: &str, preset: &str, account: Account) -> Self {
        let fees = book.fees(preset);
        Self { book, name: name.into(), preset: preset.into(), fees, account }
    }

    /// What calls of a model are priced by. The model that was served decides, where the book knows it here; else the
    /// one that was sent.
    pub fn terms(&self, sent: &str, served: Option<&str>, served_by: Option<&str>) -> Terms {
        let (name, preset) = (&*self.name, &*self.preset);
        let first = |quote: &dyn Fn(&str) -> Quote| {
            served.map(quote).filter(|quote| !quote.is_empty()).unwrap_or_else(|| quote(sent))
        };
        Terms {
            list: first(&|model| self.book.list(name, preset, model, served_by)),
            card: first(&|model| self.book.card(name, preset, model)),
            direct: self.book.kind(preset) == Kind::Direct,
            fees: self.fees.clone(),
            account: self.account,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::day::{At, Day};
    use super::*;
    use crate::chat::ServiceTier;

    #[test]
    fn the_served_model_decides_where_the_book_knows_it() {
        let seller = Seller::new(PriceBook::shipped(), "x", "openai", Account::default());
        let at = At { day: Day(20_782), minute: 0 };
        let model = |served| {
            let terms = seller.terms("gpt-4o", served, None);
            terms.card.card(at, ServiceTier::Standard).map(|card| card.model.to_string())
        };
        assert_eq!(model(None).as_deref(), Some("gpt-4o"));
        assert_eq!(model(Some("gpt-4o-mini-2024-07-18")).as_deref(), Some("gpt-4o-mini"));
        assert_eq!(model(Some("a-name-of-its-own")).as_deref(), Some("gpt-4o"));
    }
}
