//! Inbound keys: who may call, and as which app.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use subtle::ConstantTimeEq;

use crate::config::file::InboundKey;
use crate::http1::Headers;

/// Headers in which clients send a key; the SDKs of all dialects use one of them.
pub(super) const KEY_HEADERS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// A key's name and the key itself.
type Named = (Arc<str>, Box<[u8]>);

/// The keys that clients may call with.
pub struct InboundKeys {
    sources: Vec<InboundKey>,
    keys: ArcSwap<Vec<Named>>,
}

/// Shows names and places, never keys.
impl fmt::Debug for InboundKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundKeys").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl InboundKeys {
    /// Reads all keys.
    ///
    /// # Errors
    /// Names the keys that cannot be read.
    pub fn new(sources: Vec<InboundKey>, env: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let this = Self { sources, keys: ArcSwap::default() };
        let missing = this.read(&env);
        if missing.is_empty() { Ok(this) } else { Err(missing) }
    }

    /// Reads key files again; a file that cannot be read keeps its last key.
    pub fn refresh(&self) {
        if self.sources.iter().any(|source| source.key.file.is_some()) {
            self.read(&|name| std::env::var(name).ok());
        }
    }

    fn read(&self, env: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
        let before = self.keys.load();
        let mut missing = Vec::new();
        let mut keys = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            let name: Arc<str> = source.name.as_str().into();
            match source.key.read(env) {
                Some(key) => keys.push((name, key.into_bytes().into())),
                None => match before.iter().find(|(n, _)| *n == name) {
                    Some(kept) => keys.push(kept.clone()),
                    None => missing.push(format!("server.keys: the key `{name}` cannot be read or is empty")),
                },
            }
        }
        self.keys.store(Arc::new(keys));
        missing
    }

    /// Whether the API is open to everybody.
    pub fn is_open(&self) -> bool {
        self.sources.is_empty()
    }

    /// The name of the key that a request carries; every key is compared, each in constant time.
    pub(super) fn identify(&self, headers: &Headers) -> Option<Arc<str>> {
        let keys = self.keys.load();
        let mut found = None;
        for header in KEY_HEADERS {
            for value in headers.get_all(header) {
                let offered = strip_bearer(value);
                for (name, key) in keys.iter() {
                    if bool::from(key.ct_eq(offered)) {
                        found = Some(name.clone());
                    }
                }
            }
        }
        found
    }
}

fn strip_bearer(value: &[u8]) -> &[u8] {
    match value.split_at_checked(7) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer ") => key.trim_ascii(),
        _ => value.trim_ascii(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::SecretSource;

    fn keys() -> InboundKeys {
        let inline = |name: &str, key: &str| InboundKey {
            name: name.into(),
            key: SecretSource { insecure_inline: Some(key.into()), ..SecretSource::default() },
        };
        InboundKeys::new(vec![inline("a", "key-a"), inline("b", "key-b")], |_| None).unwrap()
    }

    fn identify(name: &str, value: &str) -> Option<String> {
        let headers = Headers::from_pairs([(name.as_bytes(), value.as_bytes())]);
        keys().identify(&headers).map(|n| n.to_string())
    }

    #[test]
    fn the_key_is_found_in_each_header() {
        assert_eq!(identify("Authorization", "Bearer key-b").as_deref(), Some("b"));
        assert_eq!(identify("x-api-key", "key-a").as_deref(), Some("a"));
        assert_eq!(identify("api-key", "key-a").as_deref(), Some("a"));
        assert_eq!(identify("authorization", "Bearer key-"), None);
        assert_eq!(identify("x-other", "key-a"), None);
    }

    #[test]
    fn debug_shows_no_key() {
        assert!(!format!("{:?}", keys()).contains("key-a"));
    }
}
