//! Attempts at targets, in order, until one answers or none is left.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::Attempt;
use super::call::{Call, Request};
use super::downstream::Downstream;
use super::failure::Failure;
use super::forward::Marks;
use super::{probe, relay, rescue};
use crate::config::file::RetryOn;
use crate::error::{ClientError, Kind};
use crate::metering::{Exchange, Outcome};
use crate::routing::{RetryPolicy, Selection};

/// Tries targets until one answers, and relays its answer. When none does, the last meaningful error is the answer.
pub(super) async fn run<D: Downstream>(
    call: &Call<'_>,
    request: Request,
    selection: Selection,
    now: Instant,
    down: &mut D,
    exchange: &mut Exchange,
) -> Result<(), ClientError> {
    let Selection { route, model, mut candidates } = selection;
    let policy = &route.retry;
    route.retry_budget.deposit_at(now);
    let deadline = call.accepted + route.timeouts.total;
    let last = candidates.len().saturating_sub(1);
    let mut marks = Marks { route: Some(route.name.clone()), ..Marks::default() };
    let mut failed: Option<Failed> = None;
    let mut patience = down.take_patience();
    'targets: for at in 0..candidates.len() {
        let target = Arc::clone(&candidates[at].target);
        let tried_before = candidates[..at].iter().any(|c| c.target.provider.index == target.provider.index);
        if tried_before && !route.retry_budget.try_withdraw() {
            continue;
        }
        let mut again = 0;
        loop {
            let left = marks.attempts + 1 < policy.max_attempts;
            let here = again + 1 < policy.attempts_per_target;
            let more = left && (here || at < last);
            let attempt = Attempt::new(call, &request, &target, model.as_ref(), deadline, more)?;
            marks.count(&attempt);
            let began = exchange.begin_attempt(attempt.meter);
            if route.probe.is_some() && marks.attempts == 1 {
                probe::launch(call, &route, &target, &request, model.as_ref(), exchange);
            }
            let Some(tried) = unless_gone(down, pin!(attempt.run(began, exchange, &mut patience))).await else {
                exchange.end_attempt(Outcome::ClientDisconnected);
                return Ok(());
            };
            let go_on = |on| more && policy.retries(on) && Instant::now() < deadline;
            let (failure, going_on) = match tried {
                Ok(ready) => {
                    let retried = ready.refusal.filter(|refusal| refusal.on.is_some_and(go_on));
                    let Some(refusal) = retried.or_else(|| ready.to_be_retold()) else {
                        // Targets that were not tried may be probed by others.
                        candidates.truncate(at + 1);
                        // Never sent again: its memory and its share of the budget are free while the answer flows.
                        drop(request);
                        down.keep_patience(patience);
                        relay::run(call, (&route, &target), deadline, ready, &marks, down, exchange).await;
                        return Ok(());
                    };
                    let Some(failure) = unless_gone(down, pin!(Box::pin(ready.into_failure(refusal)))).await else {
                        exchange.end_attempt(Outcome::ClientDisconnected);
                        return Ok(());
                    };
                    (failure, retried.is_some())
                }
                Err(failure) => {
                    let going_on = go_on(failure.on);
                    (failure, going_on)
                }
            };
            exchange.end_attempt(failure.outcome);
            if failure.blames {
                target.health.record(false, Instant::now());
            }
            let pause = if here { pause_before(&failure, policy, again + 1, call.seed) } else { None };
            failed = Some(Failed { failure, marks: marks.clone() }.or_better(failed));
            if !going_on {
                break 'targets;
            }
            let Some(pause) = pause.filter(|pause| Instant::now() + *pause < deadline) else { break };
            if !route.retry_budget.try_withdraw() {
                break;
            }
            again += 1;
            if unless_gone(down, pin!(tokio::time::sleep(pause))).await.is_none() {
                return Ok(());
            }
        }
    }
    drop(candidates);
    let failed = failed.ok_or_else(|| ClientError::new(Kind::NoRoute, "the route has no target for this call"))?;
    let told = Marks { attempts: marks.attempts, ..failed.marks };
    Box::pin(rescue::give_up(call, failed.failure, &told, down, exchange)).await;
    Ok(())
}

/// A failure, and whose it was.
struct Failed {
    failure: Box<Failure>,
    marks: Marks,
}

impl Failed {
    /// Of two failures the one that tells the client more: a provider's own words win over ours, later over earlier.
    fn or_better(self, earlier: Option<Self>) -> Self {
        match earlier {
            Some(earlier) if self.failure.reply.is_none() && earlier.failure.reply.is_some() => earlier,
            _ => self,
        }
    }
}

/// Runs `work` unless the client goes away first.
pub(super) async fn unless_gone<D: Downstream, T>(down: &mut D, work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = down.closed() => None,
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
        self.model = attempt.model.cloned();
    }
}
