//! Calls that are passed through: files, images, audio, batches, vendors' own APIs, whatever a provider offers. Bodies
//! stream both ways, so there is one attempt only. Where an answer tells of usage it is read on its way, without
//! holding back a byte; all others go by unread.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;

use super::attempt::feed;
use super::attempts::unless_gone;
use super::call::Call;
use super::downstream::{BodyLength, Downstream, End, ReadError};
use super::failure::{Failure, Refusal};
use super::forward::{self, Marks};
use super::outgoing::Outgoing;
use super::relay::{drain, note, settle};
use super::waits::noting_waits;
use super::{paths, report, rescue, tunnel};
use crate::config::file::OnDisconnect;
use crate::dialect::{NativeCall, RequestTap, Tap};
use crate::error::{ClientError, Kind};
use crate::http1::{self, Headers, ResponseHead};
use crate::metering::{Exchange, Outcome};
use crate::routing::{Endpoint, Route, Target};
use crate::upstream::{Conn, ExchangeError, KeyInjection, OutHead, RequestBody, within};

/// How an exchange ended, where no answer came of it.
enum Broken {
    Client(ReadError),
    Upstream(ExchangeError),
    Slow(Duration),
}

/// A request's body on its way.
struct Upload {
    /// The route's.
    limit: Option<usize>,
    asked: Option<RequestTap>,
}

/// Serves a call of which nothing is read beforehand.
pub(super) async fn serve<D: Downstream>(
    call: &Call<'_>,
    down: &mut D,
    exchange: &mut Exchange,
) -> Result<(), ClientError> {
    let inconsistent = || ClientError::new(Kind::Internal, "the routing table is inconsistent");
    let native = call.native.as_ref();
    let model = native.and_then(NativeCall::model);
    exchange.set_request(model.as_deref().map(Arc::from), native.is_some_and(|native| native.streams), 0);
    exchange.pass_through();
    let mut selection = call.select(None, call.accepted, exchange, &|| call.seed)?;
    exchange.set_route(&selection.route.name);
    selection.candidates.truncate(1);
    let candidate = selection.candidates.first().ok_or_else(inconsistent)?;
    let target = &*candidate.target;
    let link = call.live.upstreams.link(&target.provider).ok_or_else(inconsistent)?;
    let endpoint = target.provider.endpoint(call.dialect).ok_or_else(inconsistent)?;
    let limit = selection.route.max_body;
    let mut upload =
        Upload { limit, asked: native.and_then(|native| native.request_tap(|name| call.head.headers.get(name))) };
    if let (Some(limit), BodyLength::Known(length)) = (limit, down.body_length())
        && usize::try_from(length).map_or(true, |length| length > limit)
    {
        return Err(too_large(limit));
    }
    let _running = call.admit(&selection.route)?;
    let key = link.credential().inject(call.dialect, call.addresses(&target.provider));
    let marks = Marks {
        route: Some(selection.route.name.clone()),
        provider: Some(target.provider.name.clone()),
        model: None,
        attempts: 1,
    };
    if down.body_length() == BodyLength::None {
        exchange.body_complete();
    }
    exchange.begin_attempt(call.live.meter(target).ok_or_else(inconsistent)?);
    exchange.attempt_at(&endpoint.host, endpoint.port);
    if matches!(key, KeyInjection::Missing) {
        return fail(call, target, Failure::no_key(&target.provider.name), &marks, down, exchange).await;
    }
    let upgrade = wants_upgrade(&call.head.headers) && down.can_tunnel();
    let head = out_head(call, target, endpoint, &key, upgrade, exchange);
    let body = match down.body_length() {
        BodyLength::None => RequestBody::None,
        BodyLength::Known(length) => RequestBody::Streamed(Some(length)),
        BodyLength::Unknown => RequestBody::Streamed(None),
    };
    // An upload cannot be sent twice, so it does not trust a kept connection, which may have died.
    let replayable = matches!(body, RequestBody::None) && call.head.method.is_idempotent() && !upgrade;
    let mut fresh = !replayable;
    let (conn, answered) = loop {
        let opened = link.open(endpoint, target.timeouts.connect, (!fresh).then(Instant::now));
        let opened = match unless_gone(down, pin!(opened)).await {
            None => {
                exchange.end_attempt(Outcome::ClientDisconnected);
                return Ok(());
            }
            Some(Err(error)) => return fail(call, target, Failure::connect(error), &marks, down, exchange).await,
            Some(Ok(opened)) => opened,
        };
        exchange.attempt_connected(opened.reused, opened.took);
        let mut conn = opened.conn;
        let talked = talk(&mut conn, &head, body, target, &mut upload, down, exchange).await;
        if let Some(asked) = &upload.asked {
            exchange.set_asked(asked.model().as_deref(), asked.stream());
        }
        let failure = match talked {
            Ok(Some(answered)) => break (conn, answered),
            Ok(None) => {
                exchange.end_attempt(Outcome::ClientDisconnected);
                return Ok(());
            }
            Err(Broken::Upstream(error)) if opened.reused && !fresh && error.is_silence() => {
                fresh = true;
                continue;
            }
            Err(Broken::Upstream(error)) => Failure::broken(error),
            Err(Broken::Slow(patience)) => Failure::timeout(patience),
            Err(Broken::Client(error)) => {
                exchange.end_attempt(Outcome::ClientInvalid);
                return rescue::of_read(error).map_or(Ok(()), Err);
            }
        };
        return fail(call, target, failure, &marks, down, exchange).await;
    };
    exchange.response_head(answered.status);
    if answered.status == 101 && upgrade {
        target.health.record(true, Instant::now());
        return tunnel::run(call, conn, &answered, &marks, down, exchange).await;
    }
    carry(call, (&selection.route, target), conn, &answered, &marks, down, exchange).await;
    Ok(())
}

/// Carries the answer to the client, however it ends, and notes what it said.
async fn carry<D: Downstream>(
    call: &Call<'_>,
    (route, target): (&Route, &Target),
    mut conn: Conn,
    answered: &ResponseHead,
    marks: &Marks,
    down: &mut D,
    exchange: &mut Exchange,
) {
    let native = call.native.as_ref().filter(|_| (200..300).contains(&answered.status));
    let mut tap = native.and_then(|native| Tap::of_native(native, |name| answered.headers.get(name)));
    exchange.set_asked(None, tap.as_ref().is_some_and(Tap::is_stream));
    let refusal = Refusal::of_status(answered.status);
    let overloaded = refusal.is_some_and(|refusal| refusal.blames && is_overload(answered.status));
    target.health.record(!overloaded, Instant::now());
    let mut answer = forward::answer(answered, &call.head.method, false, None);
    answer.mark(call.gateway, marks, exchange.request_id());
    let chunked = matches!(answer.length, BodyLength::Unknown);
    let with_trailers =
        call.gateway.settings.response_headers && tap.is_some() && chunked && http1::takes_trailers(call.head);
    if with_trailers {
        answer.header("trailer", report::ANNOUNCED);
    }
    down.start(&answer);
    let bodiless = matches!(answer.length, BodyLength::None);
    let carried = relay((target, with_trailers), &mut conn, bodiless, &mut tap, down, exchange).await;
    let outcome = carried.map_or_else(|broken| broken, |()| settle(tap.as_ref(), answered.status, refusal).0);
    match carried {
        Ok(()) => conn.release(Instant::now()),
        Err(Outcome::ClientDisconnected) if route.on_disconnect == OnDisconnect::Drain => {
            let until = Instant::now() + route.timeouts.total;
            Box::pin(drain(conn, &mut tap, target, until)).await;
        }
        Err(_) => {}
    }
    note(tap.as_ref(), exchange);
    exchange.end_attempt(outcome);
    exchange.set_outcome(outcome, answered.status);
}

fn out_head(
    call: &Call<'_>,
    target: &Target,
    endpoint: &Endpoint,
    key: &KeyInjection,
    upgrade: bool,
    exchange: &Exchange,
) -> OutHead {
    let path = match &call.api {
        Some(api) if api.path_model.is_none() => paths::of_api(endpoint, api, call.rest, true, None),
        _ => paths::unread(endpoint, call.rest),
    };
    let traceparent = exchange.traceparent();
    let traceparent = traceparent.as_ref().map(<[u8; 55]>::as_slice);
    let outgoing = Outgoing {
        headers: &call.head.headers,
        key,
        guarded: !call.gateway.keys.is_open(),
        set: &target.provider.headers,
        defaults: &target.provider.default_headers,
        asks: None,
        app_header: &call.gateway.settings.app_header,
        request_id: exchange.request_id(),
        traceparent,
        tracestate: exchange.continues_trace(),
        // Most SDKs ask for gzip of themselves, and a compressed answer could not be read for usage.
        read: call.native.is_some(),
        upgrade,
    };
    OutHead {
        method: call.head.method.clone(),
        target: paths::with_query(path, call.head.query()),
        authority: endpoint.authority.clone(),
        lines: outgoing.write(),
    }
}

/// Sends the request, its body as it comes, and waits for the answer's head; `None`: the client is gone. A provider
/// that answers before it has read everything is sent no more.
async fn talk<D: Downstream>(
    conn: &mut Conn,
    head: &OutHead,
    body: RequestBody<'_>,
    target: &Target,
    upload: &mut Upload,
    down: &mut D,
    exchange: &mut Exchange,
) -> Result<Option<ResponseHead>, Broken> {
    let patience = target.timeouts.first_byte;
    let in_time = |sent: Result<Result<(), ExchangeError>, _>| {
        sent.map_err(|_| Broken::Slow(patience))?.map_err(Broken::Upstream)
    };
    let (sent, waited) = noting_waits(pin!(within(patience, pin!(conn.send(head, body))))).await;
    in_time(sent)?;
    let mut uploading = matches!(body, RequestBody::Streamed(_));
    let mut received = 0;
    while uploading {
        let next = tokio::select! {
            biased;
            () = conn.answering() => break,
            next = down.next_chunk() => next,
        };
        let sent = match next {
            Ok(Some(chunk)) => {
                exchange.add_received(chunk.len());
                received += chunk.len();
                if let Some(asked) = &mut upload.asked {
                    asked.feed(&chunk);
                }
                if let Some(limit) = upload.limit.filter(|limit| received > *limit) {
                    return Err(Broken::Client(ReadError::TooLarge { limit }));
                }
                unless_gone(down, pin!(within(patience, pin!(conn.send_chunk(&chunk))))).await
            }
            Ok(None) => {
                uploading = false;
                unless_gone(down, pin!(within(patience, pin!(conn.end_body())))).await
            }
            Err(ReadError::Closed) => return Ok(None),
            Err(error) => return Err(Broken::Client(error)),
        };
        let Some(sent) = sent else { return Ok(None) };
        in_time(sent)?;
    }
    exchange.request_sent(waited);
    match unless_gone(down, pin!(within(patience, pin!(conn.response(&head.method))))).await {
        None => Ok(None),
        Some(waited) => waited.map_err(|_| Broken::Slow(patience))?.map(Some).map_err(Broken::Upstream),
    }
}

/// Carries the answer's body to the client; where it did not come whole, why.
async fn relay<D: Downstream>(
    (target, with_trailers): (&Target, bool),
    conn: &mut Conn,
    bodiless: bool,
    tap: &mut Option<Tap>,
    down: &mut D,
    exchange: &mut Exchange,
) -> Result<(), Outcome> {
    let mut raw: SmallVec<[Bytes; 4]> = SmallVec::new();
    let mut chunks: SmallVec<[Bytes; 4]> = SmallVec::new();
    let mut ended = bodiless;
    let mut received = Instant::now();
    loop {
        let ours = (ended && with_trailers).then(|| {
            note(tap.as_ref(), exchange);
            report::trailers(conn.trailers(), exchange)
        });
        let end = if ended { End::Now(ours.as_ref().or(conn.trailers())) } else { End::NotYet };
        let (sent, waited) = noting_waits(pin!(down.send(&chunks, end))).await;
        exchange.chunk_in_out(received.elapsed().saturating_sub(waited));
        if sent.is_err() {
            return Err(Outcome::ClientDisconnected);
        }
        exchange.add_sent(chunks.iter().map(Bytes::len).sum());
        chunks.clear();
        if ended {
            return Ok(());
        }
        let next = unless_gone(down, pin!(within(target.timeouts.idle, pin!(conn.chunks(&mut raw))))).await;
        received = Instant::now();
        match next {
            None => return Err(Outcome::ClientDisconnected),
            Some(Ok(Ok(going_on))) => {
                let before = tap.as_ref().is_some_and(Tap::content_started);
                feed(tap, &mut raw, &mut chunks, going_on);
                ended = !going_on;
                match &*tap {
                    Some(tap) if tap.content_started() && !(before && tap.ended()) => exchange.content(received),
                    _ => {}
                }
            }
            Some(_) => {
                down.abort();
                return Err(Outcome::StreamBroken);
            }
        }
    }
}

async fn fail<D: Downstream>(
    call: &Call<'_>,
    target: &Target,
    failure: Box<Failure>,
    marks: &Marks,
    down: &mut D,
    exchange: &mut Exchange,
) -> Result<(), ClientError> {
    exchange.end_attempt(failure.outcome);
    if failure.blames {
        target.health.record(false, Instant::now());
    }
    rescue::give_up(call, failure, marks, down, exchange).await;
    Ok(())
}

/// Unread calls go to paths that a provider may not serve at all, with keys that may not be allowed to; neither speaks
/// against the models that it does serve.
fn is_overload(status: u16) -> bool {
    status >= 500 || status == 429
}

fn too_large(limit: usize) -> ClientError {
    let message = format!("the request body is larger than {limit} bytes, the limit of this route");
    ClientError::new(Kind::PayloadTooLarge, message)
}

/// Whether the client asks to change the protocol (RFC 9110, 7.8).
fn wants_upgrade(headers: &Headers) -> bool {
    let asked = headers
        .get_all("connection")
        .any(|value| value.split(|b| *b == b',').any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade")));
    asked && headers.get("upgrade").is_some()
}
