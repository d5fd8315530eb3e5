//! Presets: everybody is there, every one resolves and can be routed to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use faregate::config::file::{Config, Provider};
use faregate::config::{self, Presets, Surroundings};
use faregate::dialect::{DialectId, Operation};
use faregate::routing::{CallFacts, HeaderLookup, RoutingTable};

/// The providers that users are promised.
const PROMISED: [&str; 23] = [
    "openai",
    "anthropic",
    "google-ai-studio",
    "vertex",
    "deepseek",
    "together",
    "openrouter",
    "nanogpt",
    "litellm",
    "zai",
    "azure",
    "bedrock",
    "mistral",
    "groq",
    "xai",
    "cohere",
    "fireworks",
    "cerebras",
    "perplexity",
    "moonshot",
    "ollama",
    "vllm",
    "llama.cpp",
];

struct NoHeaders;

impl HeaderLookup for NoHeaders {
    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

/// A provider of this preset with what the preset asks of its user.
fn provider(preset: &config::Preset) -> Provider {
    let capitals = ["LOCATION", "PROJECT", "RESOURCE", "REGION", "ACCOUNT_ID", "HOST"];
    let base_url = preset.base_url.clone().map(|url| capitals.iter().fold(url, |url, word| url.replace(word, "mine")));
    Provider { base_url, ..Provider::default() }
}

fn config_of(name: &str, preset: &config::Preset) -> Config {
    Config { providers: BTreeMap::from([(name.to_owned(), provider(preset))]), ..Config::default() }
}

#[test]
fn all_promised_providers_are_there() {
    let missing: Vec<&str> = PROMISED.into_iter().filter(|name| Presets::builtin().find(name).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_preset_resolves_and_is_reached_by_path_by_name_and_by_model() {
    let env = |name: &str| Some(format!("key-of-{name}"));
    for (name, preset) in Presets::builtin().iter() {
        let config = config_of(name, preset);
        let surroundings = Surroundings { env: &env, ..Surroundings::process() };
        let checked = config::check_typed(config.clone(), "preset", &surroundings);
        if preset.unsupported.is_some() {
            let said = checked.problems.to_string();
            assert!(said.contains("cannot work yet"), "{name}: {said}");
            continue;
        }
        assert!(checked.problems.is_empty(), "{name}: {}", checked.problems);
        let providers = config::resolve_with(&config, &env);
        let credentials = format!("{:?}", providers[0].provider.credentials);
        assert_eq!(credentials.contains("env: Some"), !preset.env.is_empty(), "{name}: {credentials}");
        let table = RoutingTable::compile_resolved(&config, &providers, None).unwrap();
        for prefix in [name].into_iter().chain(preset.aliases.iter().map(String::as_str)) {
            assert_eq!(table.provider_for_prefix(prefix).map(|p| &*p.name), Some(name), "/{prefix}/");
        }
        let provider = &table.providers()[0];
        let both = [(DialectId::OpenAi, Operation::Chat), (DialectId::Anthropic, Operation::Messages)];
        let spoken: Vec<_> = both.into_iter().filter(|(dialect, _)| provider.speaks(*dialect)).collect();
        assert!(!spoken.is_empty(), "{name} speaks nothing");
        assert!(provider.speaks(DialectId::Opaque), "{name} takes no other paths");
        for (dialect, operation) in spoken {
            let by_name = format!("{name}/some-model");
            let claimed = preset.models.first().map(|glob| glob.replace("[0-9]", "4").replace('*', "x"));
            for (model, vendor) in [
                (Some("some-model"), Some(provider)),
                (Some(&*by_name), None),
                (claimed.as_deref().or(Some("only-one")), None),
            ] {
                let model = model.map(Arc::from);
                let facts = CallFacts {
                    dialect,
                    operation,
                    model: model.as_ref(),
                    path: "/v1",
                    vendor,
                    app: "test",
                    headers: &NoHeaders,
                    conversation: &|| 0,
                    seed: 1,
                    now: Instant::now(),
                };
                let selection = table.select(&facts).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(&*selection.candidates[0].target.provider.name, name);
                let endpoint = provider.endpoint(dialect).unwrap();
                assert!(endpoint.tls || preset.keyless || preset.simulated, "{name}: a key over plain http");
            }
        }
    }
}

#[test]
fn no_two_presets_share_a_name() {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, preset) in Presets::builtin().iter() {
        for alias in [name].into_iter().chain(preset.aliases.iter().map(String::as_str)) {
            assert_eq!(owners.insert(alias, name), None, "{alias}");
        }
    }
}

#[test]
fn every_preset_says_where_its_facts_stand() {
    for (name, preset) in Presets::builtin().iter().filter(|(_, preset)| !preset.simulated) {
        assert!(preset.doc.as_deref().is_some_and(|doc| doc.starts_with("https://")), "{name}");
    }
}
