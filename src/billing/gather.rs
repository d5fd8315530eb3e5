//! Files of usage records, read one after the other: what is a record goes on, what is none is counted with its place.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::read::Lines;
use super::record::{Broken, Record};

/// How often [`gather`] tells of its progress: after so many lines.
const TELL: u64 = 4_096;

/// Where records are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file, compressed with gzip or not.
    File(PathBuf),
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Usage records.
    pub records: u64,
    /// Lines that hold none; empty lines are not counted.
    pub broken: u64,
    /// The first of them.
    pub first_broken: Option<(String, u64, Broken)>,
    /// Bytes read, before they are decompressed.
    pub bytes: u64,
}

/// Why reading ended before the end.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// A file that cannot be read.
    #[error("{input}: {error}")]
    Io {
        /// Which.
        input: String,
        /// Why.
        error: io::Error,
    },
    /// A file that is named twice would be billed twice.
    #[error("{0} is named twice, and its calls would be counted twice")]
    Twice(String),
    /// Lines, and no record among them.
    #[error("none of {lines} lines is a usage record; the first, {input}:{line}: {why}")]
    NoRecord {
        /// How many lines.
        lines: u64,
        /// Where the first stands.
        input: String,
        /// In which line.
        line: u64,
        /// What is wrong with it.
        why: Broken,
    },
}

impl Input {
    /// As it was written on the command line.
    pub fn named(word: &Path) -> Self {
        if word.as_os_str() == "-" { Self::Stdin } else { Self::File(word.into()) }
    }

    fn name(&self) -> String {
        match self {
            Self::Stdin => "standard input".into(),
            Self::File(path) => path.display().to_string(),
        }
    }

    fn open(&self) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::Stdin => Box::new(io::stdin().lock()),
            Self::File(path) => Box::new(File::open(path)?),
        })
    }
}

/// Reads all inputs. `each` is given every record; `tell` hears from time to time how far it is.
///
/// # Errors
/// A file that cannot be read, or no record at all where there are lines.
pub fn gather(
    inputs: &[Input],
    mut each: impl FnMut(&Record<'_>),
    mut tell: impl FnMut(&Seen),
) -> Result<Seen, GatherError> {
    refuse_twice(inputs)?;
    let mut seen = Seen::default();
    for input in inputs {
        let failed = |error| GatherError::Io { input: input.name(), error };
        let counted = Counted { stream: input.open().map_err(failed)?, bytes: 0 };
        let mut lines = Lines::new(Unpacked::new(counted).map_err(failed)?);
        let (mut number, before) = (0, seen.bytes);
        while let Some(line) = lines.next_line().map_err(failed)? {
            number += 1;
            match line
                .and_then(|line| if line.trim_ascii().is_empty() { Ok(None) } else { Record::parse(line).map(Some) })
            {
                Ok(Some(record)) => {
                    seen.records += 1;
                    each(&record);
                }
                Ok(None) => {}
                Err(why) => {
                    seen.broken += 1;
                    seen.first_broken.get_or_insert_with(|| (input.name(), number, why));
                }
            }
            if number % TELL == 0 {
                seen.bytes = before + lines.stream().bytes();
                tell(&seen);
            }
        }
        seen.bytes = before + lines.stream().bytes();
    }
    tell(&seen);
    match &seen.first_broken {
        Some((input, line, why)) if seen.records == 0 => {
            Err(GatherError::NoRecord { lines: seen.broken, input: input.clone(), line: *line, why: why.clone() })
        }
        _ => Ok(seen),
    }
}

fn refuse_twice(inputs: &[Input]) -> Result<(), GatherError> {
    let mut known = Vec::new();
    for input in inputs {
        let place = match input {
            Input::Stdin => PathBuf::from("-"),
            // What cannot be resolved is told of when it is opened.
            Input::File(path) => path.canonicalize().unwrap_or_else(|_| path.clone()),
        };
        if known.contains(&place) {
            return Err(GatherError::Twice(input.name()));
        }
        known.push(place);
    }
    Ok(())
}

/// A stream that knows how much of it was read.
struct Counted {
    stream: Box<dyn Read>,
    bytes: u64,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(into)?;
        self.bytes += n as u64;
        Ok(n)
    }
}

/// A stream as it is, or what it holds where it was compressed with gzip, as its first bytes tell.
enum Unpacked {
    Plain(io::Chain<io::Cursor<Vec<u8>>, Counted>),
    Gzip(Box<flate2::read::MultiGzDecoder<io::Chain<io::Cursor<Vec<u8>>, Counted>>>),
}

impl Unpacked {
    fn new(mut stream: Counted) -> io::Result<Self> {
        let mut start = Vec::new();
        (&mut stream).take(2).read_to_end(&mut start)?;
        let packed = start == [0x1f, 0x8b];
        let whole = io::Cursor::new(start).chain(stream);
        Ok(if packed { Self::Gzip(Box::new(flate2::read::MultiGzDecoder::new(whole))) } else { Self::Plain(whole) })
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Plain(chain) => chain.get_ref().1.bytes,
            Self::Gzip(packed) => packed.get_ref().get_ref().1.bytes,
        }
    }
}

impl Read for Unpacked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Gzip(stream) => stream.read(into),
        }
    }
}
