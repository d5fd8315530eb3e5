//! Provider keys: read from the environment or a file, read again when the file changes, never shown.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::stamp::FileStamp;
use crate::config::file::{AuthScheme, Credentials, CredentialsWord, SecretSource};
use crate::dialect::DialectId;

/// What a call to a provider carries as its key.
#[derive(Debug)]
pub enum KeyInjection {
    /// No key, the client's included.
    Nothing,
    /// The client's own key, as it came.
    Client,
    /// This header with this value.
    Header(Arc<HeaderSecret>),
    /// A key is configured, but it cannot be read at present.
    Missing,
}

/// A header whose value is a secret.
pub struct HeaderSecret {
    /// Name, lower case.
    pub name: Box<str>,
    /// Value, ready to be sent.
    pub value: Box<[u8]>,
}

/// Shows the name only.
impl fmt::Debug for HeaderSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: [secret]", self.name)
    }
}

/// The key of one provider.
#[derive(Debug)]
pub struct Credential {
    source: Source,
    /// By [`DialectId::ALL`]'s order.
    schemes: [AuthScheme; 3],
    current: ArcSwapOption<Secrets>,
}

/// One key in the form that each dialect wants it.
#[derive(Debug)]
struct Secrets([Arc<HeaderSecret>; 3]);

#[derive(Debug)]
enum Source {
    /// None configured: the client's own key goes through when the call was addressed to this provider.
    Unset,
    Nothing,
    Client,
    Fixed,
    File {
        path: PathBuf,
        seen: Mutex<Option<FileStamp>>,
    },
}

impl Credential {
    /// Reads the key for the first time. A key that cannot be read yet is no error: `check` warns of it, and a file
    /// may come later.
    pub fn new(
        configured: Option<&Credentials>,
        scheme: impl Fn(DialectId) -> AuthScheme,
        env: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let schemes = DialectId::ALL.map(scheme);
        let mut first = None;
        let source = match configured {
            None => Source::Unset,
            Some(Credentials::Word(CredentialsWord::None)) => Source::Nothing,
            Some(Credentials::Word(CredentialsWord::Client)) => Source::Client,
            Some(Credentials::Secret(SecretSource { file: Some(path), .. })) => {
                Source::File { path: path.clone(), seen: Mutex::new(None) }
            }
            Some(Credentials::Secret(secret)) => {
                first = secret.insecure_inline.clone().or_else(|| secret.env.as_deref().and_then(env));
                Source::Fixed
            }
        };
        let this = Self { source, schemes, current: ArcSwapOption::empty() };
        if let Some(key) = first {
            this.store(&key);
        }
        this.refresh();
        this
    }

    /// What to send. `addressed` says that the client named this provider by its path.
    pub fn inject(&self, dialect: DialectId, addressed: bool) -> KeyInjection {
        match self.source {
            Source::Nothing => KeyInjection::Nothing,
            Source::Client => KeyInjection::Client,
            Source::Unset if addressed => KeyInjection::Client,
            Source::Unset => KeyInjection::Nothing,
            Source::Fixed | Source::File { .. } => {
                let at = DialectId::ALL.iter().position(|d| *d == dialect).unwrap_or(0);
                let current = self.current.load();
                current.as_ref().map_or(KeyInjection::Missing, |now| KeyInjection::Header(now.0[at].clone()))
            }
        }
    }

    /// Reads a key file again when it changed; returns whether the key did. A file that vanished or cannot be read
    /// leaves the last key in use.
    pub fn refresh(&self) -> bool {
        let Source::File { path, seen } = &self.source else { return false };
        let mut seen = seen.lock();
        // Taken before the file is read: what is written in between bears another one.
        let now = FileStamp::settled(path);
        if now.is_some() && *seen == now {
            return false;
        }
        match std::fs::read_to_string(path) {
            Ok(text) if !text.trim().is_empty() => {
                *seen = now;
                self.store(text.trim())
            }
            _ => false,
        }
    }

    /// Returns whether the value changed. A key with control characters would break the request head: it is refused.
    fn store(&self, key: &str) -> bool {
        let key = key.trim();
        if key.is_empty() || key.bytes().any(|b| b.is_ascii_control()) {
            return false;
        }
        let secrets = Secrets(self.schemes.each_ref().map(|scheme| Arc::new(HeaderSecret::new(scheme, key))));
        if self.current.load().as_ref().is_some_and(|now| now.0[0].value == secrets.0[0].value) {
            return false;
        }
        self.current.store(Some(Arc::new(secrets)));
        true
    }
}

impl HeaderSecret {
    fn new(scheme: &AuthScheme, key: &str) -> Self {
        let (name, value) = match scheme {
            AuthScheme::Bearer => ("authorization".into(), format!("Bearer {key}").into_bytes()),
            AuthScheme::Header(name) => (name.to_ascii_lowercase().into_boxed_str(), key.as_bytes().to_vec()),
        };
        Self { name, value: value.into_boxed_slice() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(_: DialectId) -> AuthScheme {
        AuthScheme::Bearer
    }

    fn value(credential: &Credential) -> String {
        match credential.inject(DialectId::OpenAi, false) {
            KeyInjection::Header(secret) => String::from_utf8(secret.value.to_vec()).unwrap(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_rotated_file_is_read_again_and_a_vanished_one_keeps_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let from_file = Credentials::Secret(SecretSource { file: Some(path.clone()), ..SecretSource::default() });
        let credential = Credential::new(Some(&from_file), bearer, |_| None);
        assert_eq!(value(&credential), "Missing");
        std::fs::write(&path, "first\n").unwrap();
        assert!(credential.refresh());
        assert_eq!(value(&credential), "Bearer first");
        std::fs::write(&path, "second-key\n").unwrap();
        assert!(credential.refresh());
        std::fs::remove_file(&path).unwrap();
        assert!(!credential.refresh());
        assert_eq!(value(&credential), "Bearer second-key");
        assert!(!format!("{credential:?}").contains("second-key"));
    }

    #[test]
    fn the_clients_key_goes_only_where_it_was_addressed() {
        let unset = Credential::new(None, bearer, |_| None);
        assert!(matches!(unset.inject(DialectId::OpenAi, true), KeyInjection::Client));
        assert!(matches!(unset.inject(DialectId::OpenAi, false), KeyInjection::Nothing));
    }

    #[test]
    fn a_key_that_would_break_the_head_is_refused() {
        let inline =
            Credentials::Secret(SecretSource { insecure_inline: Some("a\r\nx: y".into()), ..SecretSource::default() });
        assert_eq!(value(&Credential::new(Some(&inline), bearer, |_| None)), "Missing");
    }
}
