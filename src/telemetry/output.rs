//! Where lines end: a file that may be rotated away, or a standard stream. Never leaves half a line in a file.
//!
//! Knows nothing of queues or threads; everything here may block. Start with [`Output::write`].

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

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

    /// Has the file opened anew with the next write; a stream stays.
    pub fn reopen(&mut self) {
        if self.path.is_some() {
            self.file = None;
        }
    }

    /// Writes the lines and takes them off the front of `lines`: all of them, or those before the error.
    ///
    /// # Errors
    /// Those of the system; the lines that remain can be tried again.
    pub fn write(&mut self, lines: &mut Vec<u8>) -> io::Result<()> {
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

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
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
