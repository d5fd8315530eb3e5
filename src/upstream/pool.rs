//! Idle HTTP/1.1 connections of one origin: last in, first out, so that few stay warm and the rest expire.
//!
//! The lock is held for a push or a pop, never across an await.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long an idle connection is kept. Providers close theirs after a minute or more.
const MAX_IDLE: Duration = Duration::from_secs(55);

/// Idle connections.
#[derive(Debug)]
pub(super) struct Pool<C> {
    idle: Mutex<Vec<(C, Instant)>>,
    max: usize,
}

impl<C> Pool<C> {
    /// A pool that keeps at most `max` idle connections.
    pub(super) fn new(max: usize) -> Self {
        Self { idle: Mutex::new(Vec::new()), max }
    }

    /// The connection that was used last.
    pub(super) fn take(&self) -> Option<C> {
        let (connection, since) = self.idle.lock().pop()?;
        if since.elapsed() < MAX_IDLE {
            return Some(connection);
        }
        // The newest is too old, so all are.
        let _expired = std::mem::take(&mut *self.idle.lock());
        None
    }

    /// Keeps a connection for the next call; drops it when the pool is full.
    pub(super) fn put(&self, connection: C) {
        let mut idle = self.idle.lock();
        if idle.len() < self.max {
            idle.push((connection, Instant::now()));
        }
    }

    /// Drops what has been idle for too long.
    pub(super) fn expire(&self) {
        let mut idle = self.idle.lock();
        let fresh = idle.partition_point(|(_, since)| since.elapsed() >= MAX_IDLE);
        let _expired: Vec<_> = idle.drain(..fresh).collect();
        if idle.is_empty() {
            idle.shrink_to(4);
        }
    }

    /// Connections idle now.
    pub(super) fn len(&self) -> usize {
        self.idle.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_in_first_out_and_bounded() {
        let pool = Pool::new(2);
        for n in 1..=3 {
            pool.put(n);
        }
        assert_eq!((pool.take(), pool.take(), pool.take()), (Some(2), Some(1), None));
    }
}
