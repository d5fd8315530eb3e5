//! What a router tells of its own part in an answer: one member, which it adds where it is asked to.
//!
//! Its shape is OpenRouter's "router metadata", which its documentation calls experimental: every field may be missing
//! or of another kind, and is then unknown. Where the member stands, and what of it was added for Faregate alone, is
//! told here; taking it out is the business of `excise` and of the taps.

use std::time::Duration;

use super::Operation;
use super::json::{self, Members};
use crate::chat::RouterTold;

/// The member's name: in bodies, in errors, and in the last event of a stream.
pub(super) const MEMBER: &str = "openrouter_metadata";
/// An object of a stream's event that may hold the member in turn.
pub(super) const INSIDE: &str = "response";
/// Longest name of a place or provider that is kept.
const MAX_NAME: usize = 128;
/// No generation takes longer: what says so is no time in milliseconds.
const MAX_GENERATION: Duration = Duration::from_secs(86_400);

/// Reads the member's value: what it tells, and who served the call.
pub(super) fn read(value: &[u8]) -> Option<(RouterTold, Option<String>)> {
    let mut members = Members::open(value, 0).ok()?;
    let (mut told, mut selected, mut tried) = (RouterTold::default(), None, None);
    while let Some(member) = members.next().ok()? {
        match &*member.key() {
            b"generation_time" => told.generation = milliseconds(member.value),
            b"region" => told.region = name(member.value).map(String::into_boxed_str),
            b"endpoints" => {
                let all = json::field(member.value, "available");
                selected = only(all, |item| json::field(item, "selected") == Some(b"true"));
            }
            // Each try of the router's own, with the status that it got.
            b"attempts" => {
                tried = only(Some(member.value), |item| json::field(item, "status").is_some_and(is_success));
            }
            _ => {}
        }
    }
    Some((told, tried.or(selected)))
}

/// The provider of the one item that fits; `None` where none or several do.
fn only(items: Option<&[u8]>, fits: impl Fn(&[u8]) -> bool) -> Option<String> {
    let items = items?;
    let mut fitting = json::items(items).map(|item| &items[item]).filter(|item| fits(item));
    let first = fitting.next().filter(|_| fitting.next().is_none())?;
    json::field(first, "provider").and_then(name)
}

fn is_success(status: &[u8]) -> bool {
    json::count(status).is_some_and(|status| (200..300).contains(&status))
}

fn name(value: &[u8]) -> Option<String> {
    json::text(value).filter(|name| !name.is_empty() && name.len() <= MAX_NAME).map(|name| name.into_owned())
}

fn milliseconds(value: &[u8]) -> Option<Duration> {
    json::count(value).map(Duration::from_millis).filter(|time| *time <= MAX_GENERATION)
}

/// Whether an event with the member says nothing else, so that the client would never have got it.
pub(super) fn alone(operation: Operation, data: &[u8]) -> bool {
    let chunks = matches!(operation, Operation::Chat | Operation::Completions);
    let Ok(mut members) = Members::open(data, 0) else { return false };
    while let Ok(Some(member)) = members.next() {
        let nothing = match &*member.key() {
            key if *key == *MEMBER.as_bytes() => true,
            // What every chunk of a stream repeats.
            b"id" | b"object" | b"created" | b"model" | b"provider" | b"system_fingerprint" | b"service_tier" => chunks,
            b"choices" | b"usage" => chunks && !json::says_something(member.value),
            _ => false,
        };
        if !nothing {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(value: &str) -> (Option<u128>, Option<String>, Option<String>) {
        let (told, by) = read(value.as_bytes()).unwrap_or_default();
        (told.generation.map(|time| time.as_millis()), told.region.map(String::from), by)
    }

    #[test]
    fn all_of_it_as_documented() {
        let value = r#"{"requested":"openai/gpt-4o","strategy":"direct","region":"iad","attempt":1,"is_byok":false,
            "endpoints":{"total":2,"available":[{"provider":"Azure","model":"m","selected":false},
            {"provider":"OpenAI","model":"m","selected":true}]},"generation_time":2016}"#;
        assert_eq!(told(value), (Some(2016), Some("iad".into()), Some("OpenAI".into())));
    }

    #[test]
    fn the_try_that_worked_counts_more_than_what_was_selected_at_first() {
        let value = r#"{"endpoints":{"available":[{"provider":"A","selected":true}]},
            "attempts":[{"provider":"A","status":503},{"provider":"B","status":200}]}"#;
        assert_eq!(told(value).2, Some("B".into()));
    }

    #[test]
    fn what_is_missing_or_odd_is_unknown() {
        for value in [
            "{}",
            "null",
            r#""enabled""#,
            r#"{"generation_time":-5,"region":null,"endpoints":[]}"#,
            r#"{"generation_time":"2016","region":7,"endpoints":{"available":{}}}"#,
            r#"{"generation_time":1e30,"endpoints":{"available":[{"provider":"A"},7,null]},"attempts":null}"#,
            r#"{"generation_time":86400001,"region":""}"#,
            r#"{"endpoints":{"available":[{"provider":"A","selected":true},{"provider":"B","selected":true}]}}"#,
            r#"{"generation_time":5,"#,
        ] {
            assert_eq!(told(value), (None, None, None), "{value}");
        }
    }

    #[test]
    fn an_event_that_says_nothing_else_was_added_for_us() {
        let chat = |data: &str| alone(Operation::Chat, data.as_bytes());
        assert!(chat(r#"{"id":"c","object":"chat.completion.chunk","choices":[],"openrouter_metadata":{}}"#));
        assert!(chat(r#"{"openrouter_metadata":{},"choices":[],"usage":null}"#));
        assert!(!chat(r#"{"choices":[],"usage":{"prompt_tokens":1},"openrouter_metadata":{}}"#));
        assert!(!chat(r#"{"choices":[{"delta":{}}],"openrouter_metadata":{}}"#));
        assert!(!chat(r#"{"choices":[],"news":1,"openrouter_metadata":{}}"#));
        assert!(!alone(Operation::Messages, br#"{"type":"message_stop","openrouter_metadata":{}}"#));
        assert!(alone(Operation::Messages, br#"{"openrouter_metadata":{}}"#));
    }
}
