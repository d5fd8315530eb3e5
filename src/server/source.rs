//! Where the configuration comes from: a file, the keys in the environment, or a control plane.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{self, Checked, Config, Overrides, Surroundings, file};
use crate::distribution::Table;

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// This file.
    File(PathBuf),
    /// What the environment's keys allow.
    Embedded {
        /// Whether the simulated provider answers where there is no key. Not while a control plane is expected to say
        /// where calls go: made-up text would look like success.
        simulated: bool,
    },
    /// A table that a control plane has sent.
    Distributed(Distributed),
}

/// A table that a control plane has sent.
#[derive(Debug, Clone)]
pub struct Distributed {
    /// The table.
    pub table: Table,
    /// The control plane's address.
    pub from: Arc<str>,
    /// Whether an earlier process got it, and kept it.
    pub kept: bool,
    /// How this process listens is its own business: this stands in place of the table's `server`.
    pub server: Arc<file::Server>,
}

impl Source {
    /// The source that `--config` names: a file, or a directory that holds `faregate.yaml`.
    pub fn new(path: Option<&Path>, simulated: bool) -> Self {
        match path {
            Some(path) if path.is_dir() => Self::File(path.join("faregate.yaml")),
            Some(path) => Self::File(path.to_owned()),
            None => Self::Embedded { simulated },
        }
    }

    /// How people see it.
    pub fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Embedded { .. } => "built-in defaults".into(),
            Self::Distributed(Distributed { from, kept: false, .. }) => format!("control {from}"),
            Self::Distributed(Distributed { from, .. }) => format!("last known good of control {from}"),
        }
    }

    /// How metrics see it.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Embedded { .. } => "defaults",
            Self::Distributed(Distributed { kept: false, .. }) => "control",
            Self::Distributed(_) => "last_known_good",
        }
    }

    /// The name that the table has from where it comes, in place of the hash of what this process makes of it.
    pub(super) fn version(&self) -> Option<&Arc<str>> {
        match self {
            Self::Distributed(distributed) => Some(&distributed.table.hash),
            Self::File(_) | Self::Embedded { .. } => None,
        }
    }

    /// The file of the configuration.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Embedded { .. } | Self::Distributed(_) => None,
        }
    }

    /// Hash of the file's bytes.
    pub(super) fn content(&self) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        hasher.write(&std::fs::read(self.path()?).ok()?);
        Some(hasher.finish())
    }

    /// All files that matter while `config` is in use on listeners of `server`.
    pub(super) fn files(&self, config: &Config, server: &file::Server) -> Vec<PathBuf> {
        self.path().map(Path::to_owned).into_iter().chain(named(config, server)).collect()
    }

    /// Reads and checks the configuration, with what the command line says over it; notes are for the log.
    ///
    /// # Errors
    /// Everything that is wrong, a line each.
    pub fn read(&self, overrides: Overrides) -> Result<(Config, Vec<String>), Vec<String>> {
        let surroundings = Surroundings { overrides, ..Surroundings::process() };
        let (checked, mut notes) = match self {
            Self::File(path) => (config::check_file(path, &surroundings), Vec::new()),
            Self::Embedded { simulated } => {
                let (config, notes) = config::embedded_default(&env);
                let checked = config::check_typed(config, &self.shown(), &surroundings);
                if *simulated { (checked, notes) } else { without_simulated(checked, notes) }
            }
            Self::Distributed(Distributed { table, from, .. }) => {
                (config::check(table.text.as_bytes(), from, &Surroundings::process()), Vec::new())
            }
        };
        notes.extend(checked.problems.warnings().map(ToString::to_string));
        let mut config =
            checked.into_result().map_err(|problems| problems.errors().map(ToString::to_string).collect::<Vec<_>>())?;
        if let Self::Distributed(distributed) = self {
            if config.server != file::Server::default() {
                notes.push(
                    "server: how this process listens is its own business; what the table says is not used".into(),
                );
            }
            config.server = file::Server::clone(&distributed.server);
        }
        Ok((config, notes))
    }
}

pub(super) use config::environment as env;

/// Takes the simulated provider out of the built-in defaults; what is left may be no provider at all.
fn without_simulated(mut checked: Checked, notes: Vec<String>) -> (Checked, Vec<String>) {
    let simulated = config::Presets::builtin().simulated();
    let removed = checked.config.as_mut().zip(simulated).and_then(|(config, name)| config.providers.remove(name));
    let nobody = "no provider's key is in the environment: until control sends a table, no call finds a way".to_owned();
    (checked, if removed.is_some() { vec![nobody] } else { notes })
}

/// Files that are read again when they change, besides the configuration itself: keys, certificates and prices.
fn named(config: &Config, server: &file::Server) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = config.prices.overlays.clone();
    for provider in config::resolve(config).iter().map(|resolved| &resolved.provider) {
        if let Some(file::Credentials::Secret(secret)) = &provider.credentials {
            files.extend(secret.file.clone());
        }
        let tls = provider.tls.iter().flat_map(|tls| [&tls.ca, &tls.certificate, &tls.key]);
        files.extend(tls.flatten().cloned());
    }
    files.extend(server.keys.iter().filter_map(|key| key.key.file.clone()));
    files.extend(server.tls.iter().flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]));
    files.sort();
    files.dedup();
    files
}
