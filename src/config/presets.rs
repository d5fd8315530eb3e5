//! Providers that Faregate knows: facts as data, in `config/presets.yaml`. A new provider is one entry there, no code.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::de::De;
use super::file::{AuthScheme, DialectName, StreamUsage};
use super::tree;

const TEXT: &str = include_str!("../../config/presets.yaml");

/// Everything that Faregate knows of one provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preset {
    /// What a user's `base_url` speaks. Default: the first of `endpoints`.
    pub dialect: Option<DialectName>,
    /// Base URLs by dialect. A user's `base_url` replaces the main dialect's, and the others' at the same address.
    pub endpoints: BTreeMap<DialectName, String>,
    /// Form of the `base_url` that the user must give, where the provider has no address of its own.
    pub base_url: Option<String>,
    /// Dialects that such a `base_url` serves besides the main one.
    pub also: Vec<DialectName>,
    /// Environment variables that may hold the key, as the vendor's own SDKs read them; the first that is set wins.
    pub env: Vec<String>,
    /// Whether calls work without a key.
    pub keyless: bool,
    /// How the key is sent, by dialect. Default `bearer`.
    pub auth: BTreeMap<DialectName, AuthScheme>,
    /// Headers that are sent where the client does not send them itself.
    pub default_headers: BTreeMap<String, String>,
    /// Whether streams report usage. Default `ask`.
    pub stream_usage: Option<StreamUsage>,
    /// How a router is asked to tell of its own part in a call.
    pub router_metadata: Option<RouterMetadata>,
    /// Models that this provider serves, for vendors that own their models' names.
    pub models: Vec<String>,
    /// Further names: of the preset, and of the path prefix (`/{alias}/...`).
    pub aliases: Vec<String>,
    /// Why a provider of this preset cannot work yet.
    pub unsupported: Option<String>,
    /// Answers come from this process itself.
    pub simulated: bool,
    /// What a user should know.
    pub note: Option<String>,
    /// Where the facts stand.
    pub doc: Option<String>,
}

/// A header by which a router is asked to tell of its own part in a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterMetadata {
    /// Its name, in lower case.
    pub header: String,
    /// Its value.
    pub value: String,
    /// Other names of it: a client that sends one of these has decided for itself.
    #[serde(default)]
    pub also: Vec<String>,
}

/// All presets by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Presets(BTreeMap<String, Preset>);

impl Presets {
    /// The presets that are built in.
    pub fn builtin() -> &'static Self {
        static PRESETS: LazyLock<Presets> = LazyLock::new(|| Presets::read(TEXT).unwrap_or_default());
        &PRESETS
    }

    fn read(text: &str) -> Result<Self, String> {
        let parsed = tree::parse(text);
        if let Some(fault) = parsed.faults.first() {
            return Err(format!("line {}: {}", fault.at.line, fault.message));
        }
        let root = parsed.root.ok_or("empty")?;
        let presets = serde::Deserialize::deserialize(De(&root));
        presets.map(Self).map_err(|e| format!("line {}: {e}", e.at.map_or(0, |m| m.line)))
    }

    /// The preset of this name or alias, with its proper name.
    pub fn find(&self, name: &str) -> Option<(&str, &Preset)> {
        let exact = self.0.get_key_value(name).map(|(name, preset)| (name.as_str(), preset));
        exact.or_else(|| self.iter().find(|(_, preset)| preset.aliases.iter().any(|a| a == name)))
    }

    /// Names and presets, in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Preset)> {
        self.0.iter().map(|(name, preset)| (name.as_str(), preset))
    }

    /// The name of the preset that the built-in simulated provider has.
    pub fn simulated(&self) -> Option<&str> {
        self.iter().find(|(_, p)| p.simulated).map(|(name, _)| name)
    }
}

impl Preset {
    /// The dialect that a user's `base_url` speaks unless they say otherwise.
    pub fn main_dialect(&self) -> DialectName {
        self.dialect.or_else(|| self.endpoints.keys().next().copied()).unwrap_or(DialectName::Openai)
    }

    /// The environment variable that holds the key, if one does.
    pub fn key_variable(&self, env: &dyn Fn(&str) -> Option<String>) -> Option<&str> {
        self.env.iter().map(String::as_str).find(|name| env(name).is_some_and(|key| !key.trim().is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_presets_can_be_read() {
        Presets::read(TEXT).expect("config/presets.yaml");
        assert!(Presets::builtin().simulated().is_some());
    }
}
