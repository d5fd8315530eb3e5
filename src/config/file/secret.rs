//! Where a secret stands. Never shown, read when it is needed.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::formats::{EnvName, FilePath};

/// Where a secret stands. Exactly one of the keys is given.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("writeOnly" = true))]
pub struct SecretSource {
    /// An environment variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<EnvName>")]
    pub env: Option<String>,
    /// A file, read again when it changes; surrounding white space is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<FilePath>")]
    pub file: Option<PathBuf>,
    /// The secret itself, in the open. For tests and throw-away keys only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("writeOnly" = true))]
    pub insecure_inline: Option<String>,
}

impl SecretSource {
    /// The secret, without surrounding white space; `None` when it cannot be read or is empty.
    pub fn read(&self, env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let text = match self {
            Self { file: Some(path), .. } => std::fs::read_to_string(path).ok(),
            Self { env: Some(name), .. } => env(name),
            Self { insecure_inline, .. } => insecure_inline.clone(),
        }?;
        let secret = text.trim();
        (!secret.is_empty()).then(|| secret.to_owned())
    }
}

/// Shows where the secret stands, never the secret.
impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretSource")
            .field("env", &self.env)
            .field("file", &self.file)
            .field("insecure_inline", &self.insecure_inline.as_ref().map(|_| "[secret]"))
            .finish()
    }
}
