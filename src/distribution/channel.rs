//! Frames over a byte stream. What waits for the next frame holds no buffer: there may be ten thousand of them.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::ready;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::frame::{Frame, decode};

/// How much is read at once, on the stack.
const PIECE: usize = 4 << 10;

/// One end of a connection.
#[derive(Debug)]
pub struct Channel<S> {
    stream: S,
    /// What has come and was not taken yet.
    pub input: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    /// Frames over this stream.
    pub fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::new() }
    }

    /// The stream.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Reads once more; 0 is the end. Cancel-safe.
    ///
    /// # Errors
    /// As the stream's.
    pub async fn fill(&mut self) -> io::Result<usize> {
        let Self { stream, input } = self;
        poll_fn(|cx| {
            let mut space = [const { MaybeUninit::uninit() }; PIECE];
            let mut piece = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut piece))?;
            input.extend_from_slice(piece.filled());
            std::task::Poll::Ready(Ok(piece.filled().len()))
        })
        .await
    }

    /// The next frame, at most as long as `most` says by its kind; `None` at the end of the stream. Cancel-safe.
    ///
    /// # Errors
    /// As the stream's; a frame that is too long or not whole.
    pub async fn next(&mut self, most: fn(u8) -> usize) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = decode(&mut self.input, most).map_err(io::Error::other)? {
                if self.input.is_empty() {
                    self.input = BytesMut::new();
                }
                return Ok(Some(frame));
            }
            match self.fill().await {
                Ok(0) if self.input.is_empty() => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                // A TLS peer that closes without a word, between frames.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.input.is_empty() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends bytes, and sees to it that they go.
    ///
    /// # Errors
    /// As the stream's.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::super::ToControl;
    use super::*;

    #[tokio::test]
    async fn an_end_between_frames_is_an_end_and_an_end_inside_one_is_an_error() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut channel = Channel::new(near);
        let mut wire = Vec::new();
        ToControl::Ack { hash: "0123".into() }.write(&mut wire);
        far.write_all(&[&wire[..], &wire[..3]].concat()).await.unwrap();
        drop(far);
        assert!(channel.next(ToControl::most).await.unwrap().is_some());
        let error = channel.next(ToControl::most).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let (near, far) = tokio::io::duplex(64);
        drop(far);
        assert!(Channel::new(near).next(ToControl::most).await.unwrap().is_none());
    }
}
