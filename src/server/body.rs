//! Request bodies of HTTP/1.1: framing, `100-continue`, limits, slow clients.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::gateway::{BodyBudget, BodyLength, Held, ReadError};
use crate::http1::{BodyDecoder, Decoded, Framing};
use crate::upstream::within;
use crate::wire::Wire;

/// Bodies beyond this are not kept by the connection that they came on.
const LARGE: usize = 32 * 1024;

/// One request's body on its way in.
#[derive(Debug)]
pub(super) struct BodyIn {
    decoder: BodyDecoder,
    length: BodyLength,
    /// The client waits to be asked (RFC 9110, 10.1.1).
    expects: bool,
    patience: Duration,
}

impl BodyIn {
    pub(super) fn new(framing: Framing, expects: bool, patience: Duration) -> Self {
        let length = match framing {
            Framing::Length(0) | Framing::None => BodyLength::None,
            Framing::Length(length) => BodyLength::Known(length),
            Framing::Chunked | Framing::UntilClose => BodyLength::Unknown,
        };
        Self { decoder: BodyDecoder::new(framing), length, expects: expects && length != BodyLength::None, patience }
    }

    pub(super) fn length(&self) -> BodyLength {
        self.length
    }

    /// Whether all of it has been read, so that the next request can follow.
    pub(super) fn is_done(&self) -> bool {
        self.length == BodyLength::None || self.decoder.is_done()
    }

    /// Reads all of it.
    pub(super) async fn read<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        limit: usize,
        budget: &BodyBudget,
    ) -> Result<(Bytes, Held), ReadError> {
        let mut held = budget.open();
        if self.length == BodyLength::None {
            return Ok((Bytes::new(), held));
        }
        let mut expected = 0;
        if let BodyLength::Known(length) = self.length {
            expected = usize::try_from(length).ok().filter(|l| *l <= limit).ok_or(ReadError::TooLarge { limit })?;
            if !held.grow_to(expected) {
                return Err(ReadError::OverBudget);
            }
            if wire.input.len() < expected {
                wire.input.reserve(expected - wire.input.len());
            }
        }
        let mut whole = BytesMut::new();
        let mut only: Option<Bytes> = None;
        loop {
            // A body of known length is taken out in one piece, once it is here.
            if wire.input.len() >= expected {
                expected = 0;
                match self.take(wire)? {
                    Decoded::Data(data) => {
                        let total = only.as_ref().map_or(whole.len(), Bytes::len) + data.len();
                        if total > limit {
                            return Err(ReadError::TooLarge { limit });
                        }
                        if !held.grow_to(total) {
                            return Err(ReadError::OverBudget);
                        }
                        match only.take() {
                            None if whole.is_empty() => only = Some(data),
                            first => {
                                if let Some(first) = first {
                                    whole.extend_from_slice(&first);
                                }
                                whole.extend_from_slice(&data);
                            }
                        }
                        continue;
                    }
                    Decoded::Done => {
                        // What is left of a buffer that held a large body would keep all of it for as long as the
                        // connection lives.
                        if only.as_ref().is_some_and(|body| body.len() > LARGE) {
                            wire.input = BytesMut::from(&wire.input[..]);
                        }
                        return Ok((only.unwrap_or_else(|| whole.freeze()), held));
                    }
                    Decoded::NeedMore => {}
                }
            }
            self.ask(wire).await?;
            let missing = expected.saturating_sub(wire.input.len());
            let filled = within(self.patience, pin!(wire.fill_large(missing))).await;
            match filled.map_err(|_| ReadError::Timeout)? {
                Ok(0) | Err(_) => return Err(ReadError::Closed),
                Ok(_) => {}
            }
        }
    }

    /// Reads the next part of it.
    pub(super) async fn next<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
    ) -> Result<Option<Bytes>, ReadError> {
        if self.length == BodyLength::None {
            return Ok(None);
        }
        loop {
            match self.take(wire)? {
                Decoded::Data(data) => return Ok(Some(data)),
                Decoded::Done => return Ok(None),
                Decoded::NeedMore => {}
            }
            self.ask(wire).await?;
            match within(self.patience, pin!(wire.fill())).await.map_err(|_| ReadError::Timeout)? {
                Ok(0) | Err(_) => return Err(ReadError::Closed),
                Ok(_) => {}
            }
        }
    }

    fn take<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>) -> Result<Decoded, ReadError> {
        self.decoder.decode(&mut wire.input).map_err(|error| ReadError::Malformed(error.to_string()))
    }

    async fn ask<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>) -> Result<(), ReadError> {
        if std::mem::take(&mut self.expects) && wire.input.is_empty() {
            let mut out = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
            wire.write(&mut out, &[] as &[Bytes]).await.map_err(|_| ReadError::Closed)?;
        }
        Ok(())
    }
}
