//! The price book: shipped cards, and the operator's own over them.

use std::sync::{Arc, LazyLock};

use smallvec::SmallVec;

use super::card::{Card, Line};
use super::cost::{Cost, Unpriced};
use super::day::{At, Day};
use super::fees::Fees;
use super::names::normal_forms;
use super::pattern::Pattern;
use super::providers::{self, Kind};
use super::rates::Percent;
use super::section::Section;
use crate::chat::{ServiceTier, Usage};

/// Who charges what. Cheap to clone; never changes.
#[derive(Debug, Clone, Default)]
pub struct PriceBook {
    overlays: Arc<[Overlay]>,
}

/// An operator's own card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// The provider, by its name in the configuration or its preset's.
    pub provider: Box<str>,
    /// Models, or patterns of models, in lower case.
    pub models: Vec<Box<str>>,
    /// It is the list price too.
    pub reference: bool,
    /// The prices.
    pub offer: Offer,
}

/// What an operator's own card says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// Prices.
    Lines(Vec<Line>),
    /// The cards of another provider, with a percentage added.
    Resale {
        /// Whose cards.
        of: Box<str>,
        /// What is added, or taken off.
        by: Percent,
        /// From when on.
        from: Option<Day>,
    },
}

/// The cards that price one model at one provider, the first that holds winning. Resolved once for a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quote(SmallVec<[Arc<Card>; 1]>);

/// A line of the book, for people.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The card.
    pub card: Card,
    /// Where its facts stand.
    pub sources: &'static [&'static str],
}

fn sections() -> &'static [Section] {
    static SECTIONS: LazyLock<Vec<Section>> = LazyLock::new(|| {
        let shipped: &[(&str, &str)] = &include!("../../config/prices/shipped.rs");
        shipped.iter().map(|(name, text)| Section::new(name, text)).collect()
    });
    &SECTIONS
}

fn section(name: &str) -> Option<&'static Section> {
    sections().binary_search_by_key(&name, |section| section.name).ok().and_then(|at| sections().get(at))
}

impl PriceBook {
    /// The shipped cards alone.
    pub fn shipped() -> Self {
        Self::default()
    }

    /// The shipped cards with others over them; of those that fit, the last wins.
    pub fn with(overlays: Vec<Overlay>) -> Self {
        Self { overlays: overlays.into() }
    }

    /// What the provider `name`, of the kind `preset`, charges this account for a model: own cards, then shipped ones.
    pub fn card(&self, name: &str, preset: &str, model: &str) -> Quote {
        let mut quote = self.overlaid(name, preset, model, false);
        quote.0.extend(shipped(preset, model).map(Arc::new));
        quote
    }

    /// The list price of a model that was bought from the provider `name` of the kind `preset`: where that sells for
    /// others, the price of who served it (as the answer names it), else of the model's author.
    pub fn list(&self, name: &str, preset: &str, model: &str, served_by: Option<&str>) -> Quote {
        let mut quote = self.overlaid(name, preset, model, true);
        quote.0.extend(listed(preset, model, served_by).map(Arc::new));
        quote
    }

    /// How a provider's price stands to the list price.
    pub fn kind(&self, preset: &str) -> Kind {
        providers::find(preset).map_or_else(Kind::default, |facts| facts.kind)
    }

    /// The same, where anything is known of the provider: by its facts, or by cards that are shipped for it.
    pub fn known_kind(&self, preset: &str) -> Option<Kind> {
        let facts = providers::find(preset).map(|facts| facts.kind);
        facts.or_else(|| section(preset).map(|_| Kind::default()))
    }

    /// The fees of a provider.
    pub fn fees(&self, preset: &str) -> Fees {
        providers::find(preset).map(|facts| facts.fees.clone()).unwrap_or_default()
    }

    /// Every shipped card, in order of providers and models.
    pub fn shipped_cards(&self) -> impl Iterator<Item = Listed> + use<> {
        sections().iter().flat_map(|s| s.cards().map(|card| Listed { card, sources: s.sources() }))
    }

    /// Whose cards are shipped, and when each provider's facts were taken.
    pub fn shipped_providers(&self) -> impl Iterator<Item = (&'static str, Option<Day>)> + use<> {
        sections().iter().map(|s| (s.name, s.taken()))
    }

    /// Everybody who sells: providers with cards, those that sell others' models, and those of own cards.
    pub fn sellers(&self) -> std::collections::BTreeSet<String> {
        let shipped = sections().iter().map(|section| section.name).chain(providers::all().iter().map(|f| f.name));
        shipped.map(str::to_owned).chain(self.overlays.iter().map(|overlay| overlay.provider.to_string())).collect()
    }

    fn overlaid(&self, name: &str, preset: &str, model: &str, reference: bool) -> Quote {
        let mut quote = Quote::default();
        if self.overlays.is_empty() {
            return quote;
        }
        let forms = normal_forms(model);
        let fits = |overlay: &&Overlay| {
            (!reference || overlay.reference)
                && (*overlay.provider == *name || *overlay.provider == *preset)
                && overlay.models.iter().any(|model| forms.iter().any(|form| Pattern(model).fits(form)))
        };
        for overlay in self.overlays.iter().rev().filter(fits) {
            match &overlay.offer {
                Offer::Lines(lines) => quote.0.push(Arc::new(Card {
                    provider: name.into(),
                    model: model.into(),
                    taken: None,
                    own: !overlay.reference,
                    lines: lines.clone().into(),
                })),
                Offer::Resale { of, by, from } => {
                    let cards = shipped(of, model).or_else(|| listed(of, model, None));
                    quote.0.extend(cards.and_then(|card| resold(&card, name, *by, *from)).map(Arc::new));
                }
            }
        }
        quote
    }
}

fn resold(card: &Card, name: &str, by: Percent, from: Option<Day>) -> Option<Card> {
    let mut resold = card.resold(name, by)?;
    for line in &mut resold.lines {
        line.from = line.from.max(from);
    }
    Some(resold)
}

/// What the provider itself asks for.
fn shipped(preset: &str, model: &str) -> Option<Card> {
    let Some(facts) = providers::find(preset) else { return section(preset)?.find(model) };
    if let (Some(suffix), Some((model, of))) = (facts.suffix, model.rsplit_once(':')) {
        return section(&format!("{suffix}{}", of.to_lowercase()))?.find(model);
    }
    let of = if facts.cards.is_empty() { std::slice::from_ref(&facts.name) } else { &facts.cards };
    of.iter().enumerate().find_map(|(i, name)| {
        let card = section(name)?.find(model)?;
        Some(if i == 0 { card } else { card.borrowed() })
    })
}

fn listed(preset: &str, model: &str, served_by: Option<&str>) -> Option<Card> {
    let facts = providers::find(preset);
    match facts.map_or_else(Kind::default, |facts| facts.kind) {
        Kind::Direct => shipped(preset, model),
        Kind::Own => None,
        // What costs nothing has a list price of nothing, whoever serves it.
        Kind::Router if model.ends_with(":free") => shipped(preset, model),
        Kind::Router if facts.is_some_and(|facts| facts.suffix.is_some()) => shipped(preset, model),
        Kind::Router => {
            let server = served_by.and_then(providers::called).filter(|facts| facts.kind == Kind::Direct);
            let author = model.split_once('/').and_then(|(vendor, _)| providers::called(vendor));
            let card = server.and_then(|facts| shipped(facts.name, model));
            card.or_else(|| shipped(author.filter(|facts| facts.kind == Kind::Direct)?.name, model))
        }
    }
}

impl Quote {
    /// The card that holds; one that knows the tier of service wins over one that does not.
    pub fn card(&self, at: At, tier: ServiceTier) -> Option<&Card> {
        let named = self.cards().find(|card| card.line(at, tier).is_some());
        named.or_else(|| self.cards().find(|card| card.holds(at, tier)))
    }

    /// Prices a call.
    ///
    /// # Errors
    /// What has no price.
    pub fn cost(&self, usage: &Usage, at: At, tier: ServiceTier) -> Result<Cost, Unpriced> {
        self.card(at, tier).ok_or(Unpriced::Model)?.cost(usage, at, tier)
    }

    /// All cards, the first that holds winning.
    pub fn cards(&self) -> impl Iterator<Item = &Card> {
        self.0.iter().map(|card| &**card)
    }

    /// Whether there is no card at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::rates::{Class, Rate, Rates};
    use super::*;

    const NOW: At = At { day: Day(20_782), minute: 0 };

    fn model(quote: &Quote) -> Option<(String, String)> {
        quote.card(NOW, ServiceTier::Standard).map(|c| (c.provider.to_string(), c.model.to_string()))
    }

    fn found(provider: &str, model: &str) -> (String, String) {
        (provider.to_owned(), model.to_owned())
    }

    #[test]
    fn every_shipped_card_can_be_read() {
        let mut models = 0;
        assert!(sections().is_sorted_by_key(|section| section.name));
        for section in sections() {
            models += section.check().unwrap_or_else(|e| panic!("{}: {e}", section.name));
            assert!(section.taken().is_some(), "{}", section.name);
        }
        assert!(models > 2_000, "{models}");
    }

    #[test]
    fn every_shipped_file_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config/prices");
        let files = std::fs::read_dir(folder).expect("the folder").filter_map(Result::ok);
        let stems = files.filter_map(|f| f.file_name().to_str()?.strip_suffix(".prices").map(str::to_owned));
        let mut stems: Vec<_> = stems.collect();
        stems.sort_unstable();
        assert_eq!(stems, sections().iter().map(|s| s.name).collect::<Vec<_>>());
        for facts in providers::all() {
            for cards in &facts.cards {
                assert!(section(cards).is_some(), "{}: {cards}", facts.name);
            }
        }
    }

    #[test]
    fn the_same_model_is_found_by_all_its_names() {
        let book = PriceBook::shipped();
        let card = |preset, name| model(&book.card(preset, preset, name));
        assert_eq!(card("openai", "gpt-4o-mini-2024-07-18"), Some(found("openai", "gpt-4o-mini")));
        assert_eq!(card("azure", "GPT-4o-mini"), card("azure", "gpt-4o-mini-2024-07-18"));
        assert_eq!(card("anthropic", "claude-haiku-4-5-20251001").map(|c| c.0).as_deref(), Some("anthropic"));
        assert_eq!(card("vertex", "claude-haiku-4-5@20251001").map(|c| c.0).as_deref(), Some("google-ai-studio"));
        assert_eq!(card("azure", "claude-haiku-4-5").map(|c| c.0).as_deref(), Some("anthropic"), "borrowed");
        assert_eq!(
            card("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0").map(|c| c.0).as_deref(),
            Some("bedrock")
        );
        assert_eq!(card("openrouter", "openai/gpt-4o-mini:nitro"), Some(found("openrouter", "openai/gpt-4o-mini")));
        assert_eq!(card("openai", "no-such-model"), None);
        assert_eq!(card("no-such-provider", "gpt-4o"), None);
    }

    #[test]
    fn a_routers_list_price_is_that_of_who_served_else_of_the_author() {
        let book = PriceBook::shipped();
        let list = |name, by| model(&book.list("r", "openrouter", name, by));
        assert_eq!(list("openai/gpt-4o", Some("Azure")), model(&book.card("azure", "azure", "gpt-4o")));
        assert_eq!(list("openai/gpt-4o", None), Some(found("openai", "gpt-4o")));
        assert_eq!(list("openai/gpt-4o", Some("Nobody Inc.")), Some(found("openai", "gpt-4o")));
        assert_eq!(list("nobody/anything", None), None);
        let free = book.list("r", "openrouter", "deepseek/deepseek-r1:free", None);
        let usage = Usage { input: 5, output: 7, reasoning: 9, ..Usage::default() };
        assert_eq!(free.cost(&usage, NOW, ServiceTier::Standard).map(|c| c.total().atto()), Ok(0));
        assert_eq!(list("openai/gpt-4o", Some("ollama")), Some(found("openai", "gpt-4o")));
        assert!(book.list("o", "ollama", "gpt-oss:20b", None).is_empty(), "one's own machine has no list price");
    }

    #[test]
    fn own_cards_win_from_their_day_on_and_the_list_price_stays() {
        let mut rates = Rates::default();
        rates.set(Class::Input, Rate::flat("1", Class::Input).expect("a price"));
        rates.set(Class::Output, Rate::flat("2", Class::Output).expect("a price"));
        let from = Day::parse("2026-07-01");
        let own = Overlay {
            provider: "work".into(),
            models: vec!["gpt-4o*".into()],
            reference: false,
            offer: Offer::Lines(vec![Line { from, rates, ..Line::default() }]),
        };
        let resale = Overlay {
            provider: "reseller".into(),
            models: vec!["*".into()],
            reference: false,
            offer: Offer::Resale { of: "openai".into(), by: Percent { millionths: 150_000 }, from: None },
        };
        let book = PriceBook::with(vec![own, resale]);
        let usage = Usage { input: 1_000_000, ..Usage::default() };
        let cost = |quote: &Quote, day: &str| {
            let at = At { day: Day::parse(day).expect("a day"), minute: 0 };
            quote.cost(&usage, at, ServiceTier::Standard).map(|c| c.total().to_string())
        };
        let card = book.card("work", "openai", "gpt-4o-2024-08-06");
        assert_eq!(cost(&card, "2026-07-01").as_deref(), Ok("1"));
        assert_eq!(cost(&card, "2026-06-30").as_deref(), Ok("2.5"));
        assert_eq!(cost(&book.list("work", "openai", "gpt-4o", None), "2026-07-01").as_deref(), Ok("2.5"));
        assert_eq!(cost(&book.card("reseller", "nanogpt", "openai/gpt-4o"), "2026-07-01").as_deref(), Ok("2.875"));
        assert_eq!(cost(&book.list("reseller", "nanogpt", "openai/gpt-4o", None), "2026-07-01").as_deref(), Ok("2.5"));
    }
}
