//! Presets laid under what the user wrote: providers with nothing left to look up.

use std::collections::{BTreeMap, BTreeSet};

use super::environment;
use super::file::{AuthScheme, Config, Credentials, DialectName, Provider, SecretSource, StreamUsage};
use super::presets::{Preset, Presets, RouterMetadata};

/// A provider with its preset's facts filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedProvider {
    /// Its name in the configuration.
    pub name: String,
    /// The preset that it builds on.
    pub preset: Option<String>,
    /// Path prefixes that address it: its name, and the preset's name and aliases where no other provider has them.
    /// No prefix stands at two providers.
    pub prefixes: Vec<String>,
    /// Base URLs by dialect, without a trailing slash. `opaque` is what vendor-prefixed paths of no known API are
    /// joined to: where nobody gave it, the main base URL without its version.
    pub endpoints: BTreeMap<DialectName, String>,
    /// How the key is sent, for every dialect of `endpoints`: some providers want it in different headers there.
    pub auth: BTreeMap<DialectName, AuthScheme>,
    /// Headers that are sent where the client does not send them itself.
    pub default_headers: BTreeMap<String, String>,
    /// How it is asked to tell of its own part in a call, unless that is turned off.
    pub router_metadata: Option<RouterMetadata>,
    /// The user's keys over the preset's. `auth` (the main dialect's), `stream_usage` and `models` are always there; `simulate` exactly
    /// for the built-in simulated provider; `credentials` is missing only where no key is known (then the client's
    /// own goes through when the call was addressed to this provider by its path).
    pub provider: Provider,
}

/// Resolves all providers, in order of their names, with this process's environment. A key whose variable a file stands
/// for is read from that file, so that it can be rotated.
pub fn resolve(config: &Config) -> Vec<ResolvedProvider> {
    let mut resolved = resolve_with(config, &environment::environment);
    for provider in &mut resolved {
        provider.provider.credentials = provider.provider.credentials.take().map(environment::from_file);
    }
    resolved
}

/// [`resolve`] with an environment of the caller's.
pub fn resolve_with(config: &Config, env: &dyn Fn(&str) -> Option<String>) -> Vec<ResolvedProvider> {
    let mut taken: BTreeSet<&str> = config.providers.keys().map(String::as_str).collect();
    let mut resolved = Vec::with_capacity(config.providers.len());
    for (name, provider) in &config.providers {
        let found = preset_of(name, provider);
        let mut prefixes = vec![name.clone()];
        if let Some((preset_name, preset)) = found {
            for prefix in std::iter::once(preset_name).chain(preset.aliases.iter().map(String::as_str)) {
                if taken.insert(prefix) {
                    prefixes.push(prefix.to_owned());
                }
            }
        }
        let preset = found.map(|(_, preset)| preset);
        let endpoints = endpoints(provider, preset);
        let auth = endpoints.keys().map(|dialect| (*dialect, auth(provider, preset, *dialect))).collect();
        resolved.push(ResolvedProvider {
            name: name.clone(),
            preset: found.map(|(name, _)| name.to_owned()),
            prefixes,
            endpoints,
            auth,
            default_headers: preset.map(|p| p.default_headers.clone()).unwrap_or_default(),
            router_metadata: preset
                .and_then(|p| p.router_metadata.clone())
                .filter(|_| provider.router_metadata != Some(false)),
            provider: merge(provider, preset, env),
        });
    }
    resolved
}

/// The preset that a provider builds on: the one it names, else the one of its own name.
pub(super) fn preset_of(name: &str, provider: &Provider) -> Option<(&'static str, &'static Preset)> {
    Presets::builtin().find(provider.preset.as_deref().unwrap_or(name))
}

/// What a provider's `base_url` speaks.
fn main_dialect(provider: &Provider, preset: Option<&Preset>) -> DialectName {
    provider.dialect.unwrap_or_else(|| preset.map_or(DialectName::Openai, Preset::main_dialect))
}

/// The user's scheme, else the preset's for this dialect. Paths of no known API follow the main dialect.
fn auth(provider: &Provider, preset: Option<&Preset>, dialect: DialectName) -> AuthScheme {
    let of = |dialect| preset.and_then(|p| p.auth.get(&dialect)).cloned();
    let main = || (dialect == DialectName::Opaque).then(|| of(main_dialect(provider, preset))).flatten();
    provider.auth.clone().or_else(|| of(dialect)).or_else(main).unwrap_or(AuthScheme::Bearer)
}

fn merge(provider: &Provider, preset: Option<&Preset>, env: &dyn Fn(&str) -> Option<String>) -> Provider {
    let mut merged = provider.clone();
    merged.dialect = Some(main_dialect(provider, preset));
    merged.auth = Some(auth(provider, preset, main_dialect(provider, preset)));
    let preset = preset.cloned().unwrap_or_default();
    merged.stream_usage = merged.stream_usage.or(preset.stream_usage).or(Some(StreamUsage::Ask));
    merged.credentials = merged.credentials.or_else(|| {
        let env = Some(preset.key_variable(env)?.to_owned());
        Some(Credentials::Secret(SecretSource { env, ..Default::default() }))
    });
    merged.simulate = preset.simulated.then(|| merged.simulate.unwrap_or_default());
    merged.models = Some(merged.models.unwrap_or(preset.models));
    merged
}

/// The user's `endpoints` over their `base_url` over the preset's endpoints.
///
/// A `base_url` means another host: none of the preset's addresses stay, but the dialects that the preset serves at
/// the main address are served at the new one.
pub(super) fn endpoints(provider: &Provider, preset: Option<&Preset>) -> BTreeMap<DialectName, String> {
    let mut endpoints = preset.map(|p| p.endpoints.clone()).unwrap_or_default();
    let main = main_dialect(provider, preset);
    if let Some(base) = &provider.base_url {
        let together = endpoints.get(&main).cloned();
        endpoints.retain(|_, url| together.as_ref() == Some(url));
        endpoints.values_mut().for_each(|url| url.clone_from(base));
        let also = preset.map(|p| p.also.as_slice()).unwrap_or_default();
        endpoints.extend(also.iter().chain([&main]).map(|dialect| (*dialect, base.clone())));
    }
    endpoints.extend(provider.endpoints.iter().map(|(dialect, url)| (*dialect, url.clone())));
    for url in endpoints.values_mut() {
        url.truncate(url.trim_end_matches('/').len());
    }
    if let Some(url) = endpoints.get(&main).or_else(|| endpoints.values().next()).cloned() {
        endpoints.entry(DialectName::Opaque).or_insert_with(|| without_version(&url).to_owned());
    }
    endpoints
}

/// `https://host/api/v1` -> `https://host/api`.
fn without_version(url: &str) -> &str {
    match url.rsplit_once('/') {
        Some((rest, last)) if last.starts_with('v') && last[1..].starts_with(|c: char| c.is_ascii_digit()) => rest,
        _ => url,
    }
}
