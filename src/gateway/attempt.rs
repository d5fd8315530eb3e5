//! One attempt at one target: connect, send, and read as much of the answer as must be known before the client gets
//! any of it.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use smallvec::SmallVec;

use super::call::{Call, Request};
use super::failure::{Failure, Refusal, Reply};
use super::outgoing::Outgoing;
use super::paths;
use super::waits::noting_waits;
use crate::config::file::{RetryOn, StreamUsage};
use crate::dialect::{Operation, Tap};
use crate::error::{ClientError, Kind};
use crate::http1::{self, ResponseHead};
use crate::metering::{Exchange, Outcome, TargetMeter};
use crate::routing::{Endpoint, Target};
use crate::upstream::{Conn, ExchangeError, KeyInjection, Link, OutHead, Patience, RequestBody, within};

/// This much of an answer is held back at most.
const MAX_HELD: usize = 64 * 1024;
/// An event stream without content is held back for so long at most.
const HOLD_FOR: Duration = Duration::from_secs(10);
/// A refusal's body is kept up to here.
const MAX_REFUSAL: usize = 64 * 1024;
/// And waited for so long.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(5);

/// One attempt's surroundings.
pub(super) struct Attempt<'a> {
    call: &'a Call<'a>,
    request: &'a Request,
    pub(super) target: &'a Target,
    pub(super) meter: &'a Arc<TargetMeter>,
    link: &'a Link,
    endpoint: &'a Endpoint,
    /// The model's name at the provider.
    pub(super) model: Option<&'a Arc<str>>,
    deadline: Instant,
    /// Another attempt could follow, so that content is waited for before anything reaches the client.
    more: bool,
}

/// A provider's answer, from which nothing has been sent to the client yet.
pub(super) struct Ready {
    pub(super) conn: Conn,
    pub(super) head: ResponseHead,
    pub(super) tap: Option<Tap>,
    /// The bytes leave changed, so the provider's content-length does not hold.
    pub(super) rewritten: bool,
    pub(super) held: SmallVec<[Bytes; 4]>,
    /// The body is complete.
    pub(super) ended: bool,
    /// It is no answer, by its status or by an error inside it.
    pub(super) refusal: Option<Refusal>,
    /// When the newest of `held` came.
    pub(super) received: Instant,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        call: &'a Call<'a>,
        request: &'a Request,
        target: &'a Target,
        model: Option<&'a Arc<str>>,
        deadline: Instant,
        more: bool,
    ) -> Result<Self, ClientError> {
        let inconsistent = || ClientError::new(Kind::Internal, "the routing table is inconsistent");
        Ok(Self {
            call,
            request,
            target,
            meter: call.live.meter(target).ok_or_else(inconsistent)?,
            link: call.live.upstreams.link(&target.provider).ok_or_else(inconsistent)?,
            endpoint: target.provider.endpoint(call.dialect).ok_or_else(inconsistent)?,
            model: target.model.as_ref().or(model),
            deadline,
            more,
        })
    }

    /// What is left of `limit` before the call's deadline.
    fn bound(&self, limit: Duration, now: Instant) -> Duration {
        limit.min(self.deadline.saturating_duration_since(now))
    }

    /// Makes the attempt, which began just now. May be dropped at any await: the connection closes with it.
    pub(super) async fn run(
        &self,
        began: Instant,
        exchange: &mut Exchange,
        patience: &mut Patience,
    ) -> Result<Box<Ready>, Box<Failure>> {
        exchange.attempt_at(&self.endpoint.host, self.endpoint.port);
        let provider = &self.target.provider;
        let addressed = self.call.addresses(provider);
        let key = self.link.credential().inject(self.call.dialect, addressed);
        if matches!(key, KeyInjection::Missing) {
            return Err(Failure::no_key(&provider.name));
        }
        // What the provider will take for the model now: the path's, where that is sent; else the body's.
        let in_path = self.call.api.as_ref().is_some_and(|api| paths::keeps_model(api, addressed));
        let now = if in_path { self.request.model.as_deref() } else { self.request.facts.model() };
        let changed = self.model.map(|model| &**model).filter(|model| now != Some(*model));
        let strip = self.asks_for_usage();
        let body = self.request.facts.patch(&self.request.body, changed, strip);
        let head = self.head(&key, addressed, exchange);
        let (mut conn, head) = self.exchange(&head, &body, began, exchange, patience).await?;
        exchange.response_head(head.status);
        let asks_router = self.asks_router().is_some();
        let encoded = head.headers.get("content-encoding").is_some_and(|e| !e.eq_ignore_ascii_case(b"identity"));
        if !(200..300).contains(&head.status) {
            let refusal = Refusal::of_status(head.status).map(|refusal| refusal.with_key(&key));
            // Errors tell of a router's part too.
            let tap = (asks_router && !encoded).then(Tap::of_refusal);
            let (rewritten, held, ended, received) = (tap.is_some(), SmallVec::new(), false, Instant::now());
            return Ok(Box::new(Ready { conn, head, tap, rewritten, held, ended, refusal, received }));
        }
        let stream = is_event_stream(&head);
        let rewritten = (strip && stream || asks_router) && !encoded;
        let mut tap = (!encoded).then(|| self.tap(stream, strip && stream, asks_router));
        let mut held = SmallVec::new();
        let mut ended = false;
        let mut refusal = None;
        let mut received = Instant::now();
        if !stream || self.more {
            let began = received;
            let mut raw: SmallVec<[Bytes; 4]> = SmallVec::new();
            loop {
                let idle = self.bound(self.target.timeouts.idle, received);
                let hold = if stream { HOLD_FOR.saturating_sub(began.elapsed()) } else { idle };
                let going_on = match patience.within(idle.min(hold), pin!(conn.chunks(&mut raw))).await {
                    Ok(read) => read.map_err(Failure::broken)?,
                    Err(_) if hold < idle => break,
                    Err(_) => return Err(Failure::timeout(idle)),
                };
                if patience.has_waited() {
                    received = Instant::now();
                }
                feed(&mut tap, &mut raw, &mut held, going_on);
                ended = !going_on;
                if let Some(error) = tap.as_ref().and_then(Tap::error) {
                    refusal = Some(Refusal::of_event(error).with_key(&key));
                    break;
                }
                let content = stream && tap.as_ref().is_none_or(Tap::content_started);
                let enough = held.iter().map(Bytes::len).sum::<usize>() >= MAX_HELD;
                if ended || content || enough {
                    break;
                }
            }
            if tap.as_ref().is_some_and(Tap::content_started) {
                exchange.content(received);
            }
        }
        Ok(Box::new(Ready { conn, head, tap, rewritten, held, ended, refusal, received }))
    }

    /// Whether usage must be asked for on the client's behalf.
    fn asks_for_usage(&self) -> bool {
        let facts = &self.request.facts;
        matches!(self.call.operation, Operation::Chat | Operation::Completions)
            && facts.stream()
            && !facts.asks_usage()
            && self.target.provider.stream_usage == StreamUsage::Ask
    }

    /// How the target's router is asked to tell of its own part in the call, unless the client or the operator has
    /// decided on that.
    fn asks_router(&self) -> Option<(&str, &str)> {
        let ask = self.target.provider.router_metadata.as_ref()?;
        let tells = matches!(
            self.call.operation,
            Operation::Chat | Operation::Responses | Operation::Completions | Operation::Messages
        );
        let decided = |name: &String| {
            let configured = self.target.provider.headers.iter().any(|(set, _)| **set == **name);
            configured || self.call.head.headers.get(name).is_some()
        };
        let asks = tells && !decided(&ask.header) && !ask.also.iter().any(decided);
        asks.then_some((&*ask.header, &*ask.value))
    }

    fn tap(&self, stream: bool, strip: bool, asks_router: bool) -> Tap {
        let tap = Tap::new(self.call.dialect, self.call.operation, stream, strip);
        if self.target.provider.router_metadata.is_none() { tap } else { tap.expecting_router(asks_router) }
    }

    fn head(&self, key: &KeyInjection, addressed: bool, exchange: &Exchange) -> OutHead {
        let call = self.call;
        let provider = &self.target.provider;
        let path = match &call.api {
            Some(api) => paths::of_api(self.endpoint, api, call.rest, addressed, self.model.map(|model| &**model)),
            None => paths::unread(self.endpoint, call.rest),
        };
        let traceparent = exchange.traceparent();
        let traceparent = traceparent.as_ref().map(<[u8; 55]>::as_slice);
        let outgoing = Outgoing {
            headers: &call.head.headers,
            key,
            guarded: !call.gateway.keys.is_open(),
            set: &provider.headers,
            defaults: &provider.default_headers,
            asks: self.asks_router(),
            app_header: &call.gateway.settings.app_header,
            request_id: exchange.request_id(),
            traceparent,
            tracestate: exchange.continues_trace(),
            read: true,
            upgrade: false,
        };
        OutHead {
            method: call.head.method.clone(),
            target: paths::with_query(path, call.head.query()),
            authority: self.endpoint.authority.clone(),
            lines: outgoing.write(),
        }
    }

    /// Connects, sends and waits for the response's head. A kept connection that turns out to be dead is replaced
    /// once; since nothing was answered on it, that is no attempt of its own.
    async fn exchange(
        &self,
        head: &OutHead,
        body: &Bytes,
        mut began: Instant,
        exchange: &mut Exchange,
        patience: &mut Patience,
    ) -> Result<(Conn, ResponseHead), Box<Failure>> {
        let mut fresh = false;
        loop {
            let connect = self.bound(self.target.timeouts.connect, began);
            let opened =
                self.link.open(self.endpoint, connect, (!fresh).then_some(began)).await.map_err(Failure::connect)?;
            exchange.attempt_connected(opened.reused, opened.took);
            let mut conn = opened.conn;
            let first_byte = self.bound(self.target.timeouts.first_byte, began + opened.took);
            let talked = {
                let talk = pin!(async {
                    let (sent, waited) = noting_waits(pin!(conn.send(head, RequestBody::Whole(body)))).await;
                    sent?;
                    exchange.request_sent(waited);
                    conn.response(&head.method).await
                });
                patience.within(first_byte, talk).await
            };
            match talked {
                Err(_) => return Err(Failure::timeout(first_byte)),
                Ok(Ok(response)) => return Ok((conn, response)),
                Ok(Err(error)) if opened.reused && error.is_silence() => (fresh, began) = (true, Instant::now()),
                Ok(Err(error)) => return Err(Failure::broken(error)),
            }
        }
    }
}

impl Ready {
    /// An error that must be told in other words: the dialects' errors are JSON, and a proxy's page in HTML, or
    /// nothing at all, would tell the client's SDK nothing.
    pub(super) fn to_be_retold(&self) -> Option<Refusal> {
        let speechless = self.head.status >= 400 && !speaks_dialect(&self.head);
        let rejected = Refusal { on: None, outcome: Outcome::UpstreamRejected, blames: false };
        speechless.then(|| self.refusal.unwrap_or(rejected))
    }

    /// Turns a refusal into a failure that keeps the provider's words.
    pub(super) async fn into_failure(mut self: Box<Self>, refusal: Refusal) -> Box<Failure> {
        let mut size: usize = self.held.iter().map(Bytes::len).sum();
        let read = {
            let Self { conn, tap, held, ended, .. } = &mut *self;
            let rest = pin!(async {
                while !*ended && size < MAX_REFUSAL {
                    let mut raw: SmallVec<[Bytes; 4]> = SmallVec::new();
                    let going_on = conn.chunks(&mut raw).await?;
                    size += raw.iter().map(Bytes::len).sum::<usize>();
                    feed(tap, &mut raw, held, going_on);
                    *ended = !going_on;
                }
                Ok::<_, ExchangeError>(())
            });
            within(REFUSAL_PATIENCE, rest).await
        };
        let complete = read.is_ok_and(|read| read.is_ok()) && self.ended;
        let retry_after = retry_after(&self.head);
        if complete {
            self.conn.release(Instant::now());
        }
        let error = ClientError::new(Kind::UpstreamBroken, format!("the provider answered {}", self.head.status));
        let body: Bytes = match self.held.as_slice() {
            [one] => one.clone(),
            several => several.concat().into(),
        };
        let reply = complete.then_some(Reply { head: self.head, body, rewritten: self.rewritten });
        let on = refusal.on.unwrap_or(RetryOn::Broken);
        Box::new(Failure { on, outcome: refusal.outcome, blames: refusal.blames, reply, error, retry_after })
    }
}

/// Passes what came through the tap.
pub(super) fn feed(
    tap: &mut Option<Tap>,
    raw: &mut SmallVec<[Bytes; 4]>,
    out: &mut SmallVec<[Bytes; 4]>,
    going_on: bool,
) {
    match tap {
        Some(tap) => {
            for chunk in raw.drain(..) {
                tap.feed(chunk, out);
            }
            if !going_on {
                tap.finish(out);
            }
        }
        None => out.extend(raw.drain(..)),
    }
}

/// Whether an error's body can be one of a dialect's.
pub(super) fn speaks_dialect(head: &ResponseHead) -> bool {
    let nothing = head.headers.get("content-length").is_some_and(|length| length == b"0");
    let json = |value: &[u8]| {
        let media = value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        media.len() >= 4 && media[media.len() - 4..].eq_ignore_ascii_case(b"json")
    };
    !nothing && head.headers.get("content-type").is_none_or(json)
}

fn is_event_stream(head: &ResponseHead) -> bool {
    head.headers
        .get("content-type")
        .and_then(|value| value.get(..17))
        .is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
}

/// `Retry-After` in seconds or as a date, or its millisecond form that some providers send.
fn retry_after(head: &ResponseHead) -> Option<Duration> {
    let number = |name: &str| std::str::from_utf8(head.headers.get(name)?).ok()?.trim().parse::<u64>().ok();
    let date = || {
        let at = http1::parse_date(head.headers.get("retry-after")?)?;
        Some(at.duration_since(SystemTime::now()).unwrap_or_default())
    };
    let seconds = || number("retry-after").map(Duration::from_secs);
    number("retry-after-ms").map(Duration::from_millis).or_else(seconds).or_else(date)
}
