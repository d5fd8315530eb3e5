//! A byte stream with a read buffer: what both sides of the HTTP/1.1 path stand on.
//!
//! Reads go through one scratch buffer per thread and are then copied into a buffer of the size that is needed, so
//! that a connection that waits holds no read buffer at all. Knows nothing of HTTP, pools or deadlines.

mod socket;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

pub use socket::Socket;

/// One read takes at most this much.
const SCRATCH: usize = 32 * 1024;

/// From this size on, bytes are written from where they lie instead of being joined with what goes before them.
const JOIN_BELOW: usize = 8 * 1024;

/// How much of a part of `len` bytes goes into the buffer of the head before it.
pub fn joined(len: usize) -> usize {
    if len < JOIN_BELOW { len } else { 0 }
}

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// A byte stream and the bytes read from it that nobody has consumed yet.
#[derive(Debug)]
pub struct Wire<S> {
    io: S,
    /// Read, not yet consumed.
    pub input: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A wire over `io` with nothing read yet.
    pub fn new(io: S) -> Self {
        Self { io, input: BytesMut::new() }
    }

    /// The stream and what was read ahead.
    pub fn into_parts(self) -> (S, BytesMut) {
        (self.io, self.input)
    }

    /// The stream itself.
    pub fn io(&self) -> &S {
        &self.io
    }

    /// The stream itself, for who takes it over.
    pub fn io_mut(&mut self) -> &mut S {
        &mut self.io
    }

    /// Reads once and appends to [`Wire::input`]; `0` is the end of the stream.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        READ.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
            let read = buf.filled();
            self.input.extend_from_slice(read);
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Reads once and appends to [`Wire::input`]; `0` is the end of the stream.
    ///
    /// # Errors
    /// Whatever the stream fails with.
    pub async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Reads straight into [`Wire::input`], without the detour: for bodies of which many bytes are still to come.
    ///
    /// # Errors
    /// Whatever the stream fails with.
    pub async fn fill_large(&mut self, expected: usize) -> io::Result<usize> {
        if expected <= SCRATCH {
            return self.fill().await;
        }
        self.input.reserve(expected.min(256 * 1024));
        self.io.read_buf(&mut self.input).await
    }

    /// True when the peer has neither closed nor sent anything while the connection was idle.
    pub fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        self.input.is_empty() && self.poll_fill(&mut cx).is_pending()
    }

    /// Writes `head`, then every part, as few system calls as sizes allow, and leaves `head` empty.
    ///
    /// # Errors
    /// Whatever the stream fails with.
    pub async fn write(&mut self, head: &mut Vec<u8>, parts: &[impl AsRef<[u8]>]) -> io::Result<()> {
        head.reserve(parts.iter().map(|part| joined(part.as_ref().len())).sum());
        for part in parts {
            let part = part.as_ref();
            if part.len() < JOIN_BELOW {
                head.extend_from_slice(part);
                continue;
            }
            let mut both = Buf::chain(head.as_slice(), part);
            self.io.write_all_buf(&mut both).await?;
            head.clear();
        }
        if !head.is_empty() {
            self.io.write_all(head).await?;
            head.clear();
        }
        self.io.flush().await
    }

    /// As [`Wire::write`], but listens meanwhile: as soon as `stop` holds for what the peer has sent, writing ends and
    /// `false` is returned.
    ///
    /// # Errors
    /// Whatever writing fails with.
    pub async fn write_watching(
        &mut self,
        head: &mut Vec<u8>,
        parts: &[impl AsRef<[u8]>],
        stop: impl Fn(&[u8]) -> bool,
    ) -> io::Result<bool> {
        let total: usize = parts.iter().map(|part| part.as_ref().len()).sum();
        let parts = if total < JOIN_BELOW {
            head.reserve(total);
            parts.iter().for_each(|part| head.extend_from_slice(part.as_ref()));
            &[]
        } else {
            parts
        };
        let mut listening = true;
        for part in std::iter::once(head.as_slice()).chain(parts.iter().map(AsRef::as_ref)) {
            let mut rest = part;
            while !rest.is_empty() {
                let sent = poll_fn(|cx| {
                    if let Poll::Ready(sent) = Pin::new(&mut self.io).poll_write(cx, rest) {
                        return Poll::Ready(sent);
                    }
                    if listening
                        && self.input.len() < SCRATCH
                        && let Poll::Ready(heard) = self.poll_fill(cx)
                    {
                        // The end of the peer's sending side is not the end of its reading side.
                        listening = matches!(heard, Ok(n) if n > 0);
                        return Poll::Ready(Ok(0));
                    }
                    Poll::Pending
                })
                .await?;
                if sent == 0 && stop(&self.input) {
                    head.clear();
                    return Ok(false);
                }
                rest = &rest[sent..];
            }
        }
        head.clear();
        self.io.flush().await?;
        Ok(true)
    }
}
