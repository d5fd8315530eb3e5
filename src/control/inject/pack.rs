//! The variables that clients' SDKs read, as data: `config/sdk-env.yaml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::control::manifest;

const TEXT: &str = include_str!("../../../config/sdk-env.yaml");

/// What a placeholder key says to whoever reads it in a refusal. Pods that were injected are recognised by it: it stays.
pub(super) const PLACEHOLDER: &str = "placeholder-faregate-adds-the-key";

/// What one family of clients reads.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sdk {
    /// Variable -> path on Faregate's address.
    pub(super) base_urls: BTreeMap<String, String>,
    /// Variables that some client looks at before those.
    pub(super) before: Vec<String>,
    /// Variables that hold the client's key, the one to fill in first.
    pub(super) keys: Vec<String>,
}

/// All families by name.
pub(super) fn all() -> &'static BTreeMap<String, Sdk> {
    static ALL: LazyLock<BTreeMap<String, Sdk>> = LazyLock::new(|| read().unwrap_or_default());
    &ALL
}

fn read() -> Result<BTreeMap<String, Sdk>, String> {
    let value = manifest::value(TEXT).map_err(|unreadable| unreadable.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Presets;

    #[test]
    fn every_path_leads_to_the_preset_of_its_name() {
        let sdks = read().expect("config/sdk-env.yaml");
        assert!(sdks.len() >= 8);
        for (name, sdk) in &sdks {
            let (known, preset) = Presets::builtin().find(name).expect("a preset");
            assert_eq!(known, name);
            assert!(!sdk.base_urls.is_empty() && !sdk.keys.is_empty());
            for path in sdk.base_urls.values() {
                assert_eq!(path.split('/').nth(1), Some(name.as_str()), "{path}");
                assert!(path.starts_with('/') && !path.ends_with('/'), "{path}");
            }
            // The keys of the Secret are named as the presets look for them.
            assert!(sdk.keys.iter().any(|key| preset.env.contains(key)), "{name}");
        }
    }
}
