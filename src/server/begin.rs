//! What a process starts with. Without a control plane, the file or the built-in defaults. With one, in this order:
//!
//! 1. the table that an earlier process of the same pod got and kept: at once;
//! 2. the table that control sends, if it does within a few seconds;
//! 3. the file, or the built-in defaults without the simulated provider.
//!
//! So calls go by control's table from the first on wherever control can be reached, and a pod starts where it cannot.

use std::sync::Arc;
use std::time::Duration;

use super::run::{RunError, RunOptions};
use super::source::{Distributed, Source};
use crate::config::{Config, Overrides, file};
use crate::distribution::{Control, Table, first_table};

/// Control gets so long to send the table that a process starts with.
const PATIENCE: Duration = Duration::from_secs(3);

/// A configuration to start with.
pub(super) struct Begun {
    pub(super) source: Source,
    pub(super) config: Config,
    /// Hash of the file's bytes, taken before it was read.
    pub(super) content: Option<u64>,
    /// For the log, once there is one.
    pub(super) notes: Vec<String>,
    own: Option<(Source, Overrides)>,
}

impl Begun {
    /// Chooses one.
    ///
    /// # Errors
    /// There is none that can be used.
    pub(super) fn choose(options: &RunOptions, control: Option<&Control>) -> Result<Self, RunError> {
        let own = Source::new(options.config.as_deref(), control.is_none());
        let content = own.content();
        let Some(control) = control else {
            let (config, notes) = own.read(options.overrides).map_err(RunError::Config)?;
            return Ok(Self { source: own, config, content, notes, own: None });
        };
        let read = own.read(options.overrides);
        let mut notes = Vec::new();
        let server = read.as_ref().map_or_else(|_| listeners(options.overrides), |(config, _)| config.server.clone());
        let server = Arc::new(server);
        let from: Arc<str> = control.address.authority.as_str().into();
        let (kept, found) = match control.keeper.table() {
            Ok(Some(table)) => (true, Some(table)),
            Ok(None) => (false, asked(control, &mut notes)),
            Err(why) => {
                notes.push(why);
                (false, asked(control, &mut notes))
            }
        };
        if let Some(table) = found {
            let source = Source::Distributed(Distributed { table, from, kept, server });
            match source.read(options.overrides) {
                Ok((config, more)) => {
                    notes.extend(more);
                    return Ok(Self { source, config, content: None, notes, own: Some((own, options.overrides)) });
                }
                Err(errors) => notes.extend(errors.into_iter().map(|error| format!("not used: {error}"))),
            }
        }
        let (config, more) = read.map_err(RunError::Config)?;
        notes.push(format!("control's table is not there yet: calls go by the {} until it comes", own.shown()));
        notes.extend(more);
        Ok(Self { source: own, config, content, notes, own: None })
    }

    /// What to start with instead, where control's table turns out to be of no use.
    ///
    /// # Errors
    /// There is nothing else, or it cannot be used either.
    pub(super) fn instead(self, why: RunError) -> Result<Self, RunError> {
        let Some((source, overrides)) = self.own else { return Err(why) };
        let content = source.content();
        let (config, more) = source.read(overrides).map_err(RunError::Config)?;
        let notes = [self.notes, vec![format!("not used: {why}")], more].concat();
        Ok(Self { source, config, content, notes, own: None })
    }
}

/// How to listen where even the process's own configuration cannot be read.
fn listeners(overrides: Overrides) -> file::Server {
    let mut server = file::Server::default();
    server.listen = overrides.listen.unwrap_or(server.listen);
    server.admin = overrides.admin.unwrap_or(server.admin);
    server
}

fn asked(control: &Control, notes: &mut Vec<String>) -> Option<Table> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let first = runtime.block_on(async { tokio::time::timeout(PATIENCE, first_table(control)).await });
    // A look-up of a name that hangs is not waited for.
    runtime.shutdown_background();
    match first {
        Ok(Ok(table)) => table,
        Ok(Err(why)) => {
            notes.push(format!("control {}: {why}", control.address.authority));
            None
        }
        Err(_) => {
            notes.push(format!("control {}: no table within {PATIENCE:?}", control.address.authority));
            None
        }
    }
}
