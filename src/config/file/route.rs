//! `routes`: which calls go where.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::formats::{Glob, HeaderName, Name, PathPrefix};
use super::super::units::Size;
use super::OneOrMany;
use super::defaults::{Retry, Timeouts};
use super::dialect::Api;
use super::probe::Probe;

/// Which calls go where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Shown in metrics, logs and `x-faregate-route`.
    #[schemars(with = "Name")]
    pub name: String,
    /// Conditions; all that are given must hold. Left out: matches every call.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// How targets are chosen.
    #[serde(default)]
    pub strategy: Strategy,
    /// Keeps a conversation at one target (`weighted` only).
    #[serde(default)]
    pub sticky: Option<Sticky>,
    /// Where the call may go.
    #[schemars(length(min = 1))]
    pub targets: Vec<Target>,
    /// Retries of this route.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// Timeouts of this route.
    #[serde(default)]
    pub timeouts: Option<Timeouts>,
    /// Largest request body of this route.
    #[serde(default)]
    pub max_body: Option<Size>,
    /// Calls of this route at one time: 429 beyond.
    #[serde(default)]
    pub max_calls: Option<usize>,
    /// What becomes of a stream whose client goes away.
    #[serde(default)]
    pub on_disconnect: OnDisconnect,
    /// Sends duplicates of some calls to a direct target, to measure what the route adds in time and money. The answers
    /// are read and thrown away. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
}

/// Conditions of a route; all that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Model names or globs (`gpt-4*`), any of them; seen after aliases.
    pub model: OneOrMany,
    /// APIs, any of them.
    pub api: Vec<Api>,
    /// Request headers: name -> value or glob.
    #[schemars(with = "BTreeMap<String, Glob>", extend("propertyNames" = { "format": "header-name" }))]
    pub headers: BTreeMap<String, String>,
    /// Calling apps, or globs, any of them.
    pub app: OneOrMany,
    /// Start of the request's path.
    #[schemars(with = "Option<PathPrefix>")]
    pub path_prefix: Option<String>,
}

/// How targets are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The lowest priority number first, in order of the file among equals.
    #[default]
    Fallback,
    /// Among targets of the lowest priority number, at random by weight; the others are fallbacks.
    Weighted,
}

/// Keeps a conversation at one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sticky {
    /// By the value of this request header.
    Header(#[schemars(with = "HeaderName")] String),
    /// By the start of the conversation (model, and the body up to and including the first user message).
    Conversation,
}

/// Where a call may go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name of a provider.
    #[schemars(with = "Name")]
    pub provider: String,
    /// The model's name at that provider. Default: as asked (after aliases).
    #[serde(default)]
    #[schemars(with = "Option<Name>")]
    pub model: Option<String>,
    /// Share under `weighted`. 0: never chosen first, still a fallback. Default 1.
    #[serde(default = "one_u32")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: u32,
    /// Lower comes first. Default: all equal.
    #[serde(default)]
    pub priority: u32,
}

fn one_u32() -> u32 {
    1
}

/// What becomes of a stream whose client goes away before its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// The provider is told to stop, which most of them honour; the call's usage is estimated from what had come.
    #[default]
    Cancel,
    /// The rest is read for its usage, for at most 30 seconds, and thrown away. Costs what the whole answer costs.
    Drain,
}
