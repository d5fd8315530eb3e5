//! A process that follows control: connects, takes tables, connects again, for as long as it lives.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::session::{End, Session};
use super::{Address, Authorities, Keeper, Standing, ToControl, ToSidecar, jitter, unpack};
use crate::telemetry::Telemetry;

/// A connection that lasted so long was a good one: the next failure is the first.
const GOOD: Duration = Duration::from_secs(30);
/// After a connection that ended in good order, all of a control process's sidecars come back within this.
const RETURN: Duration = Duration::from_secs(2);

/// What [`Control::again`] is unless changed.
const AGAIN: Duration = Duration::from_secs(60);

/// A table, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub hash: Arc<str>,
    /// A configuration file.
    pub text: Arc<str>,
}

/// Who puts tables into use.
pub trait Tables: Send + Sync {
    /// The name of the table in use, where it came from control.
    fn held(&self) -> Option<Arc<str>>;

    /// Puts a table into use, or leaves the one that is and says why. `again`: it was refused before.
    fn take(&self, table: Table, again: bool) -> impl Future<Output = Result<(), String>> + Send;

    /// The table in use is the right one, says control; it may have sent another one meanwhile that was refused.
    fn kept(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Control, as a process knows it.
pub struct Control {
    /// Where it is.
    pub address: Address,
    /// Who vouches for it.
    pub authorities: Authorities,
    /// The file with this pod's token, read at each connection: it is replaced before it runs out.
    pub token: PathBuf,
    /// What outlives this process.
    pub keeper: Keeper,
    /// A table that was refused is tried again after this time: a key may have come meanwhile. A minute unless changed.
    pub again: Duration,
    /// How this process stands with it.
    pub standing: Standing,
    /// Authorities that control has named.
    trust: Mutex<Option<String>>,
}

impl Control {
    /// Control at this address.
    pub fn new(
        address: Address,
        authorities: Authorities,
        token: PathBuf,
        keeper: Keeper,
        telemetry: Telemetry,
    ) -> Self {
        let trust = Mutex::new(keeper.trust());
        Self { address, authorities, token, keeper, again: AGAIN, standing: Standing::new(telemetry), trust }
    }

    /// Keeps a table that is in use for the next process.
    pub async fn keep(&self, table: Table) {
        let keeper = self.keeper.clone();
        let kept = tokio::task::spawn_blocking(move || keeper.keep_table(&table)).await;
        if let Err(error) = kept.map_err(io::Error::other).flatten() {
            tracing::warn!(%error, "the table cannot be kept for the next start");
        }
    }

    pub(super) fn trust(&self) -> Option<String> {
        self.trust.lock().clone()
    }

    /// Says whether they are others than before.
    pub(super) fn set_trust(&self, pem: &str) -> bool {
        self.trust.lock().replace(pem.into()).as_deref() != Some(pem)
    }
}

/// Takes tables from control, for ever. What is missing is waited for; the table in use serves meanwhile.
pub async fn follow(control: &Control, tables: &impl Tables) {
    let shown = &*control.address.authority;
    let mut failures = 0;
    loop {
        let end = match Session::open(control).await {
            Ok(session) => {
                control.standing.connected(shown);
                let began = Instant::now();
                let end = session.serve(control, tables).await;
                if began.elapsed() > GOOD {
                    failures = 0;
                }
                end
            }
            Err(why) => End::Broken(why),
        };
        match end {
            End::Bye(reason) => {
                control.standing.ended(&reason);
                tokio::time::sleep(jitter::up_to(RETURN)).await;
            }
            End::Broken(why) => {
                control.standing.lost(shown, &why);
                tokio::time::sleep(jitter::pause(failures)).await;
                failures = failures.saturating_add(1);
            }
        }
    }
}

/// Asks control once for the table to start with; `None`: it has none for this process.
///
/// # Errors
/// Why there is no answer.
pub async fn first_table(control: &Control) -> Result<Option<Table>, String> {
    let mut session = Session::open(control).await?;
    let hello = ToControl::Hello { version: env!("CARGO_PKG_VERSION").into(), table: None };
    session.say(&hello).await.map_err(|error| error.to_string())?;
    loop {
        match session.hear().await.map_err(|error| error.to_string())? {
            ToSidecar::Table { hash, packed } => {
                let text = unpack(&packed).map_err(|error| error.to_string())?;
                return Ok(Some(Table { hash: hash.into(), text: text.into() }));
            }
            ToSidecar::None | ToSidecar::Keep { .. } => return Ok(None),
            ToSidecar::Bye { reason } => return Err(reason),
            ToSidecar::Trust { .. } | ToSidecar::Ping { .. } | ToSidecar::Unknown => {}
        }
    }
}
