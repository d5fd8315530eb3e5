//! Attempts at targets, in order, until one answers or none is left.

use std::sync::Arc;
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
use crate::routing::{RetryPolicy, Selection, Target};

/// Tries targets until one answers, and relays its answer. When none does, the last meaningful error is the answer.
pub(super) async fn run<D: Downstream>(
    call: &Call<'_>,
    request: &Request,
    selection: Selection,
    down: &mut D,
    exchange: &mut Exchange,
) -> Result<(), ClientError> {
    let Selection { route, model, mut candidates } = selection;
    let policy = &route.retry;
    route.retry_budget.deposit();
    let deadline = call.accepted + route.timeouts.total;
    let last = candidates.len().saturating_sub(1);
    let mut marks =
        Marks { request_id: exchange.request_id().into(), route: Some(route.name.clone()), ..Marks::default() };
    let mut failed: Option<Failure> = None;
    'targets: for at in 0..candidates.len() {
        let target = Arc::clone(&candidates[at].target);
        let mut again = 0;
        loop {
            let left = marks.attempts + 1 < policy.max_attempts;
            let here = again + 1 < policy.attempts_per_target;
            let more = left && (here || at < last);
            let attempt = Attempt::new(call, request, &target, model.as_deref(), deadline, more)?;
            marks.count(&attempt);
            exchange.begin_attempt(attempt.meter);
            let Some(tried) = unless_gone(down, attempt.run(exchange)).await else {
                exchange.end_attempt(Outcome::ClientDisconnected);
                return Ok(());
            };
            let go_on =
                |on| more && policy.retries(on) && Instant::now() < deadline && route.retry_budget.try_withdraw();
            let failure = match tried {
                Ok(ready) => match ready.refusal() {
                    Some((on, outcome)) if go_on(on) => ready.into_failure(on, outcome).await,
                    refusal => {
                        // Targets that were not tried may be probed by others.
                        candidates.truncate(at + 1);
                        relay::run(&attempt, ready, refusal, &marks, down, exchange).await;
                        return Ok(());
                    }
                },
                Err(failure) if go_on(failure.on) => failure,
                Err(failure) => {
                    note(&target, &failure, exchange);
                    failed = Some(failure.or_better(failed));
                    break 'targets;
                }
            };
            note(&target, &failure, exchange);
            let pause = if here { pause_before(&failure, policy, again + 1, call.seed) } else { None };
            failed = Some(failure.or_better(failed));
            let Some(pause) = pause.filter(|pause| Instant::now() + *pause < deadline) else { break };
            again += 1;
            if unless_gone(down, tokio::time::sleep(pause)).await.is_none() {
                return Ok(());
            }
        }
    }
    drop(candidates);
    let failure = failed.ok_or_else(|| ClientError::new(Kind::NoRoute, "the route has no target for this call"))?;
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

fn note(target: &Target, failure: &Failure, exchange: &mut Exchange) {
    exchange.end_attempt(failure.outcome);
    if failure.is_unhealthy() {
        target.health.record(false, Instant::now());
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

impl Marks {
    fn count(&mut self, attempt: &Attempt<'_>) {
        self.attempts += 1;
        self.provider = Some(attempt.target.provider.name.clone());
        self.model = attempt.model.map(Box::from);
    }
}

impl Ready {
    /// What the answer asks for, unless it is one.
    fn refusal(&self) -> Option<(RetryOn, Outcome)> {
        self.refusal.or_else(|| Failure::of_status(self.head.status))
    }
}
