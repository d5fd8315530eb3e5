//! Bodies: whole ones out, bounded ones in.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::text;

/// A body that is there as a whole.
#[derive(Debug, Default)]
pub(in crate::control) struct Whole(Bytes);

impl From<Bytes> for Whole {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// What bodies of requests may take.
pub(in crate::control) struct Bodies {
    /// One body, in bytes.
    most: usize,
    /// All bodies in flight together, in KiB.
    budget: Arc<Semaphore>,
    patience: Duration,
}

/// A body that was read, and its part of the budget.
pub(in crate::control) struct Read {
    pub(in crate::control) bytes: Vec<u8>,
    _share: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// So many bytes for one, so many KiB for all together, so much time for one.
    pub(in crate::control) fn new(most: usize, budget_kib: usize, patience: Duration) -> Self {
        Self { most, budget: Arc::new(Semaphore::new(budget_kib)), patience }
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    /// The answer to give instead.
    pub(in crate::control) async fn read(&self, request: Request<Incoming>) -> Result<Read, Response<Whole>> {
        match tokio::time::timeout(self.patience, self.whole(request.into_body())).await {
            Ok(read) => read,
            Err(_) => Err(text(StatusCode::REQUEST_TIMEOUT, "the body took too long\n")),
        }
    }

    async fn whole(&self, mut body: Incoming) -> Result<Read, Response<Whole>> {
        let too_large =
            || text(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {} KiB\n", self.most >> 10));
        if body.size_hint().lower() > self.most as u64 {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        let mut share: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let frame =
                frame.map_err(|error| text(StatusCode::BAD_REQUEST, format!("the body broke off: {error}\n")))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > self.most {
                return Err(too_large());
            }
            let held = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            let wanted = (bytes.len() + data.len()).div_ceil(1024).saturating_sub(held);
            let more = Arc::clone(&self.budget).try_acquire_many_owned(u32::try_from(wanted).unwrap_or(u32::MAX));
            let Ok(more) = more else {
                return Err(text(StatusCode::SERVICE_UNAVAILABLE, "too many bodies in flight\n"));
            };
            match &mut share {
                Some(share) => share.merge(more),
                None => share = Some(more),
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Read { bytes, _share: share })
    }
}

/// The media type of a request, without its parameters, in lower case.
pub(in crate::control) fn content_type(request: &Request<Incoming>) -> String {
    let value = request.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
