//! Calls that are passed through unread: files, images, audio, batches, whatever a provider offers. Bodies stream both
//! ways, so there is one attempt only.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;

use super::attempts::unless_gone;
use super::call::Call;
use super::downstream::{BodyLength, Downstream, End, ReadError};
use super::failure::{Failure, Refusal};
use super::forward::{self, Marks};
use super::outgoing::Outgoing;
use super::waits::noting_waits;
use super::{paths, rescue, tunnel};
use crate::error::{ClientError, Kind};
use crate::http1::{Headers, ResponseHead};
use crate::metering::{Exchange, Outcome};
use crate::routing::{Endpoint, Target};
use crate::upstream::{Conn, ExchangeError, KeyInjection, OutHead, RequestBody, within};

/// How an exchange ended, where no answer came of it.
enum Broken {
    Client(ReadError),
    Upstream(ExchangeError),
    Slow(Duration),
}

/// Serves a call unread.
pub(super) async fn serve<D: Downstream>(
    call: &Call<'_>,
    down: &mut D,
    exchange: &mut Exchange,
) -> Result<(), ClientError> {
    let inconsistent = || ClientError::new(Kind::Internal, "the routing table is inconsistent");
    let mut selection = call.select(None, exchange, &|| call.seed)?;
    exchange.set_request(None, false, 0);
    exchange.set_route(&selection.route.name);
    selection.candidates.truncate(1);
    let candidate = selection.candidates.first().ok_or_else(inconsistent)?;
    let target = &*candidate.target;
    let link = call.live.upstreams.link(&target.provider).ok_or_else(inconsistent)?;
    let endpoint = target.provider.endpoint(call.dialect).ok_or_else(inconsistent)?;
    let limit = selection.route.max_body;
    if let (Some(limit), BodyLength::Known(length)) = (limit, down.body_length())
        && usize::try_from(length).map_or(true, |length| length > limit)
    {
        return Err(too_large(limit));
    }
    let _running = call.admit(&selection.route)?;
    let key = link.credential().inject(call.dialect, call.addresses(&target.provider));
    let marks = Marks {
        request_id: exchange.request_id().into(),
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
    let (mut conn, answered) = loop {
        let opened = link.open(endpoint, target.timeouts.connect, fresh);
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
        let failure = match talk(&mut conn, &head, body, target, limit, down, exchange).await {
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
    let outcome = relay(call, target, &mut conn, &answered, &marks, down, exchange).await;
    exchange.end_attempt(outcome);
    exchange.set_outcome(outcome, answered.status);
    if matches!(
        outcome,
        Outcome::Ok | Outcome::UpstreamRejected | Outcome::UpstreamError | Outcome::UpstreamRateLimited
    ) {
        conn.release();
    }
    Ok(())
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
        app_header: &call.gateway.settings.app_header,
        request_id: exchange.request_id(),
        traceparent,
        tracestate: exchange.continues_trace(),
        read: false,
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
    limit: Option<usize>,
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
                if let Some(limit) = limit.filter(|limit| received > *limit) {
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

async fn relay<D: Downstream>(
    call: &Call<'_>,
    target: &Target,
    conn: &mut Conn,
    head: &ResponseHead,
    marks: &Marks,
    down: &mut D,
    exchange: &mut Exchange,
) -> Outcome {
    let refusal = Refusal::of_status(head.status);
    target.health.record(!refusal.is_some_and(|refusal| refusal.blames && is_overload(head.status)), Instant::now());
    let mut answer = forward::answer(head, &call.head.method, false, None);
    answer.mark(call.gateway, marks);
    down.start(&answer);
    let mut chunks: SmallVec<[Bytes; 4]> = SmallVec::new();
    let mut ended = matches!(answer.length, BodyLength::None);
    let mut received = Instant::now();
    loop {
        let end = if ended { End::Now(conn.trailers()) } else { End::NotYet };
        let (sent, waited) = noting_waits(pin!(down.send(&chunks, end))).await;
        exchange.chunk_in_out(received.elapsed().saturating_sub(waited));
        if sent.is_err() {
            return Outcome::ClientDisconnected;
        }
        exchange.add_sent(chunks.iter().map(Bytes::len).sum());
        chunks.clear();
        if ended {
            return match refusal {
                Some(refusal) => refusal.outcome,
                None if head.status >= 400 => Outcome::UpstreamRejected,
                None => Outcome::Ok,
            };
        }
        let next = unless_gone(down, pin!(within(target.timeouts.idle, pin!(conn.chunks(&mut chunks))))).await;
        received = Instant::now();
        match next {
            None => return Outcome::ClientDisconnected,
            Some(Ok(Ok(going_on))) => ended = !going_on,
            Some(_) => {
                down.abort();
                return Outcome::StreamBroken;
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
