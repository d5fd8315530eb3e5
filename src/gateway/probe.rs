//! Probes: a sampled call is made a second time, to the route's direct target, so that the two can be compared.
//!
//! Off the client's path: a task of its own, of which only so many run at a time, with a share of its own of the budget
//! for bodies. The answer is read to its end, metered and thrown away. Nothing is tried again, and no target's health
//! depends on it. Start with [`launch`].

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use smallvec::SmallVec;

use super::attempt::{Attempt, Ready, feed};
use super::budget::Held;
use super::call::{Call, Request};
use super::live::{Gateway, Live};
use super::relay;
use crate::dialect::{self, DialectId, Operation, RequestFacts, Tap};
use crate::error::ClientError;
use crate::http1::RequestHead;
use crate::metering::{Exchange, Opened, Outcome, Pair, RequestId, Skipped};
use crate::routing::{HealthState, ProbePolicy, Route, Target};
use crate::upstream::Patience;

/// Probes at one time, in all routes together.
const MOST: usize = 8;

/// Counts the probes that run.
#[derive(Debug, Default)]
pub(super) struct Running(AtomicUsize);

/// One probe's place, given back on drop.
struct Seat(Arc<Gateway>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.probes.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Everything that a probe needs of the call that it duplicates, which may be over before it is.
struct Probe {
    seat: Seat,
    pair: Arc<Pair>,
    live: Arc<Live>,
    route: Arc<Route>,
    head: RequestHead,
    dialect: DialectId,
    operation: Operation,
    seed: u64,
    body: Bytes,
    facts: RequestFacts,
    /// The model as the client named it, and after aliases.
    asked: Option<Arc<str>>,
    model: Option<Arc<str>>,
    held: Held,
}

/// Sends a duplicate of the call whose first attempt at `target` is about to be made, where its route wants one.
pub(super) fn launch(
    call: &Call<'_>,
    route: &Arc<Route>,
    target: &Target,
    request: &Request,
    model: Option<&Arc<str>>,
    exchange: &mut Exchange,
) {
    let Some(policy) = &route.probe else { return };
    let generates = call.operation != Operation::CountTokens;
    if !generates || !policy.samples(call.seed) || policy.leads_to(target) {
        return;
    }
    if !policy.target.provider.speaks(call.dialect) {
        return;
    }
    let Some(meter) = call.live.meter(target) else { return };
    let pair = exchange.begin_pair(meter, &policy.spending);
    match Probe::prepare(call, policy, Arc::clone(route), request, model, &pair) {
        Ok(probe) => drop(tokio::spawn(probe.run())),
        Err(why) => pair.skip(why),
    }
}

impl Probe {
    fn prepare(
        call: &Call<'_>,
        policy: &ProbePolicy,
        route: Arc<Route>,
        request: &Request,
        model: Option<&Arc<str>>,
        pair: &Arc<Pair>,
    ) -> Result<Box<Self>, Skipped> {
        policy.allows(SystemTime::now())?;
        if matches!(policy.target.health.state(Instant::now()), HealthState::Ejected { .. }) {
            return Err(Skipped::DirectDown);
        }
        let gateway = call.gateway;
        let before = gateway.probes.0.fetch_add(1, Ordering::AcqRel);
        let seat = Seat(Arc::clone(gateway));
        let mut held = gateway.bodies.open();
        if before >= MOST || gateway.is_stopping() || !held.grow_to(request.body.len()) {
            return Err(Skipped::Busy);
        }
        Ok(Box::new(Self {
            seat,
            pair: Arc::clone(pair),
            live: Arc::clone(&call.live),
            route,
            head: call.head.clone(),
            dialect: call.dialect,
            operation: call.operation,
            seed: call.seed,
            body: request.body.clone(),
            facts: request.facts.clone(),
            asked: request.model.clone(),
            model: model.cloned(),
            held,
        }))
    }

    async fn run(self: Box<Self>) {
        let Self { seat, pair, live, route, head, dialect, operation, seed, body, facts, asked, model, held } = *self;
        let Some(policy) = &route.probe else { return };
        if !policy.tools && dialect::has_side_effects(operation, &body) {
            return pair.skip(Skipped::SideEffects);
        }
        let accepted = Instant::now();
        let opened =
            Opened { request_id: RequestId::new(), dialect, operation, accepted, trace: None, trace_state: None };
        let mut exchange = seat.0.meter.open_probe(&pair, opened);
        exchange.set_request(asked.clone(), facts.stream(), body.len());
        if let Some(renamed) = model.as_ref().filter(|renamed| asked.as_ref() != Some(renamed)) {
            exchange.set_model_sent(renamed);
        }
        exchange.set_route(&route.name);
        let (_, rest) = live.table.split_prefix(head.path());
        let call = Call {
            gateway: &seat.0,
            live: Arc::clone(&live),
            head: &head,
            rest,
            // Not addressed by the client, whose own key it must not spend.
            vendor: None,
            api: dialect::recognise(&head.method, rest),
            dialect,
            operation,
            native: None,
            accepted,
            seed,
        };
        let request = Request { body, facts, model: asked, _held: held };
        if let Err(error) = attempt(&call, &request, &route, policy, model.as_ref(), &mut exchange).await {
            tracing::debug!(target: "faregate::call", request_id = exchange.request_id(), %error, "probe");
        }
    }
}

/// Makes the only attempt, and reads the answer to its end.
async fn attempt(
    call: &Call<'_>,
    request: &Request,
    route: &Route,
    policy: &ProbePolicy,
    model: Option<&Arc<str>>,
    exchange: &mut Exchange,
) -> Result<(), ClientError> {
    let deadline = call.accepted + route.timeouts.total;
    let attempt = Attempt::new(call, request, &policy.target, model, deadline, false)?;
    let began = exchange.begin_attempt(attempt.meter);
    match attempt.run(began, exchange, &mut Patience::default()).await {
        Ok(ready) => drain(ready, &policy.target, deadline, exchange).await,
        Err(failure) => {
            exchange.end_attempt(failure.outcome);
            exchange.set_outcome(failure.outcome, 0);
        }
    }
    Ok(())
}

/// Reads an answer and throws it away, but for what the record needs.
async fn drain(ready: Box<Ready>, target: &Target, deadline: Instant, exchange: &mut Exchange) {
    let Ready { mut conn, head, mut tap, mut ended, refusal, mut received, .. } = *ready;
    let mut raw: SmallVec<[Bytes; 4]> = SmallVec::new();
    let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
    let mut patience = Patience::default();
    // What a refusal says is of no interest; its connection is closed.
    while !ended && refusal.is_none() {
        let idle = target.timeouts.idle.min(deadline.saturating_duration_since(Instant::now()));
        let read = patience.within(idle, pin!(conn.chunks(&mut raw))).await;
        received = Instant::now();
        let over = tap.as_ref().is_some_and(|tap| tap.is_event_stream() && tap.ended());
        let broken = match read {
            Ok(Ok(going_on)) => {
                ended = !going_on;
                None
            }
            // All of it was said; only the connection's end was not as it should be.
            _ if over => {
                ended = true;
                None
            }
            Ok(Err(_)) => Some(Outcome::StreamBroken),
            Err(_) => Some(Outcome::UpstreamTimeout),
        };
        let before = tap.as_ref().is_some_and(Tap::content_started);
        feed(&mut tap, &mut raw, &mut out, !ended);
        out.clear();
        match &tap {
            Some(tap) if tap.content_started() && !(before && tap.ended()) => exchange.content(received),
            _ => {}
        }
        if let Some(outcome) = broken {
            return finish(tap.as_ref(), exchange, outcome, head.status);
        }
    }
    if ended {
        exchange.answer_complete(received);
        conn.release(received);
    }
    let (outcome, _) = relay::settle(tap.as_ref(), head.status, refusal);
    finish(tap.as_ref(), exchange, outcome, head.status);
}

fn finish(tap: Option<&Tap>, exchange: &mut Exchange, outcome: Outcome, status: u16) {
    relay::note(tap, exchange);
    exchange.end_attempt(outcome);
    exchange.set_outcome(outcome, status);
}
