//! What to do about a fault: the nearest known word, the keys that exist, the form that is wanted.

use super::scalar::{self, Scalar};
use super::shape::{MapShape, ScalarShape, Shape};
use super::tree::{Node, Value, shorten};

/// Keys that people bring along from elsewhere -> ours.
const ELSEWHERE: &[(&str, &str)] = &[
    ("api_key", "credentials"),
    ("apikey", "credentials"),
    ("key", "credentials"),
    ("token", "credentials"),
    ("secret", "credentials"),
    ("api_base", "base_url"),
    ("url", "base_url"),
    ("endpoint", "base_url"),
    ("host", "base_url"),
    ("type", "preset"),
    ("kind", "preset"),
    ("timeout", "timeouts"),
    ("retries", "retry"),
    ("fallbacks", "targets"),
    ("backends", "targets"),
    ("upstreams", "targets"),
    ("model_list", "routes"),
    ("port", "listen"),
    ("when", "match"),
    ("matches", "match"),
    ("model_aliases", "aliases"),
    ("value", "insecure_inline"),
    ("inline", "insecure_inline"),
    ("path", "file"),
    ("cert", "certificate"),
];

/// The word most like this one, if any is like it.
pub(super) fn nearest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let word = word.to_lowercase();
    if word.len() > 64 {
        return None;
    }
    let near = |w: &&str| strsim::jaro_winkler(&word, &w.to_lowercase());
    let scored = words.into_iter().map(|w| (near(&w), w)).filter(|(score, _)| *score > 0.8);
    scored.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, w)| w)
}

/// For a word that is none of these.
pub(super) fn one_of(word: &str, words: &[String]) -> String {
    let all = || format!("it can be {}", list(words.iter().map(String::as_str)));
    match nearest(word, words.iter().map(String::as_str)) {
        Some(near) if words.len() > 12 => format!("did you mean `{near}`?"),
        Some(near) => format!("did you mean `{near}`? {}", all()),
        None => all(),
    }
}

/// `a`, `b` or `c`.
pub(super) fn list<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.into_iter().map(|w| format!("`{w}`")).collect();
    match words.split_last() {
        None => "nothing".into(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// For a key that a mapping does not have.
pub(super) fn unknown_key(key: &str, map: &MapShape) -> String {
    if key == "<<" {
        return "merge keys are not supported: write the keys out".into();
    }
    let known = |k: &&str| map.fields.contains_key(*k);
    let elsewhere = ELSEWHERE.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(key)).map(|(_, ours)| *ours);
    let near = nearest(key, map.fields.keys().map(String::as_str));
    match near.filter(|n| strsim::jaro_winkler(key, n) > 0.9).or(elsewhere.filter(known)).or(near) {
        Some("credentials") => "did you mean `credentials`, such as {env: MY_API_KEY}?".into(),
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the keys here are {}", list(map.fields.keys().map(String::as_str)).replace(" or ", " and ")),
    }
}

/// The range of a number in words.
pub(super) fn range(want: &ScalarShape) -> String {
    let what = if want.number { "a number" } else { "a whole number" };
    match (want.min, want.max) {
        (Some(min), Some(max)) if max >= f64::from(u32::MAX) => format!("{what} from {min} up"),
        (Some(min), Some(max)) => format!("{what} from {min} to {max}"),
        (Some(min), None) => format!("{what} from {min} up"),
        (None, Some(max)) => format!("{what} up to {max}"),
        (None, None) => what.into(),
    }
}

/// What a shape takes, after "wants".
pub(super) fn wanted(shape: &Shape) -> String {
    let mut wants = Vec::new();
    if let Some(scalar) = &shape.scalar {
        if !scalar.words.is_empty() {
            wants.push(list(scalar.words.iter().map(String::as_str)));
        }
        match scalar.format {
            Some(format) => wants.push(format.what.into()),
            None if scalar.text => wants.push("text".into()),
            None => {}
        }
        if scalar.truth {
            wants.push("true or false".into());
        }
        if scalar.number || (scalar.integer && !scalar.text) {
            wants.push(range(scalar));
        }
    }
    if let Some(item) = &shape.list {
        wants.push(match &item.map {
            Some(_) => "a list".into(),
            None => format!("a list of {}", wanted(item)),
        });
    }
    if let Some(map) = &shape.map {
        wants.push(match map.fields.len() {
            0 => "keys with values".into(),
            1..=4 => format!("keys ({})", list(map.fields.keys().map(String::as_str)).replace(" or ", ", ")),
            _ => "keys with values".into(),
        });
    }
    wants.join(", or ")
}

/// For a value of the wrong kind.
pub(super) fn wrong_type(node: &Node<'_>, shape: &Shape) -> Option<String> {
    let Value::Scalar { text, plain } = &node.value else {
        return match (&node.value, &shape.list) {
            (Value::Map(_), Some(_)) => Some("begin each item with `- `".into()),
            _ => None,
        };
    };
    if shape.secret {
        return Some("a key does not stand in this file: name where it stands, such as {env: MY_API_KEY}".into());
    }
    if let Some(item) = &shape.list {
        let one = item.scalar.is_some();
        return Some(if one { format!("write [{}]", shorten(text)) } else { "begin each item with `- `".into() });
    }
    let scalar = shape.scalar.as_ref()?;
    let is_right_as_text = || scalar.format.is_none_or(|format| (format.check)(text).is_ok());
    match scalar::read(text) {
        Scalar::Text | Scalar::Null => {
            nearest(text, scalar.words.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"))
        }
        _ if *plain && (scalar.words.contains(&text.clone().into_owned()) || (scalar.text && is_right_as_text())) => {
            Some(format!("put it in quotes: \"{}\"", shorten(text)))
        }
        _ if !*plain => Some("take the quotes off".into()),
        _ => None,
    }
}
