//! Notices that the configuration file has changed: written in place, renamed over, swapped by way of a symbolic link
//! (as Kubernetes does with `..data`), vanished and come back.
//!
//! The directories on the way to the file are watched, since a file that is replaced takes its own watch with it; a
//! look at the file every few seconds is the net below.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// How long a change may take to settle: editors and kubelet do several things in a row.
const SETTLE: Duration = Duration::from_millis(30);
/// How often the file is looked at without having been told.
const LOOK: Duration = Duration::from_secs(10);

/// What tells one state of a file from another: where its links lead, its inode, time and size.
type Mark = Option<(PathBuf, u64, i64, i64, u64)>;

/// Watches one file.
pub(super) struct FileWatch {
    path: PathBuf,
    changed: Arc<Notify>,
    mark: Mark,
    _watcher: Option<RecommendedWatcher>,
}

impl FileWatch {
    /// Watches from now on.
    pub(super) fn new(path: &Path) -> Self {
        let changed = Arc::new(Notify::new());
        let notice = changed.clone();
        let watcher = notify::recommended_watcher(move |_: notify::Result<notify::Event>| notice.notify_one())
            .and_then(|mut watcher| {
                for directory in directories(path) {
                    watcher.watch(&directory, RecursiveMode::NonRecursive)?;
                }
                Ok(watcher)
            });
        let watcher = watcher
            .inspect_err(|error| {
                tracing::warn!(%error, "the configuration cannot be watched; it is looked at every {LOOK:?}");
            })
            .ok();
        Self { path: path.to_owned(), changed, mark: mark(path), _watcher: watcher }
    }

    /// Waits until the file is another than before. A file that is gone counts once.
    pub(super) async fn changed(&mut self) {
        loop {
            let _timed_out = tokio::time::timeout(LOOK, self.changed.notified()).await;
            tokio::time::sleep(SETTLE).await;
            let now = mark(&self.path);
            if now != self.mark {
                self.mark = now;
                return;
            }
        }
    }
}

fn mark(path: &Path) -> Mark {
    let real = std::fs::canonicalize(path).ok()?;
    let meta = std::fs::metadata(&real).ok()?;
    Some((real, meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size()))
}

/// The directory of the file and, where it is a link, of what it leads to.
fn directories(path: &Path) -> Vec<PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut all = vec![parent(path)];
    if let Ok(real) = std::fs::canonicalize(path)
        && let real = parent(&real)
        && !all.contains(&real)
    {
        all.push(real);
    }
    all
}
