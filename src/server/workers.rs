//! The threads that serve calls. Each has a scheduler and a poller of its own, and a connection stays where it was put:
//! whatever a call waits for wakes the thread that goes on with it, and no other.
//!
//! A scheduler that moves tasks between threads balances better, but wakes a second thread at each arrival to see
//! whether there is something to take; beside work of microseconds that is most of the cost. Connections are balanced
//! instead, when they are accepted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// How long a thread may take to let go of what it was doing when it is told to stop.
const FAREWELL: Duration = Duration::from_secs(1);

/// The threads.
#[derive(Debug)]
pub(super) struct Workers {
    threads: Vec<Worker>,
    running: Mutex<Vec<JoinHandle<()>>>,
    stop: watch::Sender<bool>,
}

#[derive(Debug)]
struct Worker {
    handle: Handle,
    tasks: Arc<AtomicUsize>,
}

/// Counts a task of a worker for as long as it lives.
#[derive(Debug)]
pub(super) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts so many threads; 0 means one per core.
    ///
    /// # Errors
    /// The system gives no threads.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let count = match count {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            n => n,
        };
        let (stop, stopped) = watch::channel(false);
        let mut workers = Self { threads: Vec::with_capacity(count), running: Mutex::default(), stop };
        for n in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            workers.threads.push(Worker { handle: runtime.handle().clone(), tasks: Arc::default() });
            let mut stopped = stopped.clone();
            let thread = std::thread::Builder::new().name(format!("worker-{n}")).spawn(move || {
                runtime.block_on(async {
                    let _told = stopped.wait_for(|stop| *stop).await;
                });
                runtime.shutdown_timeout(FAREWELL);
            })?;
            workers.running.get_mut().push(thread);
        }
        Ok(workers)
    }

    /// Runs a task on the thread that has the fewest. The task keeps its seat for as long as it lives; a future wrapped
    /// around it to do that would hold it twice.
    pub(super) fn spawn<F>(&self, task: impl FnOnce(Seat) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let idlest = self.threads.iter().min_by_key(|worker| worker.tasks.load(Ordering::Relaxed));
        let Some(worker) = idlest else { return };
        worker.tasks.fetch_add(1, Ordering::Relaxed);
        worker.handle.spawn(task(Seat(worker.tasks.clone())));
    }

    /// Drops all tasks that still run, and waits for that.
    pub(super) fn stop(&self) {
        let _all_gone = self.stop.send(true);
        let running = std::mem::take(&mut *self.running.lock());
        for thread in running {
            let _panicked = thread.join();
        }
    }
}

/// A start that failed half-way leaves no threads behind.
impl Drop for Workers {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn tasks_go_where_there_are_fewest_and_end_when_told() {
        struct Gone(mpsc::Sender<()>);
        impl Drop for Gone {
            fn drop(&mut self) {
                let _sent = self.0.send(());
            }
        }
        let workers = Workers::start(3).unwrap();
        let (names, seen) = mpsc::channel();
        let (gone, dropped) = mpsc::channel();
        for _ in 0..6 {
            let (names, gone) = (names.clone(), Gone(gone.clone()));
            workers.spawn(|seat| async move {
                let (_seat, _gone) = (seat, gone);
                names.send(std::thread::current().name().map(str::to_owned)).unwrap();
                std::future::pending::<()>().await;
            });
        }
        let mut where_they_run: Vec<_> = seen.iter().take(6).flatten().collect();
        where_they_run.sort_unstable();
        assert_eq!(where_they_run, ["worker-0", "worker-0", "worker-1", "worker-1", "worker-2", "worker-2"]);
        workers.stop();
        assert_eq!(dropped.try_iter().count(), 6);
    }
}
