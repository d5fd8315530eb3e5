//! The configuration file as its user types it: every key that it may hold, one file per section.
//!
//! Unknown keys are errors. Doc comments become the descriptions of the JSON Schema, so they speak to the file's author.
//! Knows how keys are spelt and what holds where one is left out, not whether the values make sense (`checks`) nor what
//! becomes of them (`routing`, `server`). Start with [`Config`].

mod defaults;
mod dialect;
mod observe;
mod probe;
mod provider;
mod route;
mod secret;
mod server;
mod simulate;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::formats::Glob;
use super::prices::Prices;

pub use defaults::{Defaults, Health, Retry, RetryOn, Timeouts};
pub use dialect::{Api, DialectName};
pub use observe::{Log, LogFormat, Observe, Traces, UsageLogs, UsageRecords};
pub use probe::Probe;
pub use provider::{AuthScheme, ClientTls, Credentials, CredentialsWord, HttpVersion, Provider, StreamUsage};
pub use route::{Match, OnDisconnect, Route, Sticky, Strategy, Target};
pub use secret::SecretSource;
pub use server::{ClientTimeouts, HalfClose, InboundKey, Limits, Server, ServerTls};
pub use simulate::Simulate;

/// A Faregate configuration file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Listeners, limits and inbound keys. Changes here and in `observe` need a restart; all else reloads.
    pub server: Server,
    /// Logs, usage records, traces, attribution.
    pub observe: Observe,
    /// What routes and providers inherit.
    pub defaults: Defaults,
    /// Where calls can go, by a name of your choice.
    pub providers: BTreeMap<String, Provider>,
    /// Prices of your own, and how credit is bought.
    pub prices: Prices,
    /// Model aliases: the name that clients ask for -> the name that routes see.
    pub aliases: BTreeMap<String, String>,
    /// Tried in order; the first that matches a call serves it. Calls that no route matches go to the provider that
    /// the path or a `provider/model` name names, else to the first provider whose `models` match.
    pub routes: Vec<Route>,
}

/// One string or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "OneOrManyForm")]
pub struct OneOrMany(pub Vec<String>);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrManyForm {
    One(#[schemars(with = "Glob")] String),
    Many(#[schemars(with = "Vec<Glob>")] Vec<String>),
}

impl From<OneOrManyForm> for OneOrMany {
    fn from(form: OneOrManyForm) -> Self {
        match form {
            OneOrManyForm::One(one) => Self(vec![one]),
            OneOrManyForm::Many(many) => Self(many),
        }
    }
}
