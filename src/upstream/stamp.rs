//! What tells one state of a file from another.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file that was written less than this ago may be written again without a new time: clocks of file systems are coarse.
const COARSE: Duration = Duration::from_millis(50);

/// One state of a file: where its links lead, its identity, times and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStamp {
    path: PathBuf,
    identity: (u64, u64),
    written: (i64, i64),
    changed: (i64, i64),
    size: u64,
}

impl FileStamp {
    /// The state of a file now; `None` when there is none.
    pub fn of(path: &Path) -> Option<Self> {
        let path = std::fs::canonicalize(path).ok()?;
        let meta = std::fs::metadata(&path).ok()?;
        Some(Self {
            path,
            identity: (meta.dev(), meta.ino()),
            written: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
            size: meta.size(),
        })
    }

    /// [`FileStamp::of`], but `None` also while the file is so new that its next state could bear the same stamp.
    pub fn settled(path: &Path) -> Option<Self> {
        Self::of(path).filter(|stamp| {
            let (seconds, nanos) = stamp.changed;
            let since = Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanos).unwrap_or(0));
            SystemTime::now().duration_since(UNIX_EPOCH + since).is_ok_and(|age| age > COARSE)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_change_a_file_changes_its_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("file"), dir.path().join("other"));
        assert_eq!(FileStamp::of(&path), None);
        std::fs::write(&path, "one").unwrap();
        let first = FileStamp::of(&path);
        std::fs::write(&path, "three").unwrap();
        let second = FileStamp::of(&path);
        assert_ne!(first, second);
        std::fs::write(&other, "three").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_ne!(FileStamp::of(&path), second);
    }

    #[test]
    fn a_file_that_was_just_written_is_not_settled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let later = FileStamp::of(&path);
        let began = std::time::Instant::now();
        while FileStamp::settled(&path).is_none() {
            assert!(began.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(FileStamp::settled(&path), later);
    }
}
