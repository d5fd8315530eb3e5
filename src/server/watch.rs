//! Notices that files have changed: written in place, renamed over, swapped by way of a symbolic link (as Kubernetes
//! does with `..data`), vanished and come back.
//!
//! Directories are watched rather than files, since a file that is replaced takes its own watch with it: every
//! directory on the way that holds a link or the file, and where something is missing the last one that is there. They
//! are found anew after each change, for a swapped directory takes its watch with it too. A look at the files every few
//! seconds is the net below.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::upstream::FileStamp;

/// Files must have been left alone for so long: editors and kubelet do several things in a row.
const SETTLE: Duration = Duration::from_millis(30);
/// A file that is always written to is looked at after this all the same.
const MAX_SETTLE: Duration = Duration::from_secs(2);
/// A file that is gone may come back within this: some editors remove before they write.
const ABSENCE: Duration = Duration::from_millis(300);
/// How often files are looked at without having been told.
const LOOK: Duration = Duration::from_secs(10);
/// More links than this in a row are a circle.
const MAX_LINKS: usize = 40;

/// Watches some files.
pub(super) struct FileWatch {
    files: Vec<(PathBuf, Option<FileStamp>)>,
    told: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    directories: BTreeSet<PathBuf>,
    look: Duration,
    /// Something has happened that has not been looked at yet.
    pending: bool,
}

impl FileWatch {
    /// Watches `files` from now on.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let told = Arc::new(Notify::new());
        let notice = told.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading is no change, and we read ourselves.
            let only_read = event.is_ok_and(|event| match event.kind {
                EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
                EventKind::Access(_) => true,
                _ => false,
            });
            if !only_read {
                notice.notify_one();
            }
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "files cannot be watched; they are looked at every {LOOK:?}"))
            .ok();
        let mut this =
            Self { files: Vec::new(), told, watcher, directories: BTreeSet::new(), look: LOOK, pending: false };
        this.set(files);
        this
    }

    /// Watches these files from now on. What is known of those that were watched before stays.
    pub(super) fn set(&mut self, files: Vec<PathBuf>) {
        let before = std::mem::take(&mut self.files);
        self.files = files.into_iter().map(|path| (path, None)).collect();
        self.arm();
        for (path, stamp) in &mut self.files {
            let known = before.iter().find(|(known, _)| known == path);
            *stamp = known.map_or_else(|| FileStamp::of(path), |(_, stamp)| stamp.clone());
        }
    }

    /// Waits until files are others than before, and names them. A file that is gone counts once. Cancel-safe.
    pub(super) async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            if !self.pending {
                let _looked = tokio::time::timeout(self.look, self.told.notified()).await;
                self.pending = true;
            }
            let now = self.settled().await;
            self.pending = false;
            if now.iter().eq(self.files.iter().map(|(_, stamp)| stamp)) && self.is_armed() {
                continue;
            }
            // What happens from here on is told to the new watches; what happened before stands in the new stamps.
            self.arm();
            let changed = self.take_stamps();
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    /// The files' states once nobody has touched them for a while.
    async fn settled(&self) -> Vec<Option<FileStamp>> {
        let began = Instant::now();
        let mut before = self.stamps();
        loop {
            tokio::time::sleep(SETTLE).await;
            let now = self.stamps();
            let vanished = now.iter().zip(&self.files).any(|(now, (_, was))| now.is_none() && was.is_some());
            let patient = (now != before && began.elapsed() < MAX_SETTLE) || (vanished && began.elapsed() < ABSENCE);
            if !patient {
                return now;
            }
            before = now;
        }
    }

    fn stamps(&self) -> Vec<Option<FileStamp>> {
        self.files.iter().map(|(path, _)| FileStamp::of(path)).collect()
    }

    fn take_stamps(&mut self) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        for (path, stamp) in &mut self.files {
            let now = FileStamp::of(path);
            if *stamp != now {
                *stamp = now;
                changed.push(path.clone());
            }
        }
        changed
    }

    /// The directories to be watched now.
    fn wanted(&self) -> BTreeSet<PathBuf> {
        let mut wanted = BTreeSet::new();
        for (path, _) in &self.files {
            directories(path, &mut wanted);
        }
        wanted
    }

    fn is_armed(&self) -> bool {
        self.wanted() == self.directories
    }

    fn arm(&mut self) {
        let wanted = self.wanted();
        let Some(watcher) = &mut self.watcher else { return };
        for directory in std::mem::replace(&mut self.directories, wanted) {
            let _gone_already = watcher.unwatch(&directory);
        }
        for directory in &self.directories {
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, directory = %directory.display(), "not watched, only looked at every {LOOK:?}");
            }
        }
    }
}

/// The directories in which something must happen for the file to change: those that hold the links on the way and
/// the file itself, or as far as the way goes.
fn directories(path: &Path, found: &mut BTreeSet<PathBuf>) {
    let Ok(path) = std::path::absolute(path) else { return };
    let steps = |path: &Path| -> VecDeque<OsString> {
        path.components().filter(|c| !matches!(c, Component::RootDir)).map(|c| c.as_os_str().to_owned()).collect()
    };
    let (mut at, mut ahead, mut links) = (PathBuf::from("/"), steps(&path), 0);
    while let Some(step) = ahead.pop_front() {
        let next = at.join(&step);
        match std::fs::symlink_metadata(&next) {
            _ if step == ".." => {
                at.pop();
            }
            Ok(meta) if meta.is_symlink() && links < MAX_LINKS => {
                links += 1;
                found.insert(at.clone());
                let target = std::fs::read_link(&next).unwrap_or_default();
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                let mut through = steps(&target);
                through.append(&mut ahead);
                ahead = through;
            }
            Ok(_) if !ahead.is_empty() => at = next,
            Ok(_) | Err(_) => {
                found.insert(at);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    const GENEROUS: Duration = Duration::from_secs(30);

    /// The watches alone must do: the net below is taken away.
    async fn told(watch: &mut FileWatch) -> Vec<PathBuf> {
        watch.look = Duration::from_secs(3600);
        tokio::time::timeout(GENEROUS, watch.changed()).await.expect("a change")
    }

    #[tokio::test]
    async fn written_renamed_over_vanished_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "one").unwrap();
        let mut watch = FileWatch::new(vec![path.clone()]);
        fs::write(&path, "two").unwrap();
        assert_eq!(told(&mut watch).await, std::slice::from_ref(&path));
        for round in 0..2 {
            fs::write(dir.path().join("new"), format!("renamed {round}")).unwrap();
            fs::rename(dir.path().join("new"), &path).unwrap();
            assert_eq!(told(&mut watch).await, std::slice::from_ref(&path));
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(told(&mut watch).await, std::slice::from_ref(&path));
        fs::write(&path, "back").unwrap();
        assert_eq!(told(&mut watch).await, std::slice::from_ref(&path));
    }

    /// As kubelet does it: a new directory, the link swapped, the old directory removed; and again.
    #[tokio::test]
    async fn a_config_map_swapped_three_times() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let version = |n: u32| {
            fs::create_dir(at(&format!("..{n}"))).unwrap();
            fs::write(at(&format!("..{n}/f")), format!("version {n}")).unwrap();
            symlink(format!("..{n}"), at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
        };
        version(0);
        symlink("..data/f", at("f")).unwrap();
        // The configured path leads there by one more link.
        let elsewhere = tempfile::tempdir().unwrap();
        let path = elsewhere.path().join("link");
        symlink(at("f"), &path).unwrap();
        let mut watch = FileWatch::new(vec![path.clone()]);
        for n in 1..=3 {
            version(n);
            fs::remove_dir_all(at(&format!("..{}", n - 1))).unwrap();
            assert_eq!(told(&mut watch).await, std::slice::from_ref(&path));
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("version {n}"));
        }
        // In place, in the third directory: the watch has followed.
        fs::write(at("..3/f"), "in place").unwrap();
        assert_eq!(told(&mut watch).await, std::slice::from_ref(&path));
    }

    #[tokio::test]
    async fn a_directory_that_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/f");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "one").unwrap();
        let mut watch = FileWatch::new(vec![path.clone()]);
        fs::remove_dir_all(dir.path().join("a")).unwrap();
        assert_eq!(told(&mut watch).await, std::slice::from_ref(&path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "two").unwrap();
        assert_eq!(told(&mut watch).await, std::slice::from_ref(&path));
        fs::write(&path, "three").unwrap();
        assert_eq!(told(&mut watch).await, std::slice::from_ref(&path));
    }

    #[tokio::test]
    async fn only_the_file_that_changed_is_named_and_new_ones_join() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        fs::write(&one, "1").unwrap();
        let mut watch = FileWatch::new(vec![one.clone()]);
        watch.set(vec![one.clone(), two.clone()]);
        fs::write(&two, "2").unwrap();
        assert_eq!(told(&mut watch).await, [two]);
        fs::write(&one, "changed").unwrap();
        assert_eq!(told(&mut watch).await, [one]);
    }
}
