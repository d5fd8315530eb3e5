//! The environment of this process, and the directory of keys beside it.
//!
//! FAREGATE_CREDENTIALS names a directory whose files are named as variables are and hold their values: a Secret of
//! Kubernetes, mounted. They count where the variable itself is not set, and are read again when they change.

use std::path::PathBuf;

use super::file::{Credentials, SecretSource};

/// The variable that names the directory.
const DIRECTORY: &str = "FAREGATE_CREDENTIALS";

/// The value of a variable, or of the file that stands for it.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| std::fs::read_to_string(key_file(name)?).ok())
}

/// The key's file, where the key is said to be in a variable and a file stands for that.
pub(super) fn from_file(credentials: Credentials) -> Credentials {
    match credentials {
        Credentials::Secret(SecretSource { env: Some(name), file: None, insecure_inline: None }) => {
            let file = if std::env::var_os(&name).is_none() { key_file(&name) } else { None };
            let env = if file.is_none() { Some(name) } else { None };
            Credentials::Secret(SecretSource { env, file, insecure_inline: None })
        }
        other => other,
    }
}

/// The file that stands for a variable. Names that are no variables' lead nowhere.
fn key_file(name: &str) -> Option<PathBuf> {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).filter(|directory| plain && !directory.is_empty())?);
    Some(directory.join(name)).filter(|path| path.is_file())
}
