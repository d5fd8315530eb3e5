//! How a process stands with control: for metrics, the admin port and the log.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::telemetry::{Every, Telemetry};

/// How it stands, as far as this process knows.
#[derive(Debug, Clone, Default)]
pub struct Stood {
    /// Whether there is a connection.
    pub connected: bool,
    /// When control was last heard of, in seconds since 1970.
    pub contact: Option<u64>,
    /// Why there is no connection, or what was last refused.
    pub trouble: Option<String>,
}

/// Keeps account of it.
pub struct Standing {
    telemetry: Telemetry,
    now: Mutex<Stood>,
    said: Every,
}

impl Standing {
    /// Not connected yet.
    pub(super) fn new(telemetry: Telemetry) -> Self {
        telemetry.metrics().control_connected.with([]).set(0);
        Self { telemetry, now: Mutex::default(), said: Every::new(Duration::from_secs(300)) }
    }

    /// How it stands now.
    pub fn now(&self) -> Stood {
        self.now.lock().clone()
    }

    pub(super) fn heard(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.telemetry.metrics().control_contact.with([]).set(i64::try_from(now).unwrap_or(i64::MAX));
        self.now.lock().contact = Some(now);
    }

    pub(super) fn connected(&self, to: &str) {
        self.heard();
        self.telemetry.metrics().control_connected.with([]).set(1);
        let mut now = self.now.lock();
        (now.connected, now.trouble) = (true, None);
        tracing::info!(control = to, "connected to control");
    }

    pub(super) fn refused(&self, reason: &str) {
        self.now.lock().trouble = Some(reason.into());
    }

    /// The table in use is the one that control wants.
    pub(super) fn taken(&self) {
        self.now.lock().trouble = None;
    }

    /// The connection ended in good order.
    pub(super) fn ended(&self, why: &str) {
        self.telemetry.metrics().control_connected.with([]).set(0);
        self.now.lock().connected = false;
        tracing::info!(why, "control ends the connection; it is made anew");
    }

    /// There is none, or no longer. The log is told when the reason is a new one, and now and then.
    pub(super) fn lost(&self, control: &str, why: &str) {
        self.telemetry.metrics().control_connected.with([]).set(0);
        let mut now = self.now.lock();
        let news = now.connected || now.trouble.as_deref() != Some(why);
        (now.connected, now.trouble) = (false, Some(why.into()));
        drop(now);
        if news || self.said.ready().is_some() {
            tracing::warn!(control, "no connection to control, the table in use stays: {why}");
        }
    }
}
