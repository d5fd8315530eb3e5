//! The configuration that runs where none is given: whatever the environment has keys for.

use super::file::{Config, Provider};
use super::presets::Presets;

/// Every preset whose key is in the environment, as a provider of the preset's name; without any, the built-in
/// simulated provider. Also returns what the log should say about it.
pub fn embedded_default(env: &dyn Fn(&str) -> Option<String>) -> (Config, Vec<String>) {
    let mut config = Config::default();
    let mut notes = Vec::new();
    for (name, preset) in Presets::builtin().iter() {
        // A server of one's own is not there just because its key is.
        let Some(variable) = preset.key_variable(env).filter(|_| !preset.keyless) else { continue };
        if let Some(reason) = &preset.unsupported {
            notes.push(format!("{variable} is set, but provider `{name}` cannot be used yet: {reason}"));
        } else if let Some(form) = &preset.base_url {
            notes.push(format!(
                "{variable} is set, but provider `{name}` needs a configuration file with its base_url ({form})"
            ));
        } else {
            notes.push(format!("provider `{name}` is on: {variable} is set"));
            config.providers.insert(name.to_owned(), Provider::default());
        }
    }
    if let (true, Some(name)) = (config.providers.is_empty(), Presets::builtin().simulated()) {
        notes.push(format!(
            "no provider's key is in the environment: provider `{name}` answers every model with made-up text; set a \
             key (`faregate presets` lists the variables) or write a configuration file to reach a real model"
        ));
        let provider = Provider { models: Some(vec!["*".into()]), ..Default::default() };
        config.providers.insert(name.to_owned(), provider);
    }
    (config, notes)
}
