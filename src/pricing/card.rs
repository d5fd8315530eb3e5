//! A price card: what one provider charges for one model, from when on, at what hours, in which tier of service.

use super::cost::{self, Cost, Unpriced};
use super::day::{At, Day, Hours};
use super::rates::{Percent, Rates};
use crate::chat::{ServiceTier, Usage};

/// One set of prices and when it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// The tier of service that it is for.
    pub tier: ServiceTier,
    /// The first day.
    pub from: Option<Day>,
    /// The hours of the day.
    pub hours: Option<Hours>,
    /// The prices. Those of another tier than the standard one lie over the standard prices.
    pub rates: Rates,
}

/// What one provider charges for one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Whose card it is.
    pub provider: Box<str>,
    /// The model, or what stands for several.
    pub model: Box<str>,
    /// When the facts were taken from their source.
    pub taken: Option<Day>,
    /// An operator's own card: what this account pays, not what everybody pays.
    pub own: bool,
    /// The prices. The last line that holds wins.
    pub lines: Box<[Line]>,
}

impl Line {
    fn holds(&self, at: At) -> bool {
        self.from.is_none_or(|from| at.day >= from) && self.hours.is_none_or(|hours| hours.hold(at.minute))
    }
}

impl Card {
    /// The line that holds for a tier.
    pub fn line(&self, at: At, tier: ServiceTier) -> Option<&Line> {
        self.lines.iter().rev().find(|line| line.tier == tier && line.holds(at))
    }

    /// Whether any of its prices holds.
    pub(super) fn holds(&self, at: At, tier: ServiceTier) -> bool {
        self.line(at, ServiceTier::Standard).is_some() || self.line(at, tier).is_some()
    }

    /// Prices a call.
    ///
    /// # Errors
    /// What has no price.
    pub fn cost(&self, usage: &Usage, at: At, tier: ServiceTier) -> Result<Cost, Unpriced> {
        let base = self.line(at, ServiceTier::Standard);
        let over = match tier {
            ServiceTier::Standard => None,
            tier => Some(self.line(at, tier).ok_or(Unpriced::Tier(tier))?),
        };
        if base.is_none() && over.is_none() {
            return Err(Unpriced::Model);
        }
        cost::cost(base.map(|line| &line.rates), over.map(|line| &line.rates), usage)
    }

    /// The card as another provider borrows it: the author's tiers of service are the author's.
    pub(super) fn borrowed(mut self) -> Self {
        let lines = std::mem::take(&mut self.lines).into_vec();
        self.lines = lines.into_iter().filter(|line| line.tier == ServiceTier::Standard).collect();
        self
    }

    /// A card of another provider with all prices changed by a percentage; `None` where one leaves the range.
    pub(super) fn resold(&self, provider: &str, by: Percent) -> Option<Self> {
        let lines = self.lines.iter().map(|line| Some(Line { rates: line.rates.scaled(by)?, ..line.clone() }));
        Some(Self { provider: provider.into(), lines: lines.collect::<Option<_>>()?, own: true, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::rates::{Class, Rate};
    use super::*;

    fn line(input: &str, output: &str) -> Line {
        let mut rates = Rates::default();
        for (class, text) in [(Class::Input, input), (Class::Output, output)] {
            if !text.is_empty() {
                rates.set(class, Rate::parse(text, class).expect("a price"));
            }
        }
        Line { rates, ..Line::default() }
    }

    fn card(lines: Vec<Line>) -> Card {
        Card { provider: "p".into(), model: "m".into(), taken: None, own: false, lines: lines.into() }
    }

    fn at(day: &str, minute: u16) -> At {
        At { day: Day::parse(day).expect("a day"), minute }
    }

    fn total(card: &Card, usage: &Usage, at: At, tier: ServiceTier) -> Result<String, Unpriced> {
        card.cost(usage, at, tier).map(|cost| cost.total().to_string())
    }

    #[test]
    fn the_last_line_that_holds_wins_and_a_tier_lies_over_it() {
        let june = Line { from: Day::parse("2026-06-01"), ..line("2", "4") };
        let night = Line { hours: Hours::parse("22:00-06:00"), ..line("1", "1") };
        let batch = Line { tier: ServiceTier::Batch, from: Day::parse("2026-07-01"), ..line("1", "") };
        let card = card(vec![line("3", "6"), june, night, batch]);
        let usage = Usage { input: 1_000_000, output: 1_000_000, ..Usage::default() };
        let noon = 720;
        assert_eq!(total(&card, &usage, at("2026-05-31", noon), ServiceTier::Standard).as_deref(), Ok("9"));
        assert_eq!(total(&card, &usage, at("2026-06-01", noon), ServiceTier::Standard).as_deref(), Ok("6"));
        assert_eq!(total(&card, &usage, at("2026-06-01", 1_400), ServiceTier::Standard).as_deref(), Ok("2"));
        assert_eq!(total(&card, &usage, at("2026-07-01", noon), ServiceTier::Batch).as_deref(), Ok("5"));
        let early = total(&card, &usage, at("2026-06-30", noon), ServiceTier::Batch);
        assert_eq!(early, Err(Unpriced::Tier(ServiceTier::Batch)), "not the standard price");
        assert!(total(&card, &usage, at("2026-07-01", noon), ServiceTier::Other).is_err());
    }

    #[test]
    fn what_has_no_price_is_unpriced_and_never_zero() {
        let card = card(vec![line("3", "6")]);
        let now = at("2026-06-01", 0);
        let million = 1_000_000;
        let price = |usage: Usage| total(&card, &usage, now, ServiceTier::Standard);
        assert_eq!(price(Usage { reasoning: million, ..Usage::default() }).as_deref(), Ok("6"));
        assert_eq!(price(Usage { cache_read: million, ..Usage::default() }).as_deref(), Ok("3"));
        assert_eq!(price(Usage { cache_write_5m: million, ..Usage::default() }).as_deref(), Ok("3"));
        assert_eq!(price(Usage { image_input: million, ..Usage::default() }).as_deref(), Ok("3"));
        assert_eq!(price(Usage { cache_write_1h: 1, ..Usage::default() }), Err(Unpriced::Class(Class::CacheWrite1h)));
        assert_eq!(price(Usage { audio_input: 1, ..Usage::default() }), Err(Unpriced::Class(Class::AudioInput)));
        assert_eq!(price(Usage { audio_output: 1, ..Usage::default() }), Err(Unpriced::Class(Class::AudioOutput)));
        assert_eq!(price(Usage { web_searches: 1, ..Usage::default() }), Err(Unpriced::Class(Class::WebSearches)));
        assert_eq!(price(Usage::default()).as_deref(), Ok("0"), "a call that used nothing costs nothing");
    }

    #[test]
    fn output_that_is_charged_apart_makes_a_call_unpriced() {
        let mut line = line("3", "6");
        line.rates.output_apart = true;
        let card = card(vec![line]);
        let now = at("2026-06-01", 0);
        let with = |output| card.cost(&Usage { input: 5, output, ..Usage::default() }, now, ServiceTier::Standard);
        assert_eq!(with(1), Err(Unpriced::OutputApart));
        assert!(with(0).is_ok());
    }
}
