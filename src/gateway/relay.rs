//! From the commit point on: a provider's bytes flow to the client as they come, read for usage on their way.
//!
//! After the first byte there is no falling back: a provider that breaks off ends the answer with the dialect's own
//! error event, or, where the answer is no event stream, visibly unfinished.

use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;

use super::attempt::{Attempt, Ready, feed};
use super::downstream::{Downstream, End};
use super::forward::{self, Marks};
use super::waits::noting_waits;
use crate::config::types::RetryOn;
use crate::dialect::{self, Tap};
use crate::error::{ClientError, Kind};
use crate::metering::{Exchange, Outcome};
use crate::upstream::Patience;

/// Sends an answer to the client until it ends, however it ends.
pub(super) async fn run<D: Downstream>(
    attempt: &Attempt<'_>,
    mut ready: Ready,
    refusal: Option<(RetryOn, Outcome)>,
    marks: &Marks,
    down: &mut D,
    exchange: &mut Exchange,
) {
    let call = attempt.call;
    let status = ready.head.status;
    let health = &attempt.target.health;
    match refusal {
        Some((on, _)) if !matches!(on, RetryOn::NotFound) => health.record(false, Instant::now()),
        _ => health.record(true, Instant::now()),
    }
    let whole = ready.ended.then(|| ready.held.iter().map(Bytes::len).sum());
    let mut answer = forward::answer(&ready.head, &call.head.method, ready.rewritten, whole);
    answer.mark(call.gateway, marks);
    down.start(&answer);
    let stream = matches!(answer.length, super::BodyLength::Unknown);
    let mut out = std::mem::take(&mut ready.held);
    let mut ended = ready.ended;
    let mut received = ready.received;
    let mut raw: SmallVec<[Bytes; 4]> = SmallVec::new();
    let mut patience = Patience::default();
    let outcome = loop {
        let end = if ended { End::Now(ready.conn.trailers()) } else { End::NotYet };
        let (sent, waited) = noting_waits(down.send(&out, end)).await;
        exchange.chunk_in_out(received.elapsed().saturating_sub(waited));
        if sent.is_err() {
            break Outcome::ClientDisconnected;
        }
        exchange.add_sent(out.iter().map(Bytes::len).sum());
        out.clear();
        if ended {
            break settle(ready.tap.as_ref(), status, refusal);
        }
        let idle = attempt.bound(attempt.target.timeouts.idle);
        let next = tokio::select! {
            biased;
            next = patience.within(idle, ready.conn.chunks(&mut raw)) => next,
            () = down.closed() => break Outcome::ClientDisconnected,
        };
        received = Instant::now();
        match next {
            Ok(Ok(going_on)) => {
                let before = ready.tap.as_ref().is_some_and(Tap::content_started);
                feed(&mut ready.tap, &mut raw, &mut out, going_on);
                ended = !going_on;
                match &ready.tap {
                    Some(tap) if tap.content_started() && !before => exchange.first_content(),
                    Some(tap) if before && !tap.ended() => exchange.last_content(),
                    _ => {}
                }
            }
            broken => {
                let error = match broken {
                    Ok(Err(error)) => {
                        ClientError::new(Kind::UpstreamBroken, "the provider broke off its answer").with_source(error)
                    }
                    _ => ClientError::new(Kind::UpstreamTimeout, format!("the provider sent nothing for {idle:?}")),
                };
                health.record(false, Instant::now());
                feed(&mut ready.tap, &mut raw, &mut out, false);
                // Inside an event nothing can be added that the client's parser would understand.
                let mid_event = ready.tap.as_ref().is_some_and(Tap::mid_event);
                let complete = ready.tap.as_ref().is_some_and(Tap::ended);
                tracing::debug!(target: "faregate::call", request_id = exchange.request_id(), %error, source = ?error.source, "broken stream");
                if stream && is_events(&ready) && !complete && !mid_event {
                    let event =
                        dialect::encode_stream_error(call.dialect, call.operation, &error, exchange.request_id());
                    out.push(event);
                    let _gone = down.send(&out, End::Now(None)).await;
                } else {
                    let _gone = down.send(&out, End::NotYet).await;
                    down.abort();
                }
                finish(&ready, exchange, Outcome::StreamBroken, status);
                return;
            }
        }
    };
    finish(&ready, exchange, outcome, status);
    if ended && outcome != Outcome::ClientDisconnected {
        ready.conn.release();
    }
}

fn is_events(ready: &Ready) -> bool {
    ready.tap.as_ref().is_some_and(Tap::is_event_stream)
}

/// What an answer that arrived whole counts as.
fn settle(tap: Option<&Tap>, status: u16, refusal: Option<(RetryOn, Outcome)>) -> Outcome {
    match refusal {
        Some((_, outcome)) => outcome,
        None if status >= 400 => Outcome::UpstreamRejected,
        None if tap.is_some_and(|tap| tap.error().is_some()) => Outcome::StreamBroken,
        None => Outcome::Ok,
    }
}

fn finish(ready: &Ready, exchange: &mut Exchange, outcome: Outcome, status: u16) {
    if let Some(tap) = &ready.tap {
        exchange.set_usage(tap.usage());
        if let Some(model) = tap.served_model() {
            exchange.set_served_model(model);
        }
    }
    exchange.end_attempt(outcome);
    exchange.set_outcome(outcome, status);
}
