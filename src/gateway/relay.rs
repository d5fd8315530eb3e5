//! From the commit point on: a provider's bytes flow to the client as they come, read for usage on their way.
//!
//! After the first byte there is no falling back: a provider that breaks off ends the answer with the dialect's own
//! error event, or, where the answer is no event stream, visibly unfinished.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;

use super::attempt::{Ready, feed};
use super::attempts::unless_gone;
use super::call::Call;
use super::downstream::{Downstream, End};
use super::failure::Refusal;
use super::forward::{self, Marks};
use super::report;
use super::waits::noting_waits;
use crate::config::file::OnDisconnect;
use crate::dialect::{self, Tap};
use crate::error::{ClientError, Kind};
use crate::http1;
use crate::metering::{Exchange, Outcome};
use crate::routing::{Health, Route, Target};
use crate::upstream::{Conn, within};

/// The rest of a stream whose client is gone is read for so long at most.
const DRAIN: Duration = Duration::from_secs(30);

/// A client that kept the provider's answer waiting for longer in all has blurred the provider's own time.
const UNHURRIED: Duration = Duration::from_millis(1);

/// Sends an answer to the client until it ends, however it ends.
pub(super) async fn run<D: Downstream>(
    call: &Call<'_>,
    (route, target): (&Route, &Target),
    deadline: Instant,
    ready: Box<Ready>,
    marks: &Marks,
    down: &mut D,
    exchange: &mut Exchange,
) {
    let Ready { conn, head, mut tap, rewritten, held: mut out, mut ended, refusal, mut received } = *ready;
    let mut conn = Some(conn);
    let status = head.status;
    let mut verdict = Verdict { health: &target.health, given: false };
    match refusal {
        Some(refusal) => verdict.give(!refusal.blames, received),
        None if tap.as_ref().is_none_or(Tap::content_started) => verdict.give(true, received),
        None => {}
    }
    let whole = ended.then(|| out.iter().map(Bytes::len).sum());
    let mut answer = forward::answer(&head, &call.head.method, rewritten, whole);
    answer.mark(call.gateway, marks, exchange.request_id());
    let settings = &call.gateway.settings;
    let stream = matches!(answer.length, super::BodyLength::Unknown);
    let with_trailers = settings.response_headers && !ended && stream && http1::takes_trailers(call.head);
    let mut noted = ended;
    if ended {
        note(tap.as_ref(), exchange);
        if settings.response_headers {
            report::add_headers(&mut answer, exchange);
        }
    } else if with_trailers {
        answer.header("trailer", report::ANNOUNCED);
    }
    down.start(&answer);
    let mut kept_waiting = Duration::ZERO;
    let mut raw: SmallVec<[Bytes; 4]> = SmallVec::new();
    let mut patience = down.take_patience();
    let outcome = loop {
        let mut trailers = None;
        if ended && let Some(conn) = conn.take() {
            // The provider has said everything: a client that takes it slowly keeps no connection from other calls.
            trailers = conn.trailers().cloned();
            if kept_waiting < UNHURRIED && tap.as_ref().is_some_and(|tap| tap.router().is_some()) {
                exchange.round_trip(conn.round_trip());
            }
            conn.release(received);
            exchange.answer_complete(received);
            if !std::mem::replace(&mut noted, true) {
                note(tap.as_ref(), exchange);
            }
            if with_trailers {
                trailers = Some(report::trailers(trailers.as_ref(), exchange));
            }
            if settings.stream_comments && stream && may_add(tap.as_ref()) {
                out.push(report::comment(exchange));
            }
        }
        let end = if ended { End::Now(trailers.as_ref()) } else { End::NotYet };
        let (sent, waited) = noting_waits(pin!(down.send(&out, end))).await;
        let now = Instant::now();
        exchange.chunk_in_out(now.saturating_duration_since(received).saturating_sub(waited));
        kept_waiting += waited;
        if sent.is_err() {
            break Outcome::ClientDisconnected;
        }
        exchange.add_sent(out.iter().map(Bytes::len).sum());
        out.clear();
        if ended {
            exchange.last_sent(now);
            let (outcome, healthy) = settle(tap.as_ref(), status, refusal);
            verdict.give(healthy, now);
            break outcome;
        }
        let idle = target.timeouts.idle.min(deadline.saturating_duration_since(now));
        let next = {
            let Some(conn) = &mut conn else { break Outcome::Internal };
            let chunks = pin!(conn.chunks(&mut raw));
            unless_gone(down, pin!(patience.within(idle, chunks))).await
        };
        let Some(next) = next else { break Outcome::ClientDisconnected };
        received = Instant::now();
        match next {
            Ok(Ok(going_on)) => {
                let before = tap.as_ref().is_some_and(Tap::content_started);
                feed(&mut tap, &mut raw, &mut out, going_on);
                ended = !going_on;
                match &tap {
                    Some(tap) if tap.content_started() && !before => {
                        exchange.content(received);
                        verdict.give(true, received);
                    }
                    Some(tap) if before && !tap.ended() => exchange.content(received),
                    _ => {}
                }
            }
            // All of it was said; only the connection's end was not as it should be.
            broken if tap.as_ref().is_some_and(|tap| tap.is_event_stream() && tap.ended()) => {
                tracing::debug!(target: "faregate::call", request_id = exchange.request_id(), ?broken, "broken after the end");
                feed(&mut tap, &mut raw, &mut out, false);
                ended = true;
            }
            broken => {
                let error = match broken {
                    Ok(Err(error)) => {
                        ClientError::new(Kind::UpstreamBroken, "the provider broke off its answer").with_source(error)
                    }
                    _ => ClientError::new(Kind::UpstreamTimeout, format!("the provider sent nothing for {idle:?}")),
                };
                verdict.overturn();
                feed(&mut tap, &mut raw, &mut out, true);
                // Inside an event nothing can be added that the client's parser would understand.
                let mid_event = tap.as_ref().is_some_and(Tap::mid_event);
                tracing::debug!(target: "faregate::call", request_id = exchange.request_id(), %error, source = ?error.source, "broken stream");
                if stream && is_events(tap.as_ref()) && !mid_event {
                    let event =
                        dialect::encode_stream_error(call.dialect, call.operation, &error, exchange.request_id());
                    out.push(event);
                    let _gone = down.send(&out, End::Now(None)).await;
                } else {
                    let _gone = down.send(&out, End::NotYet).await;
                    down.abort();
                }
                break Outcome::StreamBroken;
            }
        }
    };
    down.keep_patience(patience);
    if let (Outcome::ClientDisconnected, OnDisconnect::Drain, Some(conn)) = (outcome, route.on_disconnect, conn) {
        Box::pin(drain(conn, &mut tap, target, deadline)).await;
    }
    if !noted {
        note(tap.as_ref(), exchange);
    }
    exchange.end_attempt(outcome);
    exchange.set_outcome(outcome, status);
}

/// Reads on for the usage that stands at a stream's end, whose client is gone.
pub(super) async fn drain(mut conn: Conn, tap: &mut Option<Tap>, target: &Target, deadline: Instant) {
    let until = deadline.min(Instant::now() + DRAIN);
    let mut raw: SmallVec<[Bytes; 4]> = SmallVec::new();
    let mut dropped: SmallVec<[Bytes; 4]> = SmallVec::new();
    while tap.as_ref().is_some_and(|tap| tap.is_stream() && !tap.ended()) {
        let left = target.timeouts.idle.min(until.saturating_duration_since(Instant::now()));
        let Ok(Ok(going_on)) = within(left, pin!(conn.chunks(&mut raw))).await else { return };
        feed(tap, &mut raw, &mut dropped, going_on);
        dropped.clear();
        if !going_on {
            return conn.release(Instant::now());
        }
    }
}

/// Whether a comment may follow what the client was sent of an event stream.
fn may_add(tap: Option<&Tap>) -> bool {
    tap.is_some_and(|tap| tap.is_event_stream() && !tap.mid_event())
}

fn is_events(tap: Option<&Tap>) -> bool {
    tap.is_some_and(Tap::is_event_stream)
}

/// What an answer that arrived whole counts as, and whether it speaks for the target's health.
pub(super) fn settle(tap: Option<&Tap>, status: u16, refusal: Option<Refusal>) -> (Outcome, bool) {
    let error = tap.and_then(|tap| Some((tap.error()?, tap.content_started() && tap.is_stream())));
    match (refusal, error) {
        (Some(refusal), _) => (refusal.outcome, !refusal.blames),
        (None, _) if status >= 400 => (Outcome::UpstreamRejected, true),
        (None, Some((_, true))) => (Outcome::StreamBroken, false),
        (None, Some((error, false))) => {
            let refusal = Refusal::of_event(error);
            (refusal.outcome, !refusal.blames)
        }
        (None, None) => (Outcome::Ok, true),
    }
}

/// What a call says of its target's health: once, as soon as it can be told.
struct Verdict<'a> {
    health: &'a Health,
    given: bool,
}

impl Verdict<'_> {
    fn give(&mut self, healthy: bool, now: Instant) {
        if !std::mem::replace(&mut self.given, true) {
            self.health.record(healthy, now);
        }
    }

    /// It looked well, and broke.
    fn overturn(&mut self) {
        self.given = true;
        self.health.record(false, Instant::now());
    }
}

/// Takes over what the answer says of usage and money.
pub(super) fn note(tap: Option<&Tap>, exchange: &mut Exchange) {
    if let Some(tap) = tap {
        exchange.set_usage(tap.usage_at_end(exchange.bytes_in()));
        exchange.set_charge(tap.stated_cost(), tap.service_tier(), tap.served_by());
        exchange.set_router(tap.router());
        if let Some(model) = tap.served_model() {
            exchange.set_served_model(model);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{DialectId, Operation};

    fn after(events: &[&'static str]) -> (Outcome, bool) {
        let mut tap = Tap::new(DialectId::OpenAi, Operation::Chat, true, false);
        let mut out = SmallVec::new();
        for event in events {
            tap.feed(Bytes::from_static(event.as_bytes()), &mut out);
        }
        tap.finish(&mut out);
        settle(Some(&tap), 200, None)
    }

    const CONTENT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    const ERROR: &str = "data: {\"error\":{\"message\":\"down\",\"type\":\"server_error\"}}\n\n";

    #[test]
    fn an_error_event_is_a_broken_stream_only_after_content() {
        assert_eq!(after(&[CONTENT]), (Outcome::Ok, true));
        assert_eq!(after(&[CONTENT, ERROR]), (Outcome::StreamBroken, false));
        assert_eq!(after(&[ERROR]), (Outcome::UpstreamError, false));
    }

    #[test]
    fn a_refusal_counts_as_what_it_is() {
        assert_eq!(settle(None, 429, Refusal::of_status(429)), (Outcome::UpstreamRateLimited, false));
        assert_eq!(settle(None, 404, Refusal::of_status(404)), (Outcome::UpstreamRejected, true));
        assert_eq!(settle(None, 400, None), (Outcome::UpstreamRejected, true));
    }
}
