//! Where lines end: a file that may be rotated away, or a standard stream. Never leaves half a line in a file.
//!
//! Knows nothing of threads; everything here may block. Start with the [`Sink`] that it is.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lines::Sink;

/// A file or stream that takes whole lines.
pub struct Output {
    /// None for a standard stream.
    path: Option<PathBuf>,
    file: Option<File>,
}

impl Output {
    /// A file to append to, made where there is none.
    ///
    /// # Errors
    /// When it cannot be opened: seen at the start rather than with the first line.
    pub fn file(path: &Path) -> io::Result<Self> {
        Ok(Self { path: Some(path.into()), file: Some(open(path)?) })
    }

    /// Standard output.
    ///
    /// # Errors
    /// When there is none.
    pub fn stdout() -> io::Result<Self> {
        Ok(Self { path: None, file: Some(duplicate(&io::stdout())?) })
    }

    /// Standard error.
    ///
    /// # Errors
    /// When there is none.
    pub fn stderr() -> io::Result<Self> {
        Ok(Self { path: None, file: Some(duplicate(&io::stderr())?) })
    }
}

impl Sink for Output {
    /// With the next write; a stream stays.
    fn reopen(&mut self) {
        if self.path.is_some() {
            self.file = None;
        }
    }

    /// Takes off all lines, or those before the error.
    fn write(&mut self, lines: &mut Vec<u8>) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        if let Some(path) = &self.path {
            if self.file.as_ref().is_some_and(|file| was_rotated(path, file)) {
                self.file = None;
            }
            if self.file.is_none() {
                self.file = Some(open(path)?);
            }
        }
        match &mut self.file {
            Some(file) => write_lines(file, lines),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

#[cfg(unix)]
fn duplicate(stream: &impl std::os::fd::AsFd) -> io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

/// Opens the file to append to. Where whoever wrote it before was killed in the middle of a line, that half is closed
/// off, so that it spoils no line of ours.
fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    if ends_in_half_a_line(path) {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

fn ends_in_half_a_line(path: &Path) -> bool {
    let last = || {
        let mut file =
            File::open(path).ok().filter(|file| file.metadata().is_ok_and(|m| m.is_file() && m.len() > 0))?;
        file.seek(SeekFrom::End(-1)).ok()?;
        let mut last = [0];
        file.read_exact(&mut last).ok()?;
        Some(last[0])
    };
    last().is_some_and(|last| last != b'\n')
}

/// Whether the path names another file by now, or none.
#[cfg(unix)]
fn was_rotated(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (std::fs::metadata(path), file.metadata()) {
        (Ok(named), Ok(held)) => (named.dev(), named.ino()) != (held.dev(), held.ino()),
        (Err(error), _) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// What lines are written to, as far as half lines can be taken back.
trait Medium: Write {
    /// Takes `half` bytes off the end again, given that the end is where we left it; false when that cannot be.
    fn take_back(&mut self, half: u64, end: Option<u64>) -> bool;
    /// Where the end is, for a medium that has one.
    fn end(&self) -> Option<u64>;
}

impl Medium for File {
    fn take_back(&mut self, half: u64, end: Option<u64>) -> bool {
        // Where somebody else has appended since, cutting would hurt their lines.
        end.is_some() && self.end() == end && end.is_some_and(|end| self.set_len(end.saturating_sub(half)).is_ok())
    }

    fn end(&self) -> Option<u64> {
        self.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
    }
}

fn write_lines(medium: &mut impl Medium, lines: &mut Vec<u8>) -> io::Result<()> {
    let start = medium.end();
    let mut written = 0;
    while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
        match medium.write(rest) {
            Ok(0) => return stop(medium, lines, written, start, io::ErrorKind::WriteZero.into()),
            Ok(n) => written += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Somebody made the stream non-blocking: wait here, as a blocking write would.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(10)),
            Err(error) => return stop(medium, lines, written, start, error),
        }
    }
    lines.clear();
    Ok(())
}

/// Ends a write that broke off: half a line is taken back out of the medium and stays in `lines`.
fn stop(
    medium: &mut impl Medium,
    lines: &mut Vec<u8>,
    written: usize,
    start: Option<u64>,
    error: io::Error,
) -> io::Result<()> {
    let whole = lines.get(..written).and_then(|done| memchr::memrchr(b'\n', done)).map_or(0, |at| at + 1);
    let half = written - whole;
    if half > 0 {
        medium.take_back(half as u64, start.map(|start| start + written as u64));
    }
    lines.drain(..whole);
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes more, then is full.
    struct Small {
        held: Vec<u8>,
        room: usize,
    }

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.room);
            if n == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= n;
            self.held.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Medium for Small {
        fn take_back(&mut self, half: u64, end: Option<u64>) -> bool {
            assert_eq!(end, self.end());
            self.held.truncate(self.held.len() - half as usize);
            self.room += half as usize;
            true
        }

        fn end(&self) -> Option<u64> {
            Some(self.held.len() as u64)
        }
    }

    #[test]
    fn a_full_disk_never_holds_half_a_line_whatever_room_there_is() {
        let text = b"one\ntwo\nthree\n";
        for room in 0..text.len() {
            let mut disk = Small { held: Vec::new(), room };
            let mut lines = text.to_vec();
            assert!(write_lines(&mut disk, &mut lines).is_err());
            assert!(disk.held.is_empty() || disk.held.ends_with(b"\n"), "{room}");
            assert_eq!([&*disk.held, &lines].concat(), text, "{room}");
            disk.room = 100;
            write_lines(&mut disk, &mut lines).unwrap();
            assert_eq!(disk.held, text, "{room}");
        }
    }

    #[test]
    fn half_a_line_of_a_killed_process_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usage.jsonl");
        std::fs::write(&path, "{\"n\":1}\n{\"n\":").unwrap();
        let mut output = Output::file(&path).unwrap();
        output.write(&mut b"{\"n\":2}\n".to_vec()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"n\":1}\n{\"n\":\n{\"n\":2}\n");
        // A whole file, and an empty one, are left as they are.
        drop(Output::file(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("a"), dir.path().join("b"));
        let mut output = Output::file(&path).unwrap();
        output.write(&mut b"1\n".to_vec()).unwrap();
        std::fs::rename(&path, &moved).unwrap();
        output.write(&mut b"2\n".to_vec()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"2\n");
        assert_eq!(std::fs::read(&moved).unwrap(), b"1\n");
    }
}
