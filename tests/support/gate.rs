//! Waiting for events instead of for time.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use super::PATIENCE;

/// Held back until it is opened. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets through who waits, and who comes later.
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open.
    #[track_caller]
    pub fn wait(&self) {
        let shut = self.0.0.lock().unwrap();
        let (opened, _) = self.0.1.wait_timeout_while(shut, PATIENCE, |open| !*open).unwrap();
        assert!(*opened, "the gate was never opened");
    }
}

/// Waits until `holds` does; `what` is said when it never does.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
}
