//! Attempts at targets, in order, until one answers or none is left.

use std::time::{Duration, Instant};

use super::attempt::{Attempt, Ready};
use super::call::{Call, Request};
use super::downstream::Downstream;
use super::failure::Failure;
use super::forward::Marks;
use super::{relay, rescue};
use crate::config::types::RetryOn;
use crate::error::{ClientError, Kind};
use crate::metering::{Exchange, Outcome};
use crate::routing::{Candidate, RetryPolicy, Selection};

/// Tries targets until one answers, and relays its answer. When none does, the last meaningful error is the answer.
pub(super) async fn run<D: Downstream>(
    call: &Call<'_>,
    request: &Request,
    selection: &Selection,
    down: &mut D,
    exchange: &mut Exchange,
) -> Result<(), ClientError> {
    let policy = &selection.route.retry;
    let budget = call.live.table.retry_budget();
    budget.deposit();
    let deadline = call.accepted + selection.route.timeouts.total;
    let last = selection.candidates.len().saturating_sub(1);
    let mut attempts = 0;
    let mut failed: Option<Failure> = None;
    let mut tried: Option<&Candidate> = None;
    'targets: for (at, candidate) in selection.candidates.iter().enumerate() {
        tried = Some(candidate);
        let mut again = 0;
        loop {
            let left = attempts + 1 < policy.max_attempts;
            let here = again + 1 < policy.attempts_per_target;
            let more = left && (here || at < last);
            let attempt = Attempt::new(call, request, &candidate.target, selection.model.as_deref(), deadline, more)?;
            attempts += 1;
            exchange.begin_attempt(attempt.meter, attempt.model);
            let Some(outcome) = unless_gone(down, Box::pin(attempt.run(exchange))).await else {
                exchange.end_attempt(Outcome::ClientDisconnected);
                candidate.target.health.abandon(Instant::now());
                return Ok(());
            };
            let go_on = |on| more && policy.retries(on) && Instant::now() < deadline && budget.try_withdraw();
            let failure = match outcome {
                Ok(ready) => match ready.refusal() {
                    Some((on, outcome)) if go_on(on) => ready.into_failure(on, outcome).await,
                    refusal => {
                        let marks = marks(selection, candidate, attempt.model, attempts, exchange);
                        relay::run(&attempt, ready, refusal, &marks, down, exchange).await;
                        return Ok(());
                    }
                },
                Err(failure) => {
                    let again = go_on(failure.on);
                    if !again {
                        note(candidate, &failure, exchange);
                        failed = Some(failure.or_better(failed));
                        break 'targets;
                    }
                    failure
                }
            };
            note(candidate, &failure, exchange);
            let pause = here.then(|| pause_before(&failure, policy, again + 1, call.seed)).flatten();
            let reason = failure.on;
            failed = Some(failure.or_better(failed));
            let Some(pause) = pause.filter(|pause| Instant::now() + *pause < deadline) else {
                if let Some(next) = selection.candidates.get(at + 1) {
                    exchange.fall_back(&candidate.target.provider.name, &next.target.provider.name, reason_text(reason));
                }
                break;
            };
            again += 1;
            if unless_gone(down, tokio::time::sleep(pause)).await.is_none() {
                return Ok(());
            }
        }
    }
    let failure = failed.ok_or_else(|| ClientError::new(Kind::NoRoute, "the route has no target for this call"))?;
    let model = tried.and_then(|candidate| candidate.target.model.as_deref()).or(selection.model.as_deref());
    let marks = tried.map(|candidate| marks(selection, candidate, model, attempts, exchange)).unwrap_or_default();
    rescue::give_up(call, failure, &marks, down, exchange).await;
    Ok(())
}

/// Runs `work` unless the client goes away first.
pub(super) async fn unless_gone<D: Downstream, T>(down: &mut D, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = down.closed() => None,
    }
}

fn note(candidate: &Candidate, failure: &Failure, exchange: &mut Exchange) {
    exchange.end_attempt(failure.outcome);
    if failure.is_unhealthy() {
        candidate.target.health.record(false, Instant::now());
    } else {
        candidate.target.health.abandon(Instant::now());
    }
}

/// How long to wait before the same target is tried again; `None`: it is not worth it.
fn pause_before(failure: &Failure, policy: &RetryPolicy, again: u32, seed: u64) -> Option<Duration> {
    if matches!(failure.on, RetryOn::Unauthorized | RetryOn::NotFound) {
        return None;
    }
    match failure.retry_after {
        Some(asked) if asked > policy.max_backoff => None,
        Some(asked) => Some(asked),
        None => Some(policy.backoff(again, seed)),
    }
}

fn reason_text(on: RetryOn) -> &'static str {
    match on {
        RetryOn::Connect => "connect",
        RetryOn::Timeout => "timeout",
        RetryOn::RateLimited => "rate_limited",
        RetryOn::ServerError => "server_error",
        RetryOn::Broken => "broken",
        RetryOn::Unauthorized => "unauthorized",
        RetryOn::NotFound => "not_found",
    }
}

fn marks(
    selection: &Selection,
    candidate: &Candidate,
    model: Option<&str>,
    attempts: u32,
    exchange: &Exchange,
) -> Marks {
    Marks {
        request_id: exchange.request_id().into(),
        route: Some(selection.route.name.clone()),
        provider: Some(candidate.target.provider.name.clone()),
        model: model.map(Box::from),
        attempts,
    }
}

impl Ready {
    /// What the status asks for, unless it is an answer.
    fn refusal(&self) -> Option<(RetryOn, Outcome)> {
        self.refusal.or_else(|| Failure::of_status(self.head.status))
    }
}
