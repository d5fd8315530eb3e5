//! Whole lines to a file, a stream or a collector by way of one writer thread, so that no call ever waits for a disk,
//! a pipe or a network.
//!
//! Lines gather in a buffer of bounded size and go out together: after `linger`, when much has gathered, on
//! [`Lines::flush`] and at [`Lines::shutdown`]. A full buffer drops new lines and counts them. What the output refuses
//! is kept and tried again. An idle writer sleeps without a timer. Start with [`Lines::push`]; where the bytes go is
//! the duty of a [`Sink`].

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// Where lines go. Everything here may block.
pub trait Sink: Send + 'static {
    /// Writes the lines and takes off the front of `lines` what needs no second try.
    ///
    /// # Errors
    /// Those of the system; the lines that remain are tried again.
    fn write(&mut self, lines: &mut Vec<u8>) -> io::Result<()>;

    /// Opens anew what can be opened anew.
    fn reopen(&mut self) {}
}

/// Why lines were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The queue was full, or closed already.
    Full,
    /// The output did not take them to the end.
    Refused,
}

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
    pub lost: Box<dyn Fn(Loss, u64) + Send + Sync>,
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
    pub fn start(name: &str, output: impl Sink, limits: Limits, reports: Reports) -> io::Result<Self> {
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
            (self.shared.reports.lost)(Loss::Full, 1);
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
    fn run(&self, mut output: impl Sink) {
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
            let over = state.closing && (!batch.is_empty() || state.pending.is_empty());
            if over {
                // Counted before anybody who waits for the end can look.
                batch.append(&mut state.pending);
                self.lose(&mut batch);
                state.closed = true;
            }
            self.progress.notify_all();
            if over {
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
        let much = |state: &State| whole && state.pending.len() >= self.limits.wake;
        while !state.urgent() && !much(&state) {
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

    fn write(&self, output: &mut impl Sink, batch: &mut Vec<u8>) {
        let Err(error) = output.write(batch) else { return };
        (self.reports.refused)(&error);
        if error.kind() == io::ErrorKind::BrokenPipe {
            self.lose(batch);
        }
    }

    fn lose(&self, batch: &mut Vec<u8>) {
        let lines = memchr::memchr_iter(b'\n', batch).count() as u64;
        if lines > 0 {
            (self.reports.lost)(Loss::Refused, lines);
        }
        batch.clear();
    }
}

impl State {
    fn urgent(&self) -> bool {
        self.closing || self.reopen || self.asked > self.begun
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);
    const SMALL: Limits = Limits { linger: Duration::from_secs(3600), wake: 64, most: 128 };

    /// Takes what it is allowed to take, one permission a write.
    struct Gate {
        allow: mpsc::Receiver<io::Result<()>>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Sink for Gate {
        fn write(&mut self, lines: &mut Vec<u8>) -> io::Result<()> {
            if lines.is_empty() {
                return Ok(());
            }
            self.allow.recv().unwrap_or(Ok(()))?;
            self.taken.lock().append(lines);
            Ok(())
        }
    }

    struct Rig {
        lines: Lines,
        allow: mpsc::Sender<io::Result<()>>,
        taken: Arc<Mutex<Vec<u8>>>,
        full: Arc<AtomicU64>,
        refused: Arc<AtomicU64>,
    }

    fn rig() -> Rig {
        let (allow, allowed) = mpsc::channel();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (full, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let lost = (full.clone(), refused.clone());
        let reports = Reports {
            lost: Box::new(move |loss, lines| {
                let count = if loss == Loss::Full { &lost.0 } else { &lost.1 };
                count.fetch_add(lines, Relaxed);
            }),
            refused: Box::new(|_| {}),
        };
        let sink = Gate { allow: allowed, taken: taken.clone() };
        Rig { lines: Lines::start("test", sink, SMALL, reports).unwrap(), allow, taken, full, refused }
    }

    fn push(rig: &Rig, from: u32, to: u32) -> usize {
        (from..to).filter(|n| rig.lines.push(format!("{n:07}\n").as_bytes())).count()
    }

    #[test]
    fn nothing_waits_for_a_stuck_output_and_what_does_not_fit_is_counted() {
        let rig = rig();
        // The output takes nothing: 128 bytes in the queue, and at most as much in the writer's hands.
        let taken = push(&rig, 0, 1000);
        assert!((16..=32).contains(&taken), "{taken}");
        assert_eq!(rig.full.load(Relaxed), 1000 - taken as u64);
        assert!(!rig.lines.flush(Duration::from_millis(10)), "still stuck");
        for _ in 0..3 {
            rig.allow.send(Ok(())).unwrap();
        }
        assert!(rig.lines.flush(LONG));
        assert_eq!(rig.taken.lock().len(), taken * 8, "whole lines, each once");
        assert_eq!(rig.refused.load(Relaxed), 0);
    }

    #[test]
    fn what_is_refused_is_tried_again_in_order() {
        let rig = rig();
        rig.allow.send(Err(io::Error::other("disk full"))).unwrap();
        push(&rig, 0, 3);
        rig.lines.flush(Duration::from_millis(10));
        push(&rig, 3, 5);
        rig.allow.send(Ok(())).unwrap();
        rig.allow.send(Ok(())).unwrap();
        assert!(rig.lines.flush(LONG));
        assert_eq!(*rig.taken.lock(), b"0000000\n0000001\n0000002\n0000003\n0000004\n");
        assert_eq!((rig.full.load(Relaxed), rig.refused.load(Relaxed)), (0, 0));
    }

    #[test]
    fn at_the_end_what_is_still_refused_is_counted() {
        let rig = rig();
        push(&rig, 0, 3);
        rig.allow.send(Err(io::Error::other("disk full"))).unwrap();
        assert!(rig.lines.shutdown(LONG));
        assert_eq!(rig.refused.load(Relaxed), 3);
        assert_eq!(push(&rig, 3, 4), 0, "closed");
        assert_eq!(rig.full.load(Relaxed), 1);
    }

    #[test]
    fn a_reader_that_is_gone_is_not_tried_again() {
        let rig = rig();
        push(&rig, 0, 2);
        rig.allow.send(Err(io::ErrorKind::BrokenPipe.into())).unwrap();
        assert!(rig.lines.flush(LONG));
        assert_eq!(rig.refused.load(Relaxed), 2);
    }
}
