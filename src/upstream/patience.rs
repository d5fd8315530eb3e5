//! Waiting for things, but not for ever.
//!
//! A stream of many small chunks waits for each of them. [`Patience`] keeps one timer for all those waits: it is set
//! anew only when it has fired and found that the wait it was set for is long over, so that a wait costs a look at the
//! clock.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// `work` took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("it took longer than it may")]
pub struct Elapsed;

/// Waits for `work`, but no longer than `limit`.
///
/// It takes `work` pinned, as everything on the request path does that wraps a future: a future that is handed over by
/// value is copied, and stands twice in the one that awaits it.
///
/// # Errors
/// [`Elapsed`] when the time is over.
pub async fn within<T>(limit: Duration, work: Pin<&mut impl Future<Output = T>>) -> Result<T, Elapsed> {
    pingora_timeout::timeout(limit, work).await.map_err(|_| Elapsed)
}

/// Bounds many waits, one after the other, with one timer.
#[derive(Debug, Default)]
pub struct Patience {
    timer: Option<Pin<Box<Sleep>>>,
    waited: bool,
}

impl Patience {
    /// Waits for `work`, but no longer than `limit`.
    ///
    /// # Errors
    /// [`Elapsed`] when the time is over.
    pub async fn within<T>(
        &mut self,
        limit: Duration,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Elapsed> {
        let mut deadline = None;
        self.waited = false;
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + limit);
            self.waited = true;
            if self.is_over(deadline, cx) { Poll::Ready(Err(Elapsed)) } else { Poll::Pending }
        })
        .await
    }

    /// Whether the last wait was one: false where its work was done at once, so that no time has passed.
    pub fn has_waited(&self) -> bool {
        self.waited
    }

    /// Whether `deadline` has passed; else has the task woken when it does, or before.
    fn is_over(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                return true;
            }
            timer.as_mut().reset(deadline);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn a_wait_is_not_ended_by_the_timer_of_an_earlier_one() {
        let mut patience = Patience::default();
        assert!(patience.within(SHORT, pin!(std::future::pending::<()>())).await.is_err());
        assert!(patience.within(LONG, pin!(tokio::time::sleep(10 * SHORT))).await.is_ok());
        assert!(patience.within(100 * SHORT, pin!(tokio::task::yield_now())).await.is_ok());
        assert!(patience.within(LONG, pin!(tokio::time::sleep(150 * SHORT))).await.is_ok());
    }

    #[tokio::test]
    async fn a_short_wait_after_a_long_one_ends_in_its_own_time() {
        let mut patience = Patience::default();
        assert!(patience.within(LONG, pin!(tokio::task::yield_now())).await.is_ok());
        let begun = Instant::now();
        assert!(patience.within(SHORT, pin!(std::future::pending::<()>())).await.is_err());
        assert!(begun.elapsed() < LONG);
    }
}
