//! The format of the shipped files in `config/prices/`: read line by line, without copies. Described in the README
//! there.

use super::card::Line;
use super::day::{Day, Hours};
use super::rates::{Class, Rate, RateError};
use crate::chat::ServiceTier;

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: `{text}`")]
pub struct TextError {
    /// What is wrong.
    pub what: String,
    /// The line, or the part of it.
    pub text: String,
}

impl TextError {
    pub(super) fn new(what: impl ToString, text: &str) -> Self {
        Self { what: what.to_string(), text: text.to_owned() }
    }
}

/// The lines that say something, each with its place in the text, cut into word and rest.
pub(super) fn statements(text: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let start = at;
        at += line.len();
        let line = line.trim();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        (!line.is_empty() && !line.starts_with('#')).then_some((start, word, rest.trim_start()))
    })
}

/// Reads what follows `price`: conditions, then prices by class.
pub(super) fn price(rest: &str) -> Result<Line, TextError> {
    let mut line = Line::default();
    for word in rest.split_ascii_whitespace() {
        let Some((key, value)) = word.split_once('=') else {
            return Err(TextError::new("`key=value` is wanted", word));
        };
        match key {
            "tier" => {
                line.tier = ServiceTier::parse(value);
                if line.tier == ServiceTier::Other {
                    return Err(TextError::new("there is no such tier", word));
                }
            }
            "from" => line.from = Some(Day::parse(value).ok_or_else(|| TextError::new("no date", word))?),
            "hours" => line.hours = Some(Hours::parse(value).ok_or_else(|| TextError::new("no window", word))?),
            "apart" => line.rates.output_apart = true,
            _ => {
                let class = Class::parse(key).ok_or_else(|| TextError::new("there is no such class", word))?;
                let rate = Rate::parse(value, class).map_err(|e: RateError| TextError::new(e, word))?;
                if line.rates.own(class).is_some() {
                    return Err(TextError::new("the class stands twice", word));
                }
                line.rates.set(class, rate);
            }
        }
    }
    if line.rates.is_empty() {
        return Err(TextError::new("no price in the line", rest));
    }
    Ok(line)
}
