//! Idle HTTP/1.1 connections of one origin: last in, first out, so that few stay warm and the rest expire.
//!
//! Each thread has a shelf of its own. A connection belongs to the poller of the thread that made it; used by another
//! thread, everything that arrives on it has to wake that other thread first. So a thread takes from its own shelf while
//! there is something on it, and what it took from another's goes back there.
//!
//! A lock is held for a push or a pop, never across an await.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long an idle connection is kept. Providers close theirs after a minute or more.
const MAX_IDLE: Duration = Duration::from_secs(55);

/// More threads than this share shelves.
const SHELVES: usize = 16;

/// The next thread that comes gets this number.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's shelf in every pool.
    static SHELF: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHELVES;
}

/// Idle connections.
#[derive(Debug)]
pub(super) struct Pool<C> {
    shelves: [Mutex<Vec<Kept<C>>>; SHELVES],
    kept: AtomicUsize,
    max: usize,
}

#[derive(Debug)]
struct Kept<C> {
    connection: C,
    since: Instant,
}

/// Where a connection is kept: it goes back to the shelf of the thread that made it, whoever used it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shelf(usize);

impl Shelf {
    /// The shelf of the thread that runs this.
    pub(super) fn of_thread() -> Self {
        Self(SHELF.with(|shelf| *shelf))
    }
}

impl<C> Pool<C> {
    /// A pool that keeps at most `max` idle connections.
    pub(super) fn new(max: usize) -> Self {
        Self { shelves: Default::default(), kept: AtomicUsize::new(0), max }
    }

    /// The connection that this thread used last, or else any: waking another thread costs less than a new connection.
    pub(super) fn take(&self, now: Instant) -> Option<C> {
        if self.len() == 0 {
            return None;
        }
        let own = Shelf::of_thread();
        self.take_from(own, now).or_else(|| {
            let mut others = (0..SHELVES).map(Shelf).filter(|shelf| *shelf != own);
            others.find_map(|shelf| self.take_from(shelf, now))
        })
    }

    fn take_from(&self, shelf: Shelf, now: Instant) -> Option<C> {
        let mut idle = self.shelves[shelf.0].lock();
        let Kept { connection, since } = idle.pop()?;
        if now.saturating_duration_since(since) < MAX_IDLE {
            self.kept.fetch_sub(1, Ordering::Relaxed);
            return Some(connection);
        }
        // The newest is too old, so all are.
        let expired = std::mem::take(&mut *idle);
        drop(idle);
        self.kept.fetch_sub(expired.len() + 1, Ordering::Relaxed);
        None
    }

    /// Keeps a connection for the next call; drops it when the pool is full.
    pub(super) fn put(&self, connection: C, shelf: Shelf, now: Instant) {
        if self.kept.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.kept.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.shelves[shelf.0].lock().push(Kept { connection, since: now });
    }

    /// Drops what has been idle for too long.
    pub(super) fn expire(&self) {
        for shelf in &self.shelves {
            let mut idle = shelf.lock();
            let fresh = idle.partition_point(|kept| kept.since.elapsed() >= MAX_IDLE);
            let expired: Vec<_> = idle.drain(..fresh).collect();
            if idle.is_empty() {
                idle.shrink_to(4);
            }
            drop(idle);
            self.kept.fetch_sub(expired.len(), Ordering::Relaxed);
        }
    }

    /// Connections idle now.
    pub(super) fn len(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_in_first_out_and_bounded() {
        let (pool, now) = (Pool::new(2), Instant::now());
        for n in 1..=3 {
            pool.put(n, Shelf::of_thread(), now);
        }
        assert_eq!(pool.len(), 2);
        assert_eq!((pool.take(now), pool.take(now), pool.take(now)), (Some(2), Some(1), None));
        assert_eq!(pool.len(), 0);
    }

    #[test]
    fn a_thread_s_own_come_first_and_others_go_back_to_where_they_were() {
        let (pool, now) = (Pool::new(8), Instant::now());
        let (own, other) = (Shelf::of_thread(), Shelf((Shelf::of_thread().0 + 1) % SHELVES));
        pool.put("own", own, now);
        pool.put("other", other, now);
        assert_eq!((pool.take(now), pool.take(now), pool.take(now)), (Some("own"), Some("other"), None));
        pool.put("other", other, now);
        assert_eq!(pool.take_from(own, now), None);
        assert_eq!(pool.take_from(other, now), Some("other"));
    }
}
