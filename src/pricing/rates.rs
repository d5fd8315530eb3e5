//! Prices by class of what is counted.

use std::fmt;

use crate::chat::{Money, Usage, decimal};

/// What is counted and charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "they are the classes of `Usage`, and what is counted beside tokens")]
pub enum Class {
    Input,
    CacheRead,
    CacheWrite5m,
    CacheWrite1h,
    Output,
    Reasoning,
    AudioInput,
    AudioOutput,
    ImageInput,
    WebSearches,
    Requests,
}

impl Class {
    /// Every class, in the order of its index.
    pub const ALL: [Self; 11] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::Output,
        Self::Reasoning,
        Self::AudioInput,
        Self::AudioOutput,
        Self::ImageInput,
        Self::WebSearches,
        Self::Requests,
    ];

    /// Its name in cards, overlays and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::AudioInput => "audio_input",
            Self::AudioOutput => "audio_output",
            Self::ImageInput => "image_input",
            Self::WebSearches => "web_searches",
            Self::Requests => "requests",
        }
    }

    /// The class of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// For how many a price is published: a million tokens, a thousand of anything else.
    pub fn per(self) -> u64 {
        if matches!(self, Self::WebSearches | Self::Requests) { 1_000 } else { 1_000_000 }
    }

    /// How many a call has of it. Every call is one request.
    pub fn count(self, usage: &Usage) -> u64 {
        match self {
            Self::Input => usage.input,
            Self::CacheRead => usage.cache_read,
            Self::CacheWrite5m => usage.cache_write_5m,
            Self::CacheWrite1h => usage.cache_write_1h,
            Self::Output => usage.output,
            Self::Reasoning => usage.reasoning,
            Self::AudioInput => usage.audio_input,
            Self::AudioOutput => usage.audio_output,
            Self::ImageInput => usage.image_input,
            Self::WebSearches => usage.web_searches,
            Self::Requests => 1,
        }
    }

    /// The class whose price holds where this one has none of its own. `None`: then there is no price.
    ///
    /// Reasoning is output, images are input, and a provider without a price for its cache charges the plain one.
    /// Audio, and writes that live an hour, are charged apart wherever they are reported; without their price a call
    /// that has them is unpriced.
    pub fn falls_back(self) -> Option<Self> {
        match self {
            Self::Reasoning => Some(Self::Output),
            Self::CacheRead | Self::CacheWrite5m | Self::ImageInput => Some(Self::Input),
            _ => None,
        }
    }

    /// Its place in [`Class::ALL`].
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// The price of one: of a token, a search, a request. In 1e-18 dollars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    base: u64,
    /// Prices of calls with more prompt tokens than so many, in rising order. They hold for all of the call's tokens.
    above: Box<[(u64, u64)]>,
}

impl Rate {
    /// A price per [`Class::per`] in dollars, such as `0.15`, optionally with higher tiers: `5>272000:10`.
    pub fn parse(text: &str, class: Class) -> Result<Self, RateError> {
        let mut parts = text.split('>');
        let base = one(parts.next().unwrap_or_default(), class)?;
        let mut above: Vec<(u64, u64)> = Vec::new();
        for part in parts {
            let (tokens, price) = part.split_once(':').ok_or(RateError::Number)?;
            let tokens = tokens.parse().map_err(|_| RateError::Number)?;
            if above.last().is_some_and(|(last, _)| *last >= tokens) {
                return Err(RateError::Order);
            }
            above.push((tokens, one(price, class)?));
        }
        Ok(Self { base, above: above.into() })
    }

    /// A price without tiers.
    pub fn flat(text: &str, class: Class) -> Result<Self, RateError> {
        Ok(Self { base: one(text, class)?, above: Box::default() })
    }

    /// Adds a tier: the price of calls with more than so many prompt tokens.
    pub fn with_tier(mut self, tokens: u64, text: &str, class: Class) -> Result<Self, RateError> {
        let price = one(text, class)?;
        if self.above.last().is_some_and(|(last, _)| *last >= tokens) {
            return Err(RateError::Order);
        }
        self.above = self.above.iter().copied().chain([(tokens, price)]).collect();
        Ok(self)
    }

    /// The price of one in a call of so many prompt tokens.
    pub fn at(&self, prompt: u64) -> u64 {
        self.above.iter().rev().find(|(tokens, _)| prompt > *tokens).map_or(self.base, |(_, price)| *price)
    }

    /// The first price and the tiers, in 1e-18 dollars for one.
    pub fn tiers(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        std::iter::once((None, self.base)).chain(self.above.iter().map(|(tokens, price)| (Some(*tokens), *price)))
    }

    /// Whether every tier costs nothing.
    pub fn is_free(&self) -> bool {
        self.tiers().all(|(_, price)| price == 0)
    }

    fn scaled(&self, by: Percent) -> Option<Self> {
        let above =
            self.above.iter().map(|(tokens, price)| Some((*tokens, by.on_top_of(*price)?))).collect::<Option<_>>();
        Some(Self { base: by.on_top_of(self.base)?, above: above? })
    }
}

/// The published form: the price of a million tokens (a thousand of others), as it is written in a card.
pub fn published(atto: u64, class: Class) -> Money {
    Money::from_atto(i128::from(atto) * i128::from(class.per()))
}

/// Why a price cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not a number, or negative.
    #[error("an amount in dollars is wanted, such as 0.15")]
    Number,
    /// More decimals than are kept.
    #[error("more decimals than are kept (12 for tokens, 15 for others)")]
    Decimals,
    /// Too much.
    #[error("more than $18 for one")]
    TooMuch,
    /// Tiers out of order.
    #[error("context tiers must rise")]
    Order,
}

fn one(text: &str, class: Class) -> Result<u64, RateError> {
    // Dollars for `per` in 1e-18 dollars for one.
    let scale = 18 - class.per().ilog10();
    let (value, exact) = decimal(text, scale).ok_or(RateError::Number)?;
    if value < 0 || text.starts_with('-') {
        return Err(RateError::Number);
    }
    if !exact {
        return Err(RateError::Decimals);
    }
    u64::try_from(value).map_err(|_| RateError::TooMuch)
}

/// A percentage, to four decimals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    /// In millionths: 5.5 % is 55,000.
    pub millionths: i64,
}

impl Percent {
    /// Reads `15%`, `5.5%` or `-10%`.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?.trim_end();
        let (value, exact) = decimal(number, 4)?;
        let millionths = i64::try_from(value).ok().filter(|n| exact && (-1_000_000..=100_000_000).contains(n))?;
        Some(Self { millionths })
    }

    /// A price with this percentage added, rounded to 1e-18 dollars.
    fn on_top_of(self, price: u64) -> Option<u64> {
        let with = Money::from_atto(price.into()).share(1_000_000 + self.millionths);
        u64::try_from(with.atto()).ok()
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", Money::from_atto(i128::from(self.millionths) * 10_i128.pow(14)))
    }
}

/// Prices of all classes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates {
    rates: [Option<Rate>; Class::ALL.len()],
    /// Some of the output is charged apart, in a way that no count of ours tells: a call with output has no price.
    pub output_apart: bool,
}

impl Rates {
    /// The price that the class has of its own.
    pub fn own(&self, class: Class) -> Option<&Rate> {
        self.rates[class.index()].as_ref()
    }

    /// Sets a price.
    pub fn set(&mut self, class: Class, rate: Rate) {
        self.rates[class.index()] = Some(rate);
    }

    /// Whether no class has a price.
    pub fn is_empty(&self) -> bool {
        self.rates.iter().all(Option::is_none)
    }

    /// The classes that have a price of their own.
    pub fn iter(&self) -> impl Iterator<Item = (Class, &Rate)> {
        Class::ALL.into_iter().filter_map(|class| Some((class, self.own(class)?)))
    }

    /// All prices with a percentage added; `None` where one would leave the range.
    pub fn scaled(&self, by: Percent) -> Option<Self> {
        let mut scaled = Self { output_apart: self.output_apart, ..Self::default() };
        for (class, rate) in self.iter() {
            scaled.set(class, rate.scaled(by)?);
        }
        Some(scaled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact_and_tiers_hold_above_their_mark() {
        let rate = Rate::parse("5>272000:10>500000:12.5", Class::Input).expect("a price");
        assert_eq!(
            [rate.at(0), rate.at(272_000), rate.at(272_001), rate.at(500_001)].map(|a| a / 100_000_000_000),
            [50, 50, 100, 125]
        );
        assert_eq!(Rate::parse("0.003625", Class::CacheRead).map(|r| r.at(1)), Ok(3_625_000_000));
        assert_eq!(Rate::parse("10", Class::WebSearches).map(|r| r.at(1)), Ok(10_000_000_000_000_000));
        assert_eq!(published(3_625_000_000, Class::CacheRead).to_string(), "0.003625");
        assert_eq!(published(10_000_000_000_000_000, Class::WebSearches).to_string(), "10");
        let why = |text| Rate::parse(text, Class::Output).unwrap_err();
        assert_eq!(why("0.1234567890123"), RateError::Decimals);
        assert_eq!(why("-1"), RateError::Number);
        assert_eq!(why("-0"), RateError::Number);
        assert_eq!(why("1>5:2>5:3"), RateError::Order);
        assert_eq!(why("99999999999"), RateError::TooMuch);
    }

    #[test]
    fn percentages_are_read_and_added() {
        let five = Percent::parse("5.5%").expect("a percentage");
        assert_eq!((five.millionths, five.to_string()), (55_000, "5.5%".to_owned()));
        assert_eq!(Percent::parse("-10 %").map(|p| p.to_string()).as_deref(), Some("-10%"));
        assert_eq!(Percent::parse("15"), None);
        assert_eq!(Percent::parse("-101%"), None);
        let mut rates = Rates::default();
        rates.set(Class::Output, Rate::parse("0.6>1000:1.2", Class::Output).expect("a price"));
        let dearer = rates.scaled(Percent { millionths: 150_000 }).expect("in range");
        let output = dearer.own(Class::Output).expect("kept");
        assert_eq!((output.at(0), output.at(2_000)), (690_000_000_000, 1_380_000_000_000));
    }
}
