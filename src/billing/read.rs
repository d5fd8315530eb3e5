//! Lines out of a stream, in large blocks and bounded memory.

use std::io::{self, Read};

use super::record::Broken;

/// The longest line that is read, in bytes; a record has about one thousandth of it.
pub const MOST_LINE: usize = 1 << 20;

/// The lines of a stream.
pub struct Lines<R> {
    stream: R,
    buffer: Vec<u8>,
    /// What of the buffer was read and not handed out yet.
    start: usize,
    end: usize,
    /// The stream has ended.
    ended: bool,
    /// In the middle of a line that is too long.
    skipping: bool,
}

impl<R: Read> Lines<R> {
    /// The lines of `stream`.
    pub fn new(stream: R) -> Self {
        Self { stream, buffer: vec![0; MOST_LINE], start: 0, end: 0, ended: false, skipping: false }
    }

    /// The next line without its end; `None` after the last. A last line without an end is one, too.
    ///
    /// # Errors
    /// The stream cannot be read.
    pub fn next_line(&mut self) -> io::Result<Option<Result<&[u8], Broken>>> {
        let mut searched = 0;
        loop {
            let (start, end) = (self.start, self.end);
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[start + searched..end]) {
                let at = start + searched + at;
                self.start = at + 1;
                if std::mem::take(&mut self.skipping) {
                    return Ok(Some(Err(Broken::Long)));
                }
                let line = &self.buffer[start..at];
                return Ok(Some(Ok(line.strip_suffix(b"\r").unwrap_or(line))));
            }
            searched = end - start;
            if self.ended {
                self.start = end;
                return Ok(match (std::mem::take(&mut self.skipping), searched) {
                    (true, _) => Some(Err(Broken::Long)),
                    (false, 0) => None,
                    (false, _) => Some(Ok(&self.buffer[start..end])),
                });
            }
            if searched == self.buffer.len() {
                (self.skipping, self.start, self.end, searched) = (true, 0, 0, 0);
            } else if start > 0 {
                self.buffer.copy_within(start..end, 0);
                (self.start, self.end) = (0, searched);
            }
            self.fill()?;
        }
    }

    /// The stream that they come from.
    pub fn stream(&self) -> &R {
        &self.stream
    }

    fn fill(&mut self) -> io::Result<()> {
        match self.stream.read(&mut self.buffer[self.end..]) {
            Ok(0) => self.ended = true,
            Ok(n) => self.end += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at a time.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(self.1).min(into.len());
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn lines(text: &[u8], piece: usize) -> Vec<Result<Vec<u8>, Broken>> {
        let mut lines = Lines::new(Pieces(text, piece));
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().expect("readable") {
            all.push(line.map(<[u8]>::to_vec));
        }
        all
    }

    #[test]
    fn lines_do_not_depend_on_how_the_bytes_come() {
        for (text, want) in [("", &[][..]), ("a\nbc\r\n\nd", &["a", "bc", "", "d"]), ("\n", &[""]), ("a", &["a"])] {
            for piece in 1..=text.len().max(1) {
                let got: Vec<_> = lines(text.as_bytes(), piece).into_iter().map(|line| line.expect("short")).collect();
                assert_eq!(got, want.iter().map(|line| line.as_bytes()).collect::<Vec<_>>(), "{text:?} by {piece}");
            }
        }
    }

    #[test]
    fn a_line_beyond_the_bound_is_passed_over() {
        let long = vec![b'x'; 2 * MOST_LINE + 5];
        let text = [b"a\n", &*long, b"\nb\n", &long].concat();
        let got = lines(&text, 100_000);
        let long = Err(Broken::Long);
        assert_eq!(got, [Ok(b"a".to_vec()), long.clone(), Ok(b"b".to_vec()), long]);
        let fits = [&*vec![b'y'; MOST_LINE - 1], b"\n"].concat();
        assert_eq!(lines(&fits, 100_000).first().and_then(|l| l.as_ref().ok()).map(Vec::len), Some(MOST_LINE - 1));
    }
}
