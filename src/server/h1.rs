//! HTTP/1.1 connections of clients: one call after the other, until either side has enough.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;

use super::body::BodyIn;
use super::downstream::H1Call;
use super::inbound::Inbound;
use crate::config::file::{ClientTimeouts, HalfClose};
use crate::dialect::{self, DialectId};
use crate::error::{ClientError, Kind};
use crate::gateway::{Answer, Downstream, End};
use crate::http1::{self, RequestHead};
use crate::upstream::{Patience, within};
use crate::wire::Wire;

/// After an answer that ends a connection early, so much of what the client still sends is read away, so that the
/// answer is not lost to a reset (RFC 9112, 9.6).
const LINGER_BYTES: usize = 64 * 1024 * 1024;
/// And for so long.
const LINGER: Duration = Duration::from_secs(5);

/// What serves the calls of a listener.
pub trait Handler: Send + Sync + 'static {
    /// Serves one call.
    fn call<D: Downstream>(
        &self,
        head: &RequestHead,
        down: &mut D,
        accepted: Instant,
    ) -> impl Future<Output = ()> + Send;

    /// Whether connections end after their call.
    fn is_stopping(&self) -> bool {
        false
    }
}

/// How connections of a listener are treated.
#[derive(Debug, Clone)]
pub struct Manners {
    /// Largest request head in bytes.
    pub max_head: usize,
    /// Head, body, idle and write patience.
    pub timeouts: ClientTimeouts,
    /// What a half-close means.
    pub half_close: HalfClose,
}

/// Serves one connection to its end.
pub async fn serve_connection<H: Handler>(handler: Arc<H>, stream: Inbound, manners: Arc<Manners>) {
    let mut wire = Wire::new(stream);
    let mut patience = Patience::default();
    while let Some(true) = serve_one(&*handler, &mut wire, &manners, &mut patience).await {}
}

/// Serves one call; `Some(true)`: another may follow.
async fn serve_one<H: Handler>(
    handler: &H,
    wire: &mut Wire<Inbound>,
    manners: &Manners,
    patience: &mut Patience,
) -> Option<bool> {
    if wire.input.is_empty() {
        let filled = patience.within(manners.timeouts.idle.0, pin!(wire.fill())).await.ok()?.ok()?;
        if filled == 0 {
            return None;
        }
    }
    let head = match read_head(wire, manners).await? {
        Ok(head) => head,
        Err(error) => return Box::pin(refuse(wire, manners, &error)).await,
    };
    let accepted = Instant::now();
    let framing = match http1::request_framing(&head) {
        Ok(framing) => framing,
        Err(error) => {
            let error = ClientError::new(Kind::BadRequest, error.to_string());
            return Box::pin(refuse_in(wire, manners, &error, dialect_of(&head.method, head.path()))).await;
        }
    };
    if head.method == Method::CONNECT {
        let error = ClientError::new(Kind::BadRequest, "CONNECT is not served here");
        return Box::pin(refuse_in(wire, manners, &error, DialectId::OpenAi)).await;
    }
    let mut call = H1Call {
        wire,
        patience,
        body: BodyIn::new(framing, http1::expects_continue(&head), manners.timeouts.body.0),
        out: Vec::new(),
        version: head.version,
        half_close: manners.half_close,
        write_patience: manners.timeouts.write.0,
        head_only: head.method == Method::HEAD,
        takes_trailers: http1::takes_trailers(&head),
        keep: http1::keeps_alive(head.version, &head.headers) && !handler.is_stopping(),
        chunked: false,
        answered: false,
    };
    handler.call(&head, &mut call, accepted).await;
    let (again, unread) = (call.keep && call.answered && call.body.is_done(), !call.body.is_done());
    if !again && call.answered && unread {
        Box::pin(linger(wire)).await;
    }
    Some(again)
}

/// Reads a head; `None`: the client went away before it was complete.
async fn read_head(wire: &mut Wire<Inbound>, manners: &Manners) -> Option<Result<RequestHead, ClientError>> {
    let parse = |wire: &mut Wire<Inbound>| {
        http1::parse_request(&mut wire.input, manners.max_head).map_err(|error| {
            let kind = if error.is_too_large() { Kind::HeadTooLarge } else { Kind::BadRequest };
            ClientError::new(kind, error.to_string())
        })
    };
    // Nearly always all of it came with the first read.
    match parse(wire) {
        Ok(None) => {}
        Ok(Some(head)) => return Some(Ok(head)),
        Err(error) => return Some(Err(error)),
    }
    let rest = async {
        loop {
            if wire.fill().await.ok()? == 0 {
                return None;
            }
            match parse(wire) {
                Ok(None) => {}
                Ok(Some(head)) => return Some(Ok(head)),
                Err(error) => return Some(Err(error)),
            }
        }
    };
    match within(manners.timeouts.head.0, pin!(rest)).await {
        Ok(read) => read,
        Err(_) => Some(Err(ClientError::new(Kind::RequestTimeout, "the request's head did not arrive in time"))),
    }
}

/// Answers something that is no proper request, and closes.
async fn refuse(wire: &mut Wire<Inbound>, manners: &Manners, error: &ClientError) -> Option<bool> {
    // The request line may still tell which dialect the client speaks.
    let line = wire.input.as_ref().split(|b| *b == b'\r' || *b == b'\n').next().unwrap_or_default();
    let path = line.split(|b| *b == b' ').nth(1).and_then(|path| std::str::from_utf8(path).ok());
    let dialect = path.map_or(DialectId::OpenAi, |path| dialect_of(&Method::POST, path));
    refuse_in(wire, manners, error, dialect).await
}

async fn refuse_in(
    wire: &mut Wire<Inbound>,
    manners: &Manners,
    error: &ClientError,
    dialect: DialectId,
) -> Option<bool> {
    let body: Bytes = dialect::encode_error(dialect, error, "");
    let answer = Answer::json(error.status(), &body);
    let mut call = H1Call {
        wire,
        patience: &mut Patience::default(),
        body: BodyIn::new(http1::Framing::None, false, Duration::ZERO),
        out: Vec::new(),
        version: http1::Version::Http11,
        half_close: manners.half_close,
        write_patience: manners.timeouts.write.0,
        head_only: false,
        takes_trailers: false,
        keep: false,
        chunked: false,
        answered: false,
    };
    call.start(&answer);
    call.send(&[body], End::Now(None)).await.ok()?;
    Box::pin(linger(wire)).await;
    None
}

fn dialect_of(method: &Method, path: &str) -> DialectId {
    let path = path.split('?').next().unwrap_or_default();
    let bare = || path.get(1..)?.find('/').and_then(|at| dialect::recognise(method, &path[at + 1..]));
    dialect::recognise(method, path).or_else(bare).map_or(DialectId::OpenAi, |api| api.dialect)
}

pub(super) async fn linger(wire: &mut Wire<Inbound>) {
    use tokio::io::AsyncWriteExt;
    let read_away = async {
        let _closing = wire.io_mut().shutdown().await;
        let mut seen = wire.input.len();
        while seen < LINGER_BYTES {
            wire.input.clear();
            match wire.fill().await {
                Ok(n) if n > 0 => seen += n,
                _ => return,
            }
        }
    };
    let _done = within(LINGER, pin!(read_away)).await;
}
