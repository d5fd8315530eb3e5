//! The conditions of a route, and whether a call meets them.

use std::fmt;

use super::facts::CallFacts;
use super::no_route::{joined, printable};
use super::pattern::Pattern;
use crate::config::file::Api;
use crate::dialect::Operation;

/// All that are given must hold.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub(super) models: Box<[Pattern]>,
    /// A bit per API; 0: any.
    pub(super) apis: u8,
    /// Names in lower case.
    pub(super) headers: Box<[(Box<str>, Pattern)]>,
    pub(super) apps: Box<[Pattern]>,
    pub(super) path_prefix: Option<Box<str>>,
}

/// A call as conditions see it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// After aliases.
    pub(super) model: Option<&'a str>,
    pub(super) facts: &'a CallFacts<'a>,
}

/// One condition that a call does not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The condition's key: `model`, `api`, `header x-team`, `app`, `path_prefix`.
    pub condition: String,
    /// What the route wants.
    pub wanted: String,
    /// What the call has.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: wants {}, the call has {}", self.condition, self.wanted, self.found)
    }
}

const APIS: [(Api, &str); 6] = [
    (Api::Chat, "chat"),
    (Api::Responses, "responses"),
    (Api::Completions, "completions"),
    (Api::Embeddings, "embeddings"),
    (Api::Messages, "messages"),
    (Api::Other, "other"),
];

pub(super) const fn bit(api: Api) -> u8 {
    1 << match api {
        Api::Chat => 0,
        Api::Responses => 1,
        Api::Completions => 2,
        Api::Embeddings => 3,
        Api::Messages => 4,
        Api::Other => 5,
    }
}

const fn api(operation: Operation) -> Api {
    match operation {
        Operation::Chat => Api::Chat,
        Operation::Responses => Api::Responses,
        Operation::Completions => Api::Completions,
        Operation::Embeddings => Api::Embeddings,
        // Tokens are counted where the messages will go, and for the same model.
        Operation::Messages | Operation::CountTokens => Api::Messages,
        Operation::Rerank | Operation::Models | Operation::Other => Api::Other,
    }
}

/// Written out so that the loop over routes inlines.
fn any(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|p| p.matches(name))
}

impl Asked<'_> {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.facts.headers.header(name).and_then(|value| std::str::from_utf8(value).ok()).map(str::trim)
    }

    /// Calls that are passed to the provider in their path unread: only a route that asks for such calls gets them.
    pub(super) fn is_addressed_and_unread(&self) -> bool {
        self.facts.vendor.is_some() && api(self.facts.operation) == Api::Other
    }
}

impl Conditions {
    fn model_holds(&self, asked: &Asked<'_>) -> bool {
        self.models.is_empty() || asked.model.is_some_and(|model| any(&self.models, model))
    }

    fn api_holds(&self, asked: &Asked<'_>) -> bool {
        if self.apis == 0 {
            return self.path_prefix.is_some() || !asked.is_addressed_and_unread();
        }
        self.apis & bit(api(asked.facts.operation)) != 0
    }

    fn app_holds(&self, asked: &Asked<'_>) -> bool {
        self.apps.is_empty() || any(&self.apps, asked.facts.app)
    }

    fn path_holds(&self, asked: &Asked<'_>) -> bool {
        self.path_prefix.as_ref().is_none_or(|prefix| asked.facts.path.starts_with(&**prefix))
    }

    /// Whether the call meets them all.
    pub(super) fn hold(&self, asked: &Asked<'_>) -> bool {
        self.api_holds(asked)
            && self.model_holds(asked)
            && self.app_holds(asked)
            && self.path_holds(asked)
            && self.headers.iter().all(|(name, pattern)| asked.header(name).is_some_and(|v| pattern.matches(v)))
    }

    /// Every condition that the call does not meet.
    pub(super) fn mismatches(&self, asked: &Asked<'_>) -> Vec<Mismatch> {
        let quoted = |text: &str| format!("`{}`", printable(text));
        let wanted = |patterns: &[Pattern]| joined(patterns.iter().map(|p| quoted(&p.to_string())), 5);
        let mut all = Vec::new();
        let mut miss = |condition: &str, wanted: String, found: String| {
            all.push(Mismatch { condition: condition.to_owned(), wanted, found });
        };
        if !self.model_holds(asked) {
            miss("model", wanted(&self.models), asked.model.map_or("none".to_owned(), quoted));
        }
        if !self.api_holds(asked) {
            let apis = APIS.iter().filter(|(a, _)| self.apis & bit(*a) != 0).map(|(_, name)| (*name).to_owned());
            let wanted = if self.apis == 0 {
                "`api: [other]` or a `path_prefix` for calls that are passed through unread".to_owned()
            } else {
                joined(apis, APIS.len())
            };
            miss("api", wanted, asked.facts.operation.as_str().to_owned());
        }
        for (name, pattern) in &self.headers {
            let value = asked.header(name);
            if !value.is_some_and(|v| pattern.matches(v)) {
                let found = value.map_or("no such header".to_owned(), quoted);
                miss(&format!("header {name}"), quoted(&pattern.to_string()), found);
            }
        }
        if !self.app_holds(asked) {
            miss("app", wanted(&self.apps), quoted(asked.facts.app));
        }
        if !self.path_holds(asked) {
            miss("path_prefix", quoted(self.path_prefix.as_deref().unwrap_or_default()), quoted(asked.facts.path));
        }
        all
    }
}
