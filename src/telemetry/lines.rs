//! Whole lines to a file or stream by way of one writer thread, so that no call ever waits for a disk or a pipe.
//!
//! Lines gather in a buffer of bounded size and go out together: after `linger`, when much has gathered, on
//! [`Lines::flush`] and at [`Lines::shutdown`]. A full buffer drops new lines and counts them. What the output refuses
//! is kept and tried again. An idle writer sleeps without a timer. Start with [`Lines::push`]; where the bytes go is
//! [`output`](super::output)'s duty.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::output::Output;

/// What is refused is tried again after so long.
const RETRY: Duration = Duration::from_secs(1);

/// How lines are gathered.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a line may wait for company.
    pub linger: Duration,
    /// Bytes that wake the writer early.
    pub wake: usize,
    /// Bytes held for the writer; lines beyond are dropped. As much again may be on its way to the output.
    pub most: usize,
}

/// Who is told about trouble. Neither may write to the lines that it is about.
pub struct Reports {
    /// So many lines were lost.
    pub lost: Box<dyn Fn(u64) + Send + Sync>,
    /// The output refused; the lines are kept and tried again, unless nobody can read them any more.
    pub refused: Box<dyn Fn(&io::Error) + Send + Sync>,
}

/// A bounded queue of lines with a writer thread of its own.
pub struct Lines {
    shared: Arc<Shared>,
}

struct Shared {
    limits: Limits,
    reports: Reports,
    state: Mutex<State>,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes those who wait for the writer.
    progress: Condvar,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    /// Flushes asked for, begun and done; each flush is a number, so that a waiter knows its own.
    asked: u64,
    begun: u64,
    done: u64,
    reopen: bool,
    closing: bool,
    closed: bool,
}

/// What the writer does next.
struct Turn {
    reopen: bool,
    /// Everything that was pushed before is in the batch.
    whole: bool,
}

impl Lines {
    /// Starts the writer thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &str, output: Output, limits: Limits, reports: Reports) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            limits,
            reports,
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
        });
        let writer = Arc::clone(&shared);
        std::thread::Builder::new().name(name.into()).spawn(move || writer.run(output))?;
        Ok(Self { shared })
    }

    /// Takes one line, its line feed included; false when it was dropped. Never waits for the output.
    pub fn push(&self, line: &[u8]) -> bool {
        let limits = &self.shared.limits;
        let mut state = self.shared.state.lock();
        let before = state.pending.len();
        if state.closing || before + line.len() > limits.most {
            drop(state);
            (self.shared.reports.lost)(1);
            return false;
        }
        state.pending.extend_from_slice(line);
        let wake = before == 0 || (before < limits.wake && before + line.len() >= limits.wake);
        drop(state);
        if wake {
            self.shared.work.notify_one();
        }
        true
    }

    /// Has everything that was pushed written, and waits for it for so long. False when it is not done by then.
    pub fn flush(&self, wait: Duration) -> bool {
        let mut state = self.shared.state.lock();
        state.asked += 1;
        let mine = state.asked;
        self.shared.work.notify_one();
        self.shared.wait(state, wait, |state| state.done >= mine || state.closed)
    }

    /// Has the file opened anew before the next write.
    pub fn reopen(&self) {
        self.shared.state.lock().reopen = true;
        self.shared.work.notify_one();
    }

    /// Writes what is left, for at most so long, and ends the writer. Later lines are dropped and counted. False when
    /// the output did not take everything in time. Harmless when called again.
    pub fn shutdown(&self, wait: Duration) -> bool {
        let mut state = self.shared.state.lock();
        state.closing = true;
        self.shared.work.notify_one();
        self.shared.wait(state, wait, |state| state.closed)
    }
}

/// Ends the writer without waiting for it; call [`Lines::shutdown`] first to be sure that all was written.
impl Drop for Lines {
    fn drop(&mut self) {
        self.shutdown(Duration::ZERO);
    }
}

impl Shared {
    fn wait(&self, mut state: MutexGuard<'_, State>, wait: Duration, is_done: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + wait;
        while !is_done(&state) {
            if self.progress.wait_until(&mut state, deadline).timed_out() {
                return is_done(&state);
            }
        }
        true
    }

    /// The writer thread. `batch` holds whole lines, and outlives a turn when the output refused them.
    fn run(&self, mut output: Output) {
        let mut batch = Vec::new();
        loop {
            let turn = self.next(&mut batch);
            if turn.reopen {
                output.reopen();
            }
            self.write(&mut output, &mut batch);
            let mut state = self.state.lock();
            if batch.is_empty() {
                // Where older lines had to go first, the flush needs another turn.
                if turn.whole {
                    state.done = state.begun;
                } else {
                    state.begun = state.done;
                }
            }
            if state.closing && (!batch.is_empty() || state.pending.is_empty()) {
                batch.append(&mut state.pending);
                state.closed = true;
            }
            self.progress.notify_all();
            if state.closed {
                drop(state);
                self.lose(&mut batch);
                return;
            }
        }
    }

    /// Waits until there is something to do; fills `batch` with what has gathered, unless it still holds lines.
    fn next(&self, batch: &mut Vec<u8>) -> Turn {
        let mut state = self.state.lock();
        let whole = batch.is_empty();
        while whole && state.pending.is_empty() && !state.urgent() {
            self.work.wait(&mut state);
        }
        let deadline = Instant::now() + if whole { self.limits.linger } else { RETRY.max(self.limits.linger) };
        while !state.urgent() && !(whole && state.pending.len() >= self.limits.wake) {
            if self.work.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        if whole {
            if batch.capacity() > 4 * self.limits.wake {
                *batch = Vec::new();
            }
            std::mem::swap(batch, &mut state.pending);
        }
        state.begun = state.asked;
        Turn { reopen: std::mem::take(&mut state.reopen), whole }
    }

    fn write(&self, output: &mut Output, batch: &mut Vec<u8>) {
        let Err(error) = output.write(batch) else { return };
        (self.reports.refused)(&error);
        if error.kind() == io::ErrorKind::BrokenPipe {
            self.lose(batch);
        }
    }

    fn lose(&self, batch: &mut Vec<u8>) {
        let lines = memchr::memchr_iter(b'\n', batch).count() as u64;
        if lines > 0 {
            (self.reports.lost)(lines);
        }
        batch.clear();
    }
}

impl State {
    fn urgent(&self) -> bool {
        self.closing || self.reopen || self.asked > self.begun
    }
}
