//! What is known of providers beside their cards: who sells for whom, by what names, for what fees. Data, in
//! `config/prices/providers.txt`.

use std::sync::LazyLock;

use super::day::Day;
use super::fees::{Fee, Fees, PayBy};
use super::rates::Percent;
use super::text::{TextError, statements};
use crate::chat::Money;

const TEXT: &str = include_str!("../../config/prices/providers.txt");

/// How a provider's price stands to the list price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// Its price is the list price.
    #[default]
    Direct,
    /// It sells what others serve; theirs is the list price.
    Router,
    /// It runs on machines of one's own; there is no list price.
    Own,
}

/// One provider.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whose cards count; its own where the list is empty.
    pub(super) cards: Vec<&'static str>,
    pub(super) suffix: Option<&'static str>,
    names: Vec<String>,
    pub(super) fees: Fees,
}

/// The provider of that name, which is a preset's.
pub(super) fn find(name: &str) -> Option<&'static Facts> {
    all().iter().find(|facts| facts.name == name)
}

/// The provider that others call so.
pub(super) fn called(name: &str) -> Option<&'static Facts> {
    let folded = fold(name);
    all().iter().find(|facts| facts.names.contains(&folded))
}

pub(super) fn all() -> &'static [Facts] {
    static ALL: LazyLock<Vec<Facts>> = LazyLock::new(|| read(TEXT).unwrap_or_default());
    &ALL
}

/// Letters and digits alone, in lower case.
fn fold(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn read(text: &'static str) -> Result<Vec<Facts>, TextError> {
    let mut all: Vec<Facts> = Vec::new();
    for (_, word, rest) in statements(text) {
        if word == "provider" {
            all.push(Facts { name: rest, ..Facts::default() });
            continue;
        }
        let Some(facts) = all.last_mut() else { return Err(TextError::new("`provider` comes first", word)) };
        match word {
            "kind" => {
                facts.kind = match rest {
                    "direct" => Kind::Direct,
                    "router" => Kind::Router,
                    "own" => Kind::Own,
                    _ => return Err(TextError::new("there is no such kind", rest)),
                }
            }
            "cards" => facts.cards = rest.split(' ').collect(),
            "suffix" => facts.suffix = Some(rest),
            "names" => facts.names.push(fold(rest)),
            "fee" => facts.fees.purchase.push(fee(rest)?),
            "byok" => {
                let fee = fee(rest)?;
                facts.fees.byok.push((fee.from, fee.percent));
            }
            _ => return Err(TextError::new("there is no such word", word)),
        }
    }
    Ok(all)
}

fn fee(rest: &str) -> Result<Fee, TextError> {
    let mut fee = Fee::default();
    for word in rest.split_ascii_whitespace() {
        let wrong = || TextError::new("a fee's pay=, percent=, minimum= or from= is wanted", word);
        let (key, value) = word.split_once('=').ok_or_else(wrong)?;
        match key {
            "pay" => fee.pay = PayBy::parse(value).ok_or_else(wrong)?,
            "percent" => fee.percent = Percent::parse(value).ok_or_else(wrong)?,
            "minimum" => fee.minimum = Money::parse(value).filter(|m| *m >= Money::ZERO).ok_or_else(wrong)?,
            "from" => fee.from = Some(Day::parse(value).ok_or_else(wrong)?),
            _ => return Err(wrong()),
        }
    }
    Ok(fee)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_facts_can_be_read() {
        let all = read(TEXT).expect("config/prices/providers.txt");
        let mut names: Vec<_> = all.iter().flat_map(|facts| &facts.names).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before, "no name stands for two providers");
    }

    #[test]
    fn letter_case_and_punctuation_do_not_count() {
        assert_eq!(called("Amazon Bedrock").map(|facts| facts.name), Some("bedrock"));
        assert_eq!(called("z-ai").map(|facts| facts.name), Some("zai"));
        assert!(called("nobody").is_none() && called("").is_none());
    }
}
