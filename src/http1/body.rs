//! Bodies: from the bytes of a connection to the bytes of a message, without copying.

use bytes::{Buf, Bytes, BytesMut};

use super::chunk::{self, ChunkLine};
use super::error::BodyError;
use super::framing::Framing;
use super::headers::Headers;
use super::trailers;

/// Bytes of chunk extensions, over a whole body, beyond which it is refused: they are overhead that a peer can
/// make as large as it likes (RFC 9112 section 7.1.1).
const MAX_EXTENSIONS: usize = 16 * 1024;

/// What one step of decoding gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// Bytes of the body; never empty.
    Data(Bytes),
    /// The buffer holds nothing more that can be decoded: read, then ask again.
    NeedMore,
    /// The body is complete. What is left in the buffer belongs to the next message.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a body, or in a chunk, with so many bytes to come.
    Length(u64),
    ChunkLine,
    ChunkData(u64),
    /// At the CRLF after a chunk's data.
    ChunkEnd,
    Trailers,
    UntilClose,
    Done,
    Failed(BodyError),
}

/// Decodes one body. Holds no data itself: the bound on memory is the caller's read buffer.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    extensions: usize,
    trailers: Option<Headers>,
}

impl BodyDecoder {
    /// A decoder for a body framed so.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkLine,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, extensions: 0, trailers: None }
    }

    /// Takes what it can from the front of `buf`: at most one run of data a call, split off without copying.
    ///
    /// # Errors
    /// The first rule of the chunked coding that is broken; every later call gives the same error.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Decoded, BodyError> {
        let result = self.step(buf);
        if let Err(error) = result {
            self.state = State::Failed(error);
        }
        result
    }

    /// The peer closed its side.
    ///
    /// # Errors
    /// [`BodyError::Truncated`] unless the body was complete or ends with the connection; an earlier error again.
    pub fn eof(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Done | State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Failed(error) => Err(error),
            _ => {
                self.state = State::Failed(BodyError::Truncated);
                Err(BodyError::Truncated)
            }
        }
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailer fields of a complete chunked body, when it has any that are allowed there. At most 8 KiB.
    #[must_use]
    pub fn trailers(&self) -> Option<&Headers> {
        self.trailers.as_ref()
    }

    fn step(&mut self, buf: &mut BytesMut) -> Result<Decoded, BodyError> {
        loop {
            match self.state {
                State::Done => return Ok(Decoded::Done),
                State::Failed(error) => return Err(error),
                _ if buf.is_empty() => return Ok(Decoded::NeedMore),
                State::UntilClose => return Ok(Decoded::Data(buf.split().freeze())),
                State::Length(left) => {
                    let (data, left) = take(buf, left);
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                    return Ok(Decoded::Data(data));
                }
                State::ChunkData(left) => {
                    let (data, left) = take(buf, left);
                    self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData(left) };
                    return Ok(Decoded::Data(data));
                }
                State::ChunkEnd => match (buf[0], buf.get(1)) {
                    (b'\r', Some(b'\n')) => {
                        buf.advance(2);
                        self.state = State::ChunkLine;
                    }
                    (b'\r', None) => return Ok(Decoded::NeedMore),
                    _ => return Err(BodyError::ChunkDataEnd),
                },
                State::ChunkLine => match chunk::parse(buf)? {
                    None => return Ok(Decoded::NeedMore),
                    Some(line) => self.begin_chunk(buf, line)?,
                },
                State::Trailers => match trailers::parse(buf)? {
                    None => return Ok(Decoded::NeedMore),
                    Some(fields) => {
                        self.trailers = Some(fields).filter(|fields| !fields.is_empty());
                        self.state = State::Done;
                    }
                },
            }
        }
    }

    fn begin_chunk(&mut self, buf: &mut BytesMut, line: ChunkLine) -> Result<(), BodyError> {
        self.extensions += line.extensions;
        if self.extensions > MAX_EXTENSIONS {
            return Err(BodyError::ExtensionsTooLong);
        }
        buf.advance(line.len);
        self.state = if line.size == 0 { State::Trailers } else { State::ChunkData(line.size) };
        Ok(())
    }
}

/// Splits at most `left` bytes off; returns them and how many are still to come.
fn take(buf: &mut BytesMut, left: u64) -> (Bytes, u64) {
    let len = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
    (buf.split_to(len).freeze(), left - len as u64)
}
