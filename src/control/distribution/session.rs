//! One sidecar, from its arrival to its end.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::server::TlsStream;

use super::reviews::{Identity, Refusal};
use super::{Counted, Distribution};
use crate::control::snapshots::Seat;
use crate::distribution::{Channel, Frame, MAX_SMALL, PATH, PROTOCOL, ToControl, ToSidecar, up_to};
use crate::http1::{self, RequestHead, parse_request};
use crate::telemetry::Every;

/// So much of what a sidecar does not take is held for it by TLS; the kernel holds some more.
pub(super) const UNSENT: usize = 16 << 10;
/// It says no more than this between two pings.
const TALKATIVE: u32 = 64;

/// For a sidecar to close, after what was said last.
const LINGER: Duration = Duration::from_secs(1);

/// A sidecar's connection.
type Line = Channel<TlsStream<TcpStream>>;

/// Why a connection ended before the sidecar was let in: the label in metrics.
struct Turned(&'static str);

/// A sidecar that was let in.
struct Sidecar {
    line: Line,
    seat: Seat,
    /// What it runs, by its own word.
    holds: Option<String>,
    /// What it was sent and has not answered yet: whether it runs that, nobody knows.
    asked: Option<String>,
    /// When its token, or the time that any connection has, runs out.
    until: Instant,
}

/// Serves one connection to its end.
pub(super) async fn run(
    counted: Counted,
    socket: TcpStream,
    arriving: OwnedSemaphorePermit,
    stop: watch::Receiver<bool>,
) {
    let server = &*counted.0;
    // In a box of its own: what an arrival needs is not held by those who have arrived.
    let arrived = timeout(server.bounds.arrival, Box::pin(arrive(&counted.0, socket))).await;
    drop(arriving);
    match arrived {
        Ok(Ok(sidecar)) => {
            server.count("accepted");
            let ended = serve(server, sidecar, stop).await;
            server.telemetry.metrics().control_connections_ended.with([ended]).inc();
        }
        Ok(Err(Turned(why))) => server.count(why),
        Err(_) => server.count("too_slow"),
    }
}

async fn arrive(server: &Arc<Distribution>, socket: TcpStream) -> Result<Sidecar, Turned> {
    let stream = server.handshake(socket).await.map_err(|error| {
        tracing::debug!(%error, "TLS with a sidecar");
        Turned("tls")
    })?;
    let mut line = Channel::new(stream);
    let head = request(&mut line).await?;
    let token = match bearer(&head) {
        Ok(token) => token,
        Err((status, why)) => return Err(refuse(&mut line, status, why, "malformed").await),
    };
    let identity = match server.reviews.review(token).await {
        Ok(identity) => identity,
        Err(refusal) => {
            static SAID: Every = Every::new(Duration::from_secs(10));
            if let Some(more) = SAID.ready() {
                tracing::warn!(more, "a sidecar is not let in: {refusal}");
            }
            let (status, label) = match refusal {
                Refusal::Denied(_) => (401, "denied"),
                Refusal::Unavailable(_) => (503, "unreviewed"),
            };
            return Err(refuse(&mut line, status, &refusal.to_string(), label).await);
        }
    };
    drop(head);
    line.input = bytes::BytesMut::new();
    let mut answer = Vec::with_capacity(256);
    http1::write_status_line(&mut answer, 101);
    http1::write_header(&mut answer, b"connection", b"Upgrade");
    http1::write_header(&mut answer, b"upgrade", PROTOCOL.as_bytes());
    answer.extend_from_slice(b"\r\n");
    ToSidecar::Ping { next: server.bounds.ping }.write(&mut answer);
    line.send(&answer).await.map_err(|_| Turned("gone"))?;
    let holds = hello(&mut line).await?;
    let seat = server.snapshots.join(&identity.namespace, identity.pod.as_deref());
    let until = Instant::now() + span(&identity, server.bounds.lifetime);
    Ok(Sidecar { line, seat, holds, asked: None, until })
}

async fn request(line: &mut Line) -> Result<RequestHead, Turned> {
    loop {
        match parse_request(&mut line.input, 2 * MAX_SMALL) {
            Ok(Some(head)) => return Ok(head),
            Ok(None) => {
                if line.fill().await.map_or(true, |n| n == 0) {
                    return Err(Turned("gone"));
                }
            }
            Err(error) => return Err(refuse(line, error.status(), &error.to_string(), "malformed").await),
        }
    }
}

/// The token of a request for tables, or what is wrong with the request.
fn bearer(head: &RequestHead) -> Result<&str, (u16, &'static str)> {
    if head.path() != PATH || head.method != http::Method::GET {
        return Err((404, "here is GET /v1/tables alone"));
    }
    let offered = head.headers.get_all("upgrade").flat_map(|value| value.split(|byte| *byte == b','));
    if !offered.map(<[u8]>::trim_ascii).any(|name| name == PROTOCOL.as_bytes()) {
        return Err((426, "the protocol here is faregate-tables/1, asked for by Upgrade"));
    }
    let value = head.headers.get("authorization").and_then(|value| std::str::from_utf8(value).ok());
    let token =
        value.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
        .ok_or((401, "a token is wanted: Authorization: Bearer"))
}

/// Answers, and waits a little for the answer to be taken.
async fn refuse(line: &mut Line, status: u16, why: &str, label: &'static str) -> Turned {
    let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect();
    let mut answer = Vec::with_capacity(256 + why.len());
    http1::write_status_line(&mut answer, status);
    http1::write_header(&mut answer, b"content-type", b"text/plain; charset=utf-8");
    http1::write_header(&mut answer, b"content-length", (why.len() + 1).to_string().as_bytes());
    http1::write_header(&mut answer, b"connection", b"close");
    if status == 426 {
        http1::write_header(&mut answer, b"upgrade", PROTOCOL.as_bytes());
    }
    answer.extend_from_slice(format!("\r\n{why}\n").as_bytes());
    if line.send(&answer).await.is_ok() {
        linger(line).await;
    }
    Turned(label)
}

/// Closes, and reads away what was still on its way here: it would turn the close into a reset, and lose what was said
/// last.
async fn linger(line: &mut Line) {
    use tokio::io::AsyncWriteExt;
    let read_away = async {
        let _closing = line.stream_mut().shutdown().await;
        line.input.clear();
        while line.input.len() < 4 * MAX_SMALL && line.fill().await.is_ok_and(|n| n > 0) {}
    };
    let _done = timeout(LINGER, read_away).await;
}

async fn hello(line: &mut Line) -> Result<Option<String>, Turned> {
    let frame = line.next(ToControl::most).await.map_err(|_| Turned("malformed"))?.ok_or(Turned("gone"))?;
    match ToControl::read(frame) {
        Ok(ToControl::Hello { table, .. }) => Ok(table),
        _ => Err(Turned("malformed")),
    }
}

/// How long a connection lasts: a little less than its token, so that not all end at the same moment, and the kubelet
/// (which replaces tokens at four fifths of their life) has put a fresh one there.
fn span(identity: &Identity, most: Duration) -> Duration {
    let left = identity.expires.map_or(most, |at| at.duration_since(SystemTime::now()).unwrap_or_default()).min(most);
    left - up_to(left / 10)
}

async fn serve(server: &Distribution, mut sidecar: Sidecar, mut stop: watch::Receiver<bool>) -> &'static str {
    let mut trust = server.trust.clone();
    match attend(server, &mut sidecar, &mut trust, &mut stop).await {
        Ok((label, reason)) => {
            if send(server, &mut sidecar.line, &ToSidecar::Bye { reason: reason.into() }).await.is_ok() {
                Box::pin(linger(&mut sidecar.line)).await;
            }
            label
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => "slow",
        Err(error) if error.kind() == io::ErrorKind::Other => "protocol",
        Err(_) => "closed",
    }
}

/// What a connection waits for.
enum Event {
    Said(Option<Frame>),
    Table,
    Trust,
    Time,
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _told_or_gone = stop.wait_for(|stop| *stop).await;
}

/// Goes on until there is a reason to say goodbye: its label, and itself.
async fn attend(
    server: &Distribution,
    sidecar: &mut Sidecar,
    trust: &mut watch::Receiver<Arc<str>>,
    stop: &mut watch::Receiver<bool>,
) -> io::Result<(&'static str, &'static str)> {
    tell_trust(server, &mut sidecar.line, trust).await?;
    offer(server, sidecar).await?;
    let mut next_ping = Instant::now() + server.bounds.ping;
    let (mut unanswered, mut said) = (0, 0);
    loop {
        let event = tokio::select! {
            frame = sidecar.line.next(ToControl::most) => Event::Said(frame?),
            () = sidecar.seat.changed() => Event::Table,
            Ok(()) = trust.changed() => Event::Trust,
            () = sleep_until(next_ping.min(sidecar.until)) => Event::Time,
            () = stopped(stop) => return Ok(("stopped", "control stops; come again")),
        };
        let frame = match event {
            Event::Said(frame) => frame,
            Event::Table => {
                offer(server, sidecar).await?;
                continue;
            }
            Event::Trust => {
                tell_trust(server, &mut sidecar.line, trust).await?;
                continue;
            }
            Event::Time if Instant::now() >= sidecar.until => {
                return Ok(("expired", "the token runs out; come with a fresh one"));
            }
            Event::Time if unanswered >= 2 => return Ok(("silent", "no answer to pings")),
            Event::Time => {
                next_ping += server.bounds.ping;
                (unanswered, said) = (unanswered + 1, 0);
                send(server, &mut sidecar.line, &ToSidecar::Ping { next: server.bounds.ping }).await?;
                continue;
            }
        };
        let Some(frame) = frame else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        (unanswered, said) = (0, said + 1);
        if said > TALKATIVE {
            return Ok(("protocol", "too many frames"));
        }
        match ToControl::read(frame).map_err(io::Error::other)? {
            ToControl::Ack { hash } => {
                sidecar.seat.acked(&hash);
                sidecar.asked.take_if(|asked| *asked == hash);
                sidecar.holds = Some(hash);
            }
            ToControl::Nack { hash, reason } => {
                sidecar.seat.nacked(&hash, &reason);
                sidecar.asked.take_if(|asked| *asked == hash);
            }
            ToControl::Hello { .. } => return Ok(("protocol", "a second hello")),
            ToControl::Pong | ToControl::Unknown => {}
        }
    }
}

/// Gives the sidecar its table, or says that it has it.
async fn offer(server: &Distribution, sidecar: &mut Sidecar) -> io::Result<()> {
    match sidecar.seat.current() {
        None => send(server, &mut sidecar.line, &ToSidecar::None).await,
        Some(published) if sidecar.asked.is_none() && sidecar.holds.as_deref() == Some(&*published.snapshot.hash) => {
            let hash = published.snapshot.hash.to_string();
            send(server, &mut sidecar.line, &ToSidecar::Keep { hash }).await
        }
        Some(published) => {
            let frame = &published.snapshot.frame;
            sidecar.asked = Some(published.snapshot.hash.to_string());
            put(server, &mut sidecar.line, frame).await?;
            server.telemetry.metrics().control_pushed_bytes.with([]).add(frame.len() as u64);
            Ok(())
        }
    }
}

async fn tell_trust(server: &Distribution, line: &mut Line, trust: &mut watch::Receiver<Arc<str>>) -> io::Result<()> {
    let pem = trust.borrow_and_update().clone();
    if pem.is_empty() { Ok(()) } else { send(server, line, &ToSidecar::Trust { pem: (&*pem).into() }).await }
}

async fn send(server: &Distribution, line: &mut Line, message: &ToSidecar) -> io::Result<()> {
    let mut frame = Vec::new();
    message.write(&mut frame);
    put(server, line, &frame).await
}

/// Sends a frame. What the sidecar does not take in time it need not take any more.
async fn put(server: &Distribution, line: &mut Line, frame: &[u8]) -> io::Result<()> {
    let patience = server.bounds.write + Duration::from_secs(frame.len() as u64 / server.bounds.slowest.max(1));
    timeout(patience, line.send(frame)).await?
}
