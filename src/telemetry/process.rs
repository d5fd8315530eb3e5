//! The standard `process_*` metrics, read from `/proc/self` at each scrape. Elsewhere than on Linux they are absent.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::Registry;

use super::family::{Gauges, Readings};
use super::table;

/// Kernel ticks per second in `/proc/*/stat`: USER_HZ, which is 100 on every Linux that this builds for.
const TICKS: f64 = 100.0;

pub(super) struct Process {
    cpu: Readings<0>,
    resident: Gauges<0>,
    virtual_memory: Gauges<0>,
    fds: Gauges<0>,
    max_fds: Gauges<0>,
    threads: Gauges<0>,
    start: Readings<0>,
    /// When this was made, for kernels that hide the boot time.
    made: f64,
}

impl Process {
    pub(super) fn register(r: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            cpu: Readings::register(r, &table::PROCESS_CPU)?,
            resident: Gauges::register(r, &table::PROCESS_RSS)?,
            virtual_memory: Gauges::register(r, &table::PROCESS_VIRTUAL)?,
            fds: Gauges::register(r, &table::PROCESS_FDS)?,
            max_fds: Gauges::register(r, &table::PROCESS_MAX_FDS)?,
            threads: Gauges::register(r, &table::PROCESS_THREADS)?,
            start: Readings::register(r, &table::PROCESS_START)?,
            made: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()),
        })
    }

    /// Reads everything anew. What cannot be read is not exposed.
    pub(super) fn refresh(&self) {
        if let Ok(stat) = std::fs::read_to_string("/proc/self/stat") {
            self.take_stat(&stat);
        }
        if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
            self.take_status(&status);
        }
        if let Ok(fds) = std::fs::read_dir("/proc/self/fd") {
            // One of them is the directory itself.
            self.fds.with([]).set(i64::try_from(fds.count()).unwrap_or(i64::MAX).saturating_sub(1));
        }
        if let Some(limit) = std::fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(max_fds) {
            self.max_fds.with([]).set(limit);
        }
    }

    /// `man proc_pid_stat`: fields are counted from 1, and the second, in parentheses, may hold anything.
    fn take_stat(&self, stat: &str) {
        let Some((_, rest)) = stat.rsplit_once(')') else { return };
        let field = |n: usize| rest.split_ascii_whitespace().nth(n - 3).and_then(|f| f.parse::<f64>().ok());
        if let (Some(user), Some(system)) = (field(14), field(15)) {
            self.cpu.with([]).set((user + system) / TICKS);
        }
        if let Some(bytes) = field(23) {
            self.virtual_memory.with([]).set(bytes as i64);
        }
        let boot = std::fs::read_to_string("/proc/stat").ok().as_deref().and_then(boot_time);
        let start = boot.zip(field(22)).map_or(self.made, |(boot, ticks)| boot + ticks / TICKS);
        self.start.with([]).set(start);
    }

    fn take_status(&self, status: &str) {
        let value = |key: &str| -> Option<i64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            line.split_ascii_whitespace().next()?.parse().ok()
        };
        if let Some(kib) = value("VmRSS") {
            self.resident.with([]).set(kib << 10);
        }
        if let Some(threads) = value("Threads") {
            self.threads.with([]).set(threads);
        }
    }
}

fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn max_fds(limits: &str) -> Option<i64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_this_process_s() {
        let process = Process::register(&Registry::new()).unwrap();
        let held = std::fs::File::open("/proc/self/stat").unwrap();
        process.refresh();
        let before = process.fds.with([]).get();
        let more: Vec<_> = (0..10).map(|_| held.try_clone().unwrap()).collect();
        process.refresh();
        assert!(process.fds.with([]).get() >= before + 5, "{} files more", more.len());
        assert!(process.resident.with([]).get() > 1 << 20);
        assert!(process.virtual_memory.with([]).get() > process.resident.with([]).get());
        assert!(process.threads.with([]).get() >= 1);
        assert!(process.max_fds.with([]).get() > 10);
        let age = process.made - process.start.with([]).get();
        assert!((-2.0..3600.0).contains(&age), "started {age} s ago");
    }
}
