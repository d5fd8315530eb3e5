//! How long work waited for the other side, so that such time is not taken for this process's own.

use std::pin::Pin;
use std::time::{Duration, Instant};

/// Runs `work` and tells how long it waited: from each time it could not go on until it was asked again.
pub(super) async fn noting_waits<T>(mut work: Pin<&mut impl Future<Output = T>>) -> (T, Duration) {
    let mut waiting: Option<Instant> = None;
    let mut waited = Duration::ZERO;
    let done = std::future::poll_fn(|cx| {
        if let Some(since) = waiting.take() {
            waited += since.elapsed();
        }
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            waiting = Some(Instant::now());
        }
        polled
    })
    .await;
    (done, waited)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn work_that_never_waits_waits_for_no_time() {
        assert_eq!(noting_waits(pin!(async { 7 })).await, (7, Duration::ZERO));
    }

    #[tokio::test]
    async fn each_wait_counts_and_work_does_not() {
        let pause = || tokio::time::sleep(Duration::from_millis(20));
        let began = Instant::now();
        let ((), waited) = noting_waits(pin!(async {
            pause().await;
            std::thread::sleep(Duration::from_millis(30));
            pause().await;
        }))
        .await;
        assert!(waited >= Duration::from_millis(40), "{waited:?}");
        assert!(waited <= began.elapsed() - Duration::from_millis(30), "{waited:?}");
    }
}
