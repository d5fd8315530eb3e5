//! Whose a token is: asked of a [`Reviewer`], remembered for a while, so many questions at a time.
//!
//! Tokens are remembered by their SHA-256, never themselves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use parking_lot::Mutex;
use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use tokio::sync::Semaphore;

use crate::telemetry::Telemetry;

/// How long a token that was good is not asked about again.
const GOOD: Duration = Duration::from_secs(300);
/// How long one that was not: whoever comes again and again with it costs nobody else.
const BAD: Duration = Duration::from_secs(15);
/// Tokens that are remembered.
const REMEMBERED: usize = 30_000;
/// Questions at a time.
const ASKED: usize = 32;

/// Whose a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The namespace of its service account.
    pub namespace: String,
    /// The pod that it is bound to.
    pub pod: Option<String>,
    /// When it runs out, where that is known.
    pub expires: Option<SystemTime>,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no good. The sidecar is told.
    #[error("{0}")]
    Denied(String),
    /// Nobody could tell. The sidecar comes again.
    #[error("tokens cannot be reviewed at present: {0}")]
    Unavailable(String),
}

/// Tells whose a token is.
#[async_trait]
pub trait Reviewer: Send + Sync {
    /// Whose it is.
    async fn review(&self, token: &str) -> Result<Identity, Refusal>;
}

/// Asks, and remembers.
pub(super) struct Reviews {
    reviewer: Arc<dyn Reviewer>,
    known: Mutex<HashMap<[u8; 32], Known>>,
    asked: Semaphore,
    telemetry: Telemetry,
}

struct Known {
    verdict: Result<Identity, Refusal>,
    until: Instant,
}

impl Reviews {
    pub(super) fn new(reviewer: Arc<dyn Reviewer>, telemetry: Telemetry) -> Self {
        Self { reviewer, known: Mutex::default(), asked: Semaphore::new(ASKED), telemetry }
    }

    /// Whose a token is.
    pub(super) async fn review(&self, token: &str) -> Result<Identity, Refusal> {
        let key = digest(token);
        if let Some(verdict) = key.and_then(|key| self.recall(&key)) {
            self.count("remembered");
            return verdict;
        }
        let verdict = match self.asked.acquire().await {
            Ok(_asking) => self.reviewer.review(token).await,
            Err(_) => Err(Refusal::Unavailable("stopping".into())),
        };
        self.count(match &verdict {
            Ok(_) => "good",
            Err(Refusal::Denied(_)) => "denied",
            Err(Refusal::Unavailable(_)) => "failed",
        });
        if let Some(key) = key {
            self.remember(key, &verdict);
        }
        verdict
    }

    fn recall(&self, key: &[u8; 32]) -> Option<Result<Identity, Refusal>> {
        let mut known = self.known.lock();
        let found = known.get(key)?;
        if found.until > Instant::now() && !found.verdict.as_ref().is_ok_and(is_over) {
            return Some(found.verdict.clone());
        }
        known.remove(key);
        None
    }

    fn remember(&self, key: [u8; 32], verdict: &Result<Identity, Refusal>) {
        let span = match verdict {
            Ok(_) => GOOD,
            Err(Refusal::Denied(_)) => BAD,
            Err(Refusal::Unavailable(_)) => return,
        };
        let (mut known, now) = (self.known.lock(), Instant::now());
        if known.len() >= REMEMBERED {
            known.retain(|_, known| known.until > now);
        }
        // Full of what still counts: this one is asked about again.
        if known.len() < REMEMBERED {
            known.insert(key, Known { verdict: verdict.clone(), until: now + span });
        }
    }

    fn count(&self, result: &str) {
        self.telemetry.metrics().control_token_reviews.with([result]).inc();
    }
}

/// Whether a token has run out.
fn is_over(identity: &Identity) -> bool {
    identity.expires.is_some_and(|expires| expires <= SystemTime::now())
}

/// SHA-256, by the library that is here for TLS.
fn digest(token: &str) -> Option<[u8; 32]> {
    let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else { return None };
    suite.common.hash_provider.hash(token.as_bytes()).as_ref().try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Knows tokens that say what becomes of them; counts what it is asked.
    #[derive(Default)]
    struct Counting {
        asked: AtomicUsize,
        now: AtomicUsize,
        most: AtomicUsize,
    }

    #[async_trait]
    impl Reviewer for Counting {
        async fn review(&self, token: &str) -> Result<Identity, Refusal> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            let expires = |seconds| SystemTime::now().checked_add(Duration::from_secs(seconds));
            match token.split('-').next() {
                Some("good") => Ok(Identity { namespace: "shop".into(), pod: None, expires: expires(60) }),
                Some("over") => Ok(Identity { namespace: "shop".into(), pod: None, expires: expires(0) }),
                Some("bad") => Err(Refusal::Denied("no".into())),
                _ => Err(Refusal::Unavailable("away".into())),
            }
        }
    }

    #[tokio::test]
    async fn each_token_is_asked_about_once_but_for_what_cannot_be_relied_on() {
        let counting = Arc::new(Counting::default());
        let reviews = Reviews::new(counting.clone(), Telemetry::new().unwrap());
        for (token, asked) in [("good", 1), ("bad", 1), ("over", 3), ("away", 3)] {
            counting.asked.store(0, Ordering::SeqCst);
            let verdicts = [reviews.review(token).await, reviews.review(token).await, reviews.review(token).await];
            assert_eq!(verdicts[0].is_ok(), verdicts[2].is_ok());
            assert_eq!(counting.asked.load(Ordering::SeqCst), asked, "{token}");
        }
        assert_eq!(reviews.telemetry.metrics().control_token_reviews.with(["remembered"]).get(), 4);
    }

    #[tokio::test]
    async fn so_many_questions_at_a_time() {
        let counting = Arc::new(Counting::default());
        let reviews = Arc::new(Reviews::new(counting.clone(), Telemetry::new().unwrap()));
        let all: Vec<_> = (0..500)
            .map(|n| {
                let reviews = reviews.clone();
                tokio::spawn(async move { reviews.review(&format!("good-{n}")).await })
            })
            .collect();
        for one in all {
            assert!(one.await.unwrap().is_ok());
        }
        assert!(counting.most.load(Ordering::SeqCst) <= ASKED);
        assert!(counting.most.load(Ordering::SeqCst) > 1);
    }

    #[test]
    fn the_digest_is_sha_256() {
        let hex: String = digest("abc").unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
