//! One HTTP/2 stream to a provider, on a connection that Pingora multiplexes.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Version};
use pingora_core::protocols::SocketDigest;
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_http::RequestHeader;
use smallvec::SmallVec;

use super::error::ExchangeError;
use super::head::{OutHead, RequestBody};
use crate::http1::{self, Headers, ResponseHead};

/// One HTTP/2 stream.
pub(super) struct H2 {
    session: Http2Session,
    trailers: Option<Headers>,
}

fn failed(error: impl std::fmt::Display) -> ExchangeError {
    ExchangeError::Http2(error.to_string())
}

impl H2 {
    pub(super) fn new(session: Http2Session) -> Self {
        Self { session, trailers: None }
    }

    pub(super) async fn send(&mut self, head: &OutHead, body: RequestBody<'_>) -> Result<(), ExchangeError> {
        let mut request = RequestHeader::build(head.method.clone(), head.target.as_bytes(), None).map_err(failed)?;
        request.set_version(Version::HTTP_2);
        request.insert_header("host", &*head.authority).map_err(failed)?;
        for (name, value) in head.pairs() {
            let name = http::HeaderName::from_bytes(name).map_err(failed)?;
            let value = http::HeaderValue::from_bytes(value).map_err(failed)?;
            request.append_header(name, value).map_err(failed)?;
        }
        let length = match body {
            RequestBody::None | RequestBody::Streamed(None) => None,
            RequestBody::Whole(bytes) => Some(bytes.len() as u64),
            RequestBody::Streamed(length) => length,
        };
        if let Some(length) = length {
            request.insert_header("content-length", length.to_string()).map_err(failed)?;
        }
        let (whole, end) = match body {
            RequestBody::None => (None, true),
            RequestBody::Whole(bytes) => (Some(bytes).filter(|b| !b.is_empty()), bytes.is_empty()),
            RequestBody::Streamed(_) => (None, false),
        };
        self.session.write_request_header(Box::new(request), end).map_err(failed)?;
        if let Some(bytes) = whole {
            self.session.write_request_body(bytes.clone(), true).await.map_err(failed)?;
        }
        Ok(())
    }

    pub(super) async fn send_chunk(&mut self, chunk: &Bytes) -> Result<(), ExchangeError> {
        self.session.write_request_body(chunk.clone(), false).await.map_err(failed)
    }

    pub(super) fn end_body(&mut self) -> Result<(), ExchangeError> {
        self.session.finish_request_body().map_err(failed)
    }

    pub(super) async fn response(&mut self) -> Result<ResponseHead, ExchangeError> {
        self.session.read_response_header().await.map_err(failed)?;
        let header = self.session.response_header().ok_or(ExchangeError::ClosedBeforeHead)?;
        let headers = Headers::from_pairs(header.headers.iter().map(|(n, v)| (n.as_str().as_bytes(), v.as_bytes())));
        Ok(ResponseHead { status: header.status.as_u16(), version: http1::Version::Http2, headers })
    }

    pub(super) async fn chunks(&mut self, out: &mut SmallVec<[Bytes; 4]>) -> Result<bool, ExchangeError> {
        loop {
            match self.session.read_response_body().await.map_err(failed)? {
                Some(bytes) if bytes.is_empty() => {}
                Some(bytes) => {
                    out.push(bytes);
                    return Ok(true);
                }
                None => {
                    self.trailers = self.session.read_trailers().await.map_err(failed)?.as_ref().map(pairs);
                    return Ok(false);
                }
            }
        }
    }

    pub(super) fn trailers(&self) -> Option<&Headers> {
        self.trailers.as_ref()
    }

    /// The connection's socket, for what the kernel knows of it.
    pub(super) fn socket(&self) -> Option<Arc<SocketDigest>> {
        self.session.digest()?.socket_digest.clone()
    }

    pub(super) fn is_reusable(&self) -> bool {
        self.session.response_finished()
    }

    /// Resets the stream: the provider shall stop.
    pub(super) fn cancel(&mut self) {
        self.session.shutdown();
    }

    pub(super) fn into_session(self) -> Http2Session {
        self.session
    }
}

fn pairs(map: &HeaderMap) -> Headers {
    Headers::from_pairs(map.iter().map(|(n, v)| (n.as_str().as_bytes(), v.as_bytes())))
}
