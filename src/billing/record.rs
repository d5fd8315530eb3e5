//! A usage record as the bill reads it: the fields that it needs, borrowed from the line.
//!
//! Fields that it does not know are passed over; fields that are missing are unknown. So records of older and newer
//! versions can be read, as long as they say when the call was and how it ended.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::moment::Moment;
use crate::chat::{Money, Usage};

/// The word for usage that nobody reported.
const ESTIMATED: &str = "estimated";

/// No call costs more: a trillion dollars. Sums of what does would stop at the end of the range.
const MOST: Money = Money::from_atto(1_000_000_000_000_000_000_000_000_000_000);

/// One call.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// When it was accepted.
    pub at: Moment,
    /// Who called.
    pub app: Option<Text<'a>>,
    /// The provider of the last attempt.
    pub provider: Option<Text<'a>>,
    /// The model as it was sent, else as the client named it; nothing for calls that reached no provider, which may
    /// name anything.
    pub model: Option<Text<'a>>,
    /// Who served it behind a router.
    pub served_by: Option<Text<'a>>,
    /// How it ended.
    pub outcome: Text<'a>,
    /// It is no client's call, but a duplicate that was sent to compare with.
    pub probe: bool,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Every try at a target.
    pub attempts: Vec<Attempt<'a>>,
    /// What it used; `None`: nobody knows, or it is an estimate, which is in no sum.
    pub usage: Option<Usage>,
    /// What it cost; `None` for calls that cannot cost anything.
    pub cost: Option<CostFacts<'a>>,
    /// Streams: from the request sent to the first content, in milliseconds.
    pub ttft_ms: Option<f64>,
}

/// The money of a record.
#[derive(Debug, Clone, Default)]
pub struct CostFacts<'a> {
    /// At the list price.
    pub list: Option<Money>,
    /// What the account is charged.
    pub billed: Option<Money>,
    /// Billed, and fees on top.
    pub effective: Option<Money>,
    /// Where billed is known from.
    pub source: Option<Text<'a>>,
    /// Why there is no effective cost.
    pub unpriced: Option<Text<'a>>,
}

/// One try at a target.
#[derive(Debug, Clone, Deserialize)]
pub struct Attempt<'a> {
    /// The provider.
    #[serde(borrow)]
    pub provider: Text<'a>,
    /// The model as it was sent.
    #[serde(borrow, default)]
    pub model: Option<Text<'a>>,
    /// How it ended.
    #[serde(borrow)]
    pub outcome: Text<'a>,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub ms: Option<f64>,
}

/// Text of a line: a part of it, where it holds no escapes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Why a line is no usage record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It is no JSON, or a field has another type than records have.
    #[error("{0}")]
    Json(String),
    /// It has no `time` that can be read.
    #[error("`time` is no RFC 3339 time: {0:?}")]
    Time(String),
    /// It is longer than any record.
    #[error("longer than {} KiB", super::MOST_LINE >> 10)]
    Long,
}

impl Text<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The line as it stands.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    time: Text<'a>,
    #[serde(borrow)]
    outcome: Text<'a>,
    #[serde(borrow, default)]
    app: Option<Text<'a>>,
    #[serde(borrow, default)]
    provider: Option<Text<'a>>,
    #[serde(borrow, default)]
    model_sent: Option<Text<'a>>,
    #[serde(borrow, default)]
    model_asked: Option<Text<'a>>,
    #[serde(borrow, default)]
    served_by: Option<Text<'a>>,
    #[serde(default)]
    probe_of: Option<IgnoredAny>,
    #[serde(default)]
    stream: bool,
    #[serde(borrow, default)]
    attempts: Vec<Attempt<'a>>,
    #[serde(default)]
    tokens: Tokens,
    #[serde(borrow, default)]
    usage_state: Option<Text<'a>>,
    #[serde(borrow, default)]
    cost: Field<CostLine<'a>>,
    #[serde(default)]
    ttft_ms: Option<f64>,
}

#[derive(Deserialize)]
struct CostLine<'a> {
    #[serde(borrow, default)]
    list: Amount<'a>,
    #[serde(borrow, default)]
    billed: Amount<'a>,
    #[serde(borrow, default)]
    effective: Amount<'a>,
    #[serde(borrow, default)]
    cost_source: Option<Text<'a>>,
    #[serde(borrow, default)]
    unpriced: Option<Text<'a>>,
}

/// An amount as its digits stand in the line.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Amount<'a>(#[serde(borrow)] Option<&'a RawValue>);

/// A field that may be missing, which is not the same as `null`.
#[derive(Default)]
enum Field<T> {
    #[default]
    Missing,
    Null,
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<T>::deserialize(deserializer).map(|value| value.map_or(Self::Null, Self::Value))
    }
}

/// Counts by class; nothing where the record says `"unknown"`.
#[derive(Default)]
struct Tokens(Option<Usage>);

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Tokens;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("counts by class, or \"unknown\"")
            }

            fn visit_str<E>(self, _: &str) -> Result<Tokens, E> {
                Ok(Tokens(None))
            }

            fn visit_unit<E>(self) -> Result<Tokens, E> {
                Ok(Tokens(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tokens, A::Error> {
                let mut usage = Usage::default();
                while let Some(class) = map.next_key::<Text<'_>>()? {
                    match slot(&mut usage, class.as_str()) {
                        Some(slot) => *slot = map.next_value()?,
                        None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Tokens(Some(usage)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Tokens, A::Error> {
                Err(A::Error::custom("tokens are no list"))
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

/// Where the count of a class stands.
pub(super) fn slot<'u>(usage: &'u mut Usage, class: &str) -> Option<&'u mut u64> {
    Some(match class {
        "input" => &mut usage.input,
        "cache_read" => &mut usage.cache_read,
        "cache_write_5m" => &mut usage.cache_write_5m,
        "cache_write_1h" => &mut usage.cache_write_1h,
        "output" => &mut usage.output,
        "reasoning" => &mut usage.reasoning,
        "audio_input" => &mut usage.audio_input,
        "audio_output" => &mut usage.audio_output,
        "image_input" => &mut usage.image_input,
        "web_searches" => &mut usage.web_searches,
        _ => return None,
    })
}

impl Amount<'_> {
    /// The amount; an error where there is one that cannot be read.
    fn money(&self) -> Result<Option<Money>, Broken> {
        let Some(raw) = self.0.map(|raw| raw.get().trim_matches('"')).filter(|raw| *raw != "null") else {
            return Ok(None);
        };
        let money = Money::parse(raw).filter(|money| money.atto().abs() <= MOST.atto());
        money.map(Some).ok_or_else(|| Broken::Json(format!("not an amount: {raw:.40}")))
    }
}

impl<'a> Record<'a> {
    /// Reads one line.
    ///
    /// # Errors
    /// Why it is no record.
    pub fn parse(line: &'a [u8]) -> Result<Self, Broken> {
        // As text at once: JSON out of bytes is looked through again for each string.
        let line = std::str::from_utf8(line).map_err(|error| Broken::Json(error.to_string()))?;
        let line: Line<'a> = serde_json::from_str(line).map_err(|error| Broken::Json(error.to_string()))?;
        let at = Moment::parse(line.time.as_str()).ok_or_else(|| Broken::Time(line.time.as_str().into()))?;
        let cost = match line.cost {
            Field::Null => None,
            Field::Missing => {
                Some(CostFacts { unpriced: Some(Text("no cost in the record".into())), ..CostFacts::default() })
            }
            Field::Value(cost) => Some(CostFacts {
                list: cost.list.money()?,
                billed: cost.billed.money()?,
                effective: cost.effective.money()?,
                source: cost.cost_source,
                unpriced: cost.unpriced,
            }),
        };
        let estimated = line.usage_state.is_some_and(|state| state.as_str() == ESTIMATED);
        let tried = line.provider.is_some();
        Ok(Self {
            at,
            app: line.app,
            provider: line.provider,
            model: line.model_sent.or(line.model_asked.filter(|_| tried)),
            served_by: line.served_by,
            outcome: line.outcome,
            probe: line.probe_of.is_some(),
            stream: line.stream,
            attempts: line.attempts,
            usage: line.tokens.0.filter(|_| !estimated),
            cost,
            ttft_ms: line.ttft_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_digit_for_digit() {
        let line = br#"{"time":"2026-11-25T10:00:00Z","outcome":"ok","cost":{"list":0.000000000000000001,"billed":1e-6,"effective":"12.50"},"tokens":{"input":3,"newer":{"a":[1]}}}"#;
        let record = Record::parse(line).expect("a record");
        let cost = record.cost.expect("a cost");
        let shown = [cost.list, cost.billed, cost.effective].map(|m| m.map(|m| m.to_string()));
        assert_eq!(shown.map(Option::unwrap_or_default), ["0.000000000000000001", "0.000001", "12.5"]);
        assert_eq!(record.usage.map(|usage| usage.input), Some(3));
    }

    #[test]
    fn what_is_missing_is_unknown_and_what_cannot_be_is_said() {
        let bare = Record::parse(br#"{"time":"2026-11-25T10:00:00Z","outcome":"ok"}"#).expect("a record");
        assert!(bare.usage.is_none() && bare.provider.is_none());
        assert_eq!(bare.cost.and_then(|c| c.unpriced).as_ref().map(Text::as_str), Some("no cost in the record"));
        let free = br#"{"time":"2026-11-25T10:00:00Z","outcome":"no_route","cost":null,"tokens":"unknown"}"#;
        assert!(Record::parse(free).is_ok_and(|record| record.cost.is_none() && record.usage.is_none()));
        for bad in [
            "",
            "{}",
            "[]",
            "null",
            "{\"api\":\"127.0.0.1:4000\"}",
            r#"{"time":"2026-11-25T10:00:00Z"}"#,
            r#"{"time":"yesterday","outcome":"ok"}"#,
            r#"{"time":"2026-11-25T10:00:00Z","outcome":"ok","cost":{"list":"x"}}"#,
            r#"{"time":"2026-11-25T10:00:00Z","outcome":"ok","cost":{"list":1000000000001}}"#,
            r#"{"time":"2026-11-25T10:00:00Z","outcome":"ok","tokens":{"input":-1}}"#,
            r#"{"time":"2026-11-25T10:00:00Z","outcome":"ok"} {"#,
        ] {
            assert!(Record::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_with_escapes_are_read_too() {
        let line =
            br#"{"time":"2026-11-25T10:00:00Z","outcome":"ok","app":"a\"\u00e9","provider":"p","model_asked":"m"}"#;
        let record = Record::parse(line).expect("a record");
        assert_eq!(record.app.as_ref().map(Text::as_str), Some("a\"é"));
        assert_eq!(record.model.as_ref().map(Text::as_str), Some("m"), "as it was asked for");
        let nowhere =
            br#"{"time":"2026-11-25T10:00:00Z","outcome":"no_route","provider":null,"model_asked":"anything"}"#;
        assert!(Record::parse(nowhere).is_ok_and(|record| record.model.is_none()));
    }
}
