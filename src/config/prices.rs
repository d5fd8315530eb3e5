//! Prices of the operator's own: the `prices` key, and the files of cards that it names.
//!
//! A file is read like the configuration itself: all faults at once, with their places. What is said here as text is
//! made into prices by `routing::prices`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use super::de::{De, TEXT};
use super::file::OneOrMany;
use super::formats::{FilePath, Name};
use super::load::{self, MAX_FILE};
use super::problem::{Problem, Problems, Severity};
use super::shape::{self, Shape};
use super::tree::{self, Fault, Mark, Node, Value, join};
use super::walk;

/// What this operator pays, where that is not what everybody pays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prices {
    /// Files of price cards that win over the shipped ones; of several cards that fit, the last wins. `faregate prices
    /// check FILE` checks them.
    #[schemars(with = "Vec<FilePath>")]
    pub overlays: Vec<PathBuf>,
    /// How credit is bought, by provider: decides the fees that make billed cost effective cost.
    pub accounts: BTreeMap<String, Account>,
}

/// How credit is bought at one provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Account {
    /// Default `card`.
    pub pay: Pay,
    /// Dollars that are bought at a time; a minimum fee is spread over them. Left out: minimum fees are not counted.
    pub purchase: Option<Amount>,
    /// All calls go with a key of one's own at the serving provider, also where answers do not say so.
    pub byok: bool,
}

/// How credit is paid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pay {
    /// By card or invoice.
    #[default]
    Card,
    /// In a cryptocurrency.
    Crypto,
}

/// A file of price cards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PriceFile {
    /// The cards. Of those that fit a model and hold at a time, the last wins, and stands alone.
    pub cards: Vec<CardEntry>,
}

/// One card. Either `prices` or `resale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CardEntry {
    /// Name of a provider of the configuration, or of a preset.
    #[schemars(with = "Name")]
    pub provider: String,
    /// Model names, or patterns: `*` is any run of characters, `#` one digit. Letter case does not count.
    pub model: OneOrMany,
    /// The first day, such as 2026-07-01.
    #[serde(default)]
    pub from: Option<DayText>,
    /// The hours of the day in UTC, such as 16:30-00:30.
    #[serde(default)]
    pub hours: Option<HoursText>,
    /// The tier of service.
    #[serde(default)]
    pub tier: Tier,
    /// It is the list price too: for models that the shipped cards do not know.
    #[serde(default)]
    pub reference: bool,
    /// Dollars per million tokens; per thousand web searches and requests.
    #[serde(default)]
    pub prices: PriceMap,
    /// Prices of calls with more prompt tokens than so many, in rising order.
    #[serde(default)]
    pub above: Vec<Above>,
    /// The cards of another provider, with a percentage added.
    #[serde(default)]
    pub resale: Option<Resale>,
}

/// Prices by class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PriceMap {
    /// Prompt tokens.
    pub input: Option<Amount>,
    /// Prompt tokens read from a cache. Default: as `input`.
    pub cache_read: Option<Amount>,
    /// Prompt tokens written to a cache. Default: as `input`.
    pub cache_write_5m: Option<Amount>,
    /// Prompt tokens written to a cache for an hour. Without it, calls that have them are unpriced.
    pub cache_write_1h: Option<Amount>,
    /// Generated tokens.
    pub output: Option<Amount>,
    /// Reasoning tokens. Default: as `output`.
    pub reasoning: Option<Amount>,
    /// Prompt tokens of audio. Without it, calls that have them are unpriced.
    pub audio_input: Option<Amount>,
    /// Generated tokens of audio. Without it, calls that have them are unpriced.
    pub audio_output: Option<Amount>,
    /// Prompt tokens of images. Default: as `input`.
    pub image_input: Option<Amount>,
    /// A thousand web searches. Without it, calls that have them are unpriced.
    pub web_searches: Option<Amount>,
    /// A thousand requests. Default: nothing.
    pub requests: Option<Amount>,
}

impl PriceMap {
    /// The prices that are given, by the names of their classes.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Amount)> {
        [
            ("input", &self.input),
            ("cache_read", &self.cache_read),
            ("cache_write_5m", &self.cache_write_5m),
            ("cache_write_1h", &self.cache_write_1h),
            ("output", &self.output),
            ("reasoning", &self.reasoning),
            ("audio_input", &self.audio_input),
            ("audio_output", &self.audio_output),
            ("image_input", &self.image_input),
            ("web_searches", &self.web_searches),
            ("requests", &self.requests),
        ]
        .into_iter()
        .filter_map(|(class, price)| Some((class, price.as_ref()?)))
    }
}

/// A tier of service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The usual one.
    #[default]
    Standard,
    /// Slower and cheaper.
    Flex,
    /// Before others.
    Priority,
    /// A faster model.
    Fast,
    /// Answered within a day.
    Batch,
}

/// Prices of long prompts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Above {
    /// More prompt tokens than these.
    pub tokens: u64,
    /// The prices then, for all of the call's tokens.
    pub prices: PriceMap,
}

/// Another provider's cards, dearer or cheaper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resale {
    /// Whose: a preset's name.
    #[schemars(with = "Name")]
    pub of: String,
    /// What is added, such as 15%, or taken off: -10%.
    pub markup: PercentText,
}

/// Texts that stand for values which must not go through a binary float, or look like other YAML types.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident, $schema:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        pub struct $name(pub String);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                d.deserialize_newtype_struct(TEXT, Verbatim).map(Self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

texts! {
    /// An amount in dollars.
    Amount, json_schema!({ "description": "an amount in dollars such as 0.15", "type": ["number", "string"],
        "minimum": 0, "format": "dollars" });
    /// A day.
    DayText, json_schema!({ "description": "a day such as 2026-07-01", "type": "string", "format": "day" });
    /// A daily window.
    HoursText, json_schema!({ "description": "hours in UTC such as 16:30-00:30", "type": "string", "format": "hours" });
    /// A percentage.
    PercentText, json_schema!({ "description": "a percentage such as 15% or -10%", "type": "string", "format": "percent" });
}

/// The scalar as it was typed.
struct Verbatim;

impl<'de> serde::de::Visitor<'de> for Verbatim {
    type Value = String;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

/// What a check of a file of cards found.
#[derive(Debug)]
pub struct CheckedPrices {
    /// The cards; there unless there are errors.
    pub file: Option<PriceFile>,
    /// Errors and warnings.
    pub problems: Problems,
}

/// Checks the files of cards that a configuration names. A file that is missing is said of by its own name.
pub(super) fn check_overlays(prices: &Prices, out: &mut Vec<Problem>) {
    for path in &prices.overlays {
        out.extend(check_prices_file(path).problems.0);
    }
}

/// Reads and checks a file of cards.
pub fn check_prices_file(path: &Path) -> CheckedPrices {
    let source = path.to_string_lossy();
    match std::fs::metadata(path).map(|about| about.len()) {
        Ok(length) if length > MAX_FILE => refuse(&source, format!("larger than {} MiB", MAX_FILE >> 20)),
        _ => match std::fs::read_to_string(path) {
            Ok(text) => check_prices(&text, &source),
            Err(e) => refuse(&source, format!("cannot be read: {e}")),
        },
    }
}

fn refuse(source: &str, message: String) -> CheckedPrices {
    let fault = Fault { at: Mark { line: 0, column: 0 }, key: String::new(), message, advice: None };
    CheckedPrices { file: None, problems: Problems(vec![problem(&source.into(), fault)]) }
}

/// Checks a text of cards; `source` stands for the file's name in messages.
pub fn check_prices(text: &str, source: &str) -> CheckedPrices {
    static SHAPE: LazyLock<Shape> = LazyLock::new(shape::of::<PriceFile>);
    let file: Arc<str> = source.into();
    let parsed = tree::parse(text);
    let mut faults = parsed.faults;
    let mut typed = None;
    if let Some(root) = &parsed.root {
        let found = walk::check(root, &SHAPE);
        let sound = found.is_empty();
        faults.extend(found);
        match PriceFile::deserialize(De(root)) {
            Ok(cards) => {
                faults.extend(combinations(&cards, root));
                typed = Some(cards);
            }
            Err(e) if sound => {
                let at = e.at.unwrap_or(root.at);
                faults.push(Fault { at, key: String::new(), message: e.message, advice: None });
            }
            Err(_) => {}
        }
    } else if faults.is_empty() {
        typed = Some(PriceFile::default());
    }
    let mut problems = Problems(faults.into_iter().map(|fault| problem(&file, fault)).collect());
    problems.settle();
    CheckedPrices { file: typed.filter(|_| !problems.has_errors()), problems }
}

fn problem(file: &Arc<str>, fault: Fault) -> Problem {
    let Fault { at, key, message, advice } = fault;
    Problem { severity: Severity::Error, place: load::place(file, at), key, message, advice }
}

/// What no schema can say.
fn combinations(cards: &PriceFile, root: &Node<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let Some(Value::List(nodes)) = root.get("cards").map(|entry| &entry.value.value) else { return faults };
    for (i, (card, node)) in cards.cards.iter().zip(nodes).enumerate() {
        let key = format!("cards[{i}]");
        let mut fault = |field: &str, message: &str, advice: &str| {
            let at = node.get(field).map_or(node.at, |entry| entry.at);
            let key = if field.is_empty() { key.clone() } else { join(&key, field) };
            faults.push(Fault { at, key, message: message.into(), advice: Some(advice.into()) });
        };
        match (&card.resale, card.prices.iter().next().is_none()) {
            (None, true) => fault("", "the card says no price", "give `prices` or `resale`"),
            (Some(_), false) => fault("resale", "`prices` and `resale` exclude each other", "keep one of them"),
            _ => {}
        }
        if card.resale.is_some() && (card.hours.is_some() || card.tier != Tier::Standard || !card.above.is_empty()) {
            let message = "a resale takes hours, tiers and context tiers over from the other provider";
            fault("resale", message, "take `hours`, `tier` and `above` out");
        }
        if card.model.0.is_empty() {
            fault("model", "no model is named", "name one, or `\"*\"` for all");
        }
        if !card.above.is_sorted_by(|a, b| a.tokens < b.tokens) {
            fault("above", "the tiers do not rise", "order them by `tokens`");
        }
        let below = |class| card.prices.iter().any(|(priced, _)| priced == class);
        if let Some(tier) = card.above.iter().find(|tier| tier.prices.iter().any(|(class, _)| !below(class))) {
            let message = format!("above {} tokens, a class has a price that has none below", tier.tokens);
            fault("above", &message, "give its price in `prices` too");
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_kept_as_they_were_typed() {
        let text = "cards:\n- provider: openai\n  model: gpt-4o\n  from: 2026-07-01\n  hours: 16:30-00:30\n  prices: {input: 2.50, output: \"10\", cache_read: 1e-1}\n";
        let checked = check_prices(text, "f.yaml");
        let file = checked.file.unwrap_or_else(|| panic!("{}", checked.problems));
        let prices: Vec<&str> = file.cards[0].prices.iter().map(|(_, amount)| amount.0.as_str()).collect();
        assert_eq!(prices, ["2.50", "1e-1", "10"]);
    }

    #[test]
    fn a_file_with_many_faults_shows_them_all_in_order() {
        let text = "cards:\n- provider: openai\n  modle: x\n  prices: {input: -1, outptu: 3}\n- {provider: a, model: b}\n- provider: a\n  model: b\n  from: 2026-02-30\n  prices: {input: 0.1234567890123}\n  above: [{tokens: 5, prices: {output: 1}}]\n- provider: r\n  model: '*'\n  resale: {of: openai, markup: 15}\n  hours: 1-2\n";
        let found = check_prices(text, "f.yaml").problems;
        let lines: Vec<String> = found.0.iter().map(ToString::to_string).collect();
        let starts: Vec<&str> = lines.iter().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(
            starts,
            [
                "f.yaml:2:3",
                "f.yaml:3:3",
                "f.yaml:4:19",
                "f.yaml:4:23",
                "f.yaml:8:9",
                "f.yaml:9:19",
                "f.yaml:13:32",
                "f.yaml:14:10"
            ],
            "{lines:#?}"
        );
    }

    #[test]
    fn combinations_are_checked_when_the_words_are_right() {
        let text = "cards:\n- {provider: a, model: b}\n- provider: r\n  model: '*'\n  prices: {input: 1}\n  resale: {of: openai, markup: -10%}\n  tier: flex\n- provider: a\n  model: m\n  prices: {input: 1}\n  above: [{tokens: 9, prices: {output: 1}}, {tokens: 5, prices: {input: 2}}]\n";
        let found = check_prices(text, "f.yaml").problems;
        let keys: Vec<&str> = found.0.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["cards[0]", "cards[1].resale", "cards[1].resale", "cards[2].above", "cards[2].above"]);
    }
}
