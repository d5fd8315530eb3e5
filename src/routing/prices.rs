//! Price files compiled: what the operator typed becomes a price book and accounts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::chat::{Money, ServiceTier};
use crate::config::prices::{self as typed, CardEntry, PriceFile, PriceMap, Tier};
use crate::config::{Problems, ResolvedProvider, check_prices_file};
use crate::pricing::{
    Account, Class, Day, Hours, Line, Offer, Overlay, PayBy, Percent, PriceBook, Rate, Rates, Seller,
};

/// Reads all overlays that a configuration names.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn read_book<P: AsRef<Path>>(overlays: &[P]) -> Result<PriceBook, Problems> {
    let mut cards = Vec::new();
    let mut problems = Problems::default();
    for path in overlays {
        let checked = check_prices_file(path.as_ref());
        problems.0.extend(checked.problems.0);
        cards.extend(checked.file.unwrap_or_default().cards);
    }
    if problems.has_errors() { Err(problems) } else { Ok(book(&PriceFile { cards })) }
}

/// The providers of a configuration as this account buys from them, by name.
pub type Sellers = BTreeMap<String, Arc<Seller>>;

/// Resolves who sells at which prices.
///
/// # Errors
/// Everything that is wrong with the files of prices that the configuration names.
pub fn sellers(prices: &typed::Prices, providers: &[ResolvedProvider]) -> Result<Sellers, Problems> {
    let book = read_book(&prices.overlays)?;
    let seller = |provider: &ResolvedProvider| {
        let account = prices.accounts.get(&provider.name).map(account).unwrap_or_default();
        let preset = provider.preset.as_deref().unwrap_or(&provider.name);
        (provider.name.clone(), Arc::new(Seller::new(book.clone(), &provider.name, preset, account)))
    };
    Ok(providers.iter().map(seller).collect())
}

/// A price book with these cards over the shipped ones. Cards that `config` would refuse are left out.
pub fn book(file: &PriceFile) -> PriceBook {
    PriceBook::with(file.cards.iter().filter_map(overlay).collect())
}

fn account(account: &typed::Account) -> Account {
    Account {
        pay: match account.pay {
            typed::Pay::Card => PayBy::Card,
            typed::Pay::Crypto => PayBy::Crypto,
        },
        purchase: account.purchase.as_ref().and_then(|amount| Money::parse(&amount.0)),
        byok: account.byok,
    }
}

fn overlay(card: &CardEntry) -> Option<Overlay> {
    let from = card.from.as_ref().and_then(|day| Day::parse(&day.0));
    let offer = match &card.resale {
        Some(resale) => Offer::Resale { of: resale.of.as_str().into(), by: Percent::parse(&resale.markup.0)?, from },
        None => {
            let hours = card.hours.as_ref().and_then(|hours| Hours::parse(&hours.0));
            Offer::Lines(vec![Line { tier: tier(card.tier), from, hours, rates: rates(card)? }])
        }
    };
    let models = card.model.0.iter().map(|model| model.to_lowercase().into()).collect();
    Some(Overlay { provider: card.provider.as_str().into(), models, reference: card.reference, offer })
}

fn rates(card: &CardEntry) -> Option<Rates> {
    let mut rates = Rates::default();
    for (class, amount) in by_class(&card.prices) {
        let mut rate = Rate::flat(amount, class).ok()?;
        for above in &card.above {
            for (_, amount) in by_class(&above.prices).filter(|(dearer, _)| *dearer == class) {
                rate = rate.with_tier(above.tokens, amount, class).ok()?;
            }
        }
        rates.set(class, rate);
    }
    Some(rates)
}

fn by_class(prices: &PriceMap) -> impl Iterator<Item = (Class, &str)> {
    prices.iter().filter_map(|(class, amount)| Some((Class::parse(class)?, amount.0.as_str())))
}

fn tier(tier: Tier) -> ServiceTier {
    match tier {
        Tier::Standard => ServiceTier::Standard,
        Tier::Flex => ServiceTier::Flex,
        Tier::Priority => ServiceTier::Priority,
        Tier::Fast => ServiceTier::Fast,
        Tier::Batch => ServiceTier::Batch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Usage;
    use crate::config::check_prices;
    use crate::pricing::At;

    #[test]
    fn what_is_typed_is_what_is_charged() {
        let text = "cards:\n- provider: work\n  model: [GPT-4o*, x]\n  from: 2026-07-01\n  prices: {input: 2.25, output: 9}\n  above: [{tokens: 1000, prices: {input: 4.5}}]\n- provider: work\n  model: gpt-4o\n  tier: batch\n  prices: {input: 1, output: 1}\n- provider: shop\n  model: '*'\n  resale: {of: openai, markup: 15%}\n";
        let checked = check_prices(text, "f.yaml");
        let book = book(&checked.file.unwrap_or_else(|| panic!("{}", checked.problems)));
        let at = At::from_unix(1_790_000_000);
        let cost = |provider: &str, preset: &str, input, tier| {
            let usage = Usage { input, output: 1_000, ..Usage::default() };
            book.card(provider, preset, "gpt-4o").cost(&usage, at, tier).map(|cost| cost.total().to_string())
        };
        let standard = ServiceTier::Standard;
        assert_eq!(cost("work", "openai", 1_000, standard).as_deref(), Ok("0.01125"));
        assert_eq!(cost("work", "openai", 2_000, standard).as_deref(), Ok("0.018"), "long prompts are dearer");
        assert_eq!(cost("work", "openai", 1_000, ServiceTier::Batch).as_deref(), Ok("0.002"));
        assert_eq!(cost("shop", "openai", 1_000, standard).as_deref(), Ok("0.014375"), "12.5 thousandths and 15 %");
    }
}
