//! Timeouts, retries and health rules with every gap filled in. The default values stand in `config::file`.

use std::time::Duration;

use super::hash;
use crate::config::file as config;
use crate::config::file::RetryOn;
use crate::config::units::Span;

/// Timeouts of upstream calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS connect.
    pub connect: Duration,
    /// From the request sent to the response's first byte.
    pub first_byte: Duration,
    /// Between two chunks of a response.
    pub idle: Duration,
    /// The whole call with all its attempts.
    pub total: Duration,
}

impl Timeouts {
    /// The first of `layers` that states a value gives it; else the default does.
    pub(super) fn resolve(layers: &[Option<&config::Timeouts>]) -> Self {
        let pick = |get: fn(&config::Timeouts) -> Option<Span>, default: Span| {
            layers.iter().flatten().find_map(|t| get(t)).unwrap_or(default).0
        };
        Self {
            connect: pick(|t| t.connect, config::Timeouts::CONNECT),
            first_byte: pick(|t| t.first_byte, config::Timeouts::FIRST_BYTE),
            idle: pick(|t| t.idle, config::Timeouts::IDLE),
            total: pick(|t| t.total, config::Timeouts::TOTAL),
        }
    }
}

/// Retries and fallback.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    on: u8,
    /// Attempts at one target before the next; at least 1.
    pub attempts_per_target: u32,
    /// Attempts in all; at least 1.
    pub max_attempts: u32,
    /// The first wait before a further attempt at the same target.
    pub backoff: Duration,
    /// The longest wait, and the longest `Retry-After` that is honoured.
    pub max_backoff: Duration,
    /// Attempts at a provider already tried, as a share of calls; see [`super::RetryBudget`].
    pub budget: f64,
}

const fn bit(on: RetryOn) -> u8 {
    1 << match on {
        RetryOn::Connect => 0,
        RetryOn::Timeout => 1,
        RetryOn::RateLimited => 2,
        RetryOn::ServerError => 3,
        RetryOn::Broken => 4,
        RetryOn::Unauthorized => 5,
        RetryOn::NotFound => 6,
    }
}

impl RetryPolicy {
    /// The route's values over the defaults' over the documented ones.
    pub(super) fn resolve(layers: &[Option<&config::Retry>]) -> Self {
        fn pick<T>(layers: &[Option<&config::Retry>], get: impl Fn(&config::Retry) -> Option<T>, default: T) -> T {
            layers.iter().flatten().find_map(|r| get(r)).unwrap_or(default)
        }
        Self {
            on: pick(layers, |r| r.on.as_ref().map(|on| on.iter().fold(0, |set, o| set | bit(*o))), u8::MAX),
            attempts_per_target: pick(layers, |r| r.attempts_per_target, config::Retry::ATTEMPTS_PER_TARGET).max(1),
            max_attempts: pick(layers, |r| r.max_attempts, config::Retry::MAX_ATTEMPTS).max(1),
            backoff: pick(layers, |r| r.backoff, config::Retry::BACKOFF).0,
            max_backoff: pick(layers, |r| r.max_backoff, config::Retry::MAX_BACKOFF).0,
            budget: pick(layers, |r| r.budget, 0.2).max(0.0),
        }
    }

    /// Whether the next attempt may be made after this outcome.
    pub fn retries(&self, on: RetryOn) -> bool {
        self.on & bit(on) != 0
    }

    /// The outcomes after which the next attempt is made.
    pub fn on(&self) -> impl Iterator<Item = RetryOn> + '_ {
        use RetryOn::*;
        [Connect, Timeout, RateLimited, ServerError, Broken, Unauthorized, NotFound]
            .into_iter()
            .filter(|on| self.retries(*on))
    }

    /// How long to wait before attempt number `again` at the same target (1: the second attempt): a time between zero
    /// and `backoff` doubled `again - 1` times, at most `max_backoff` ("full jitter"). `seed` decides.
    pub fn backoff(&self, again: u32, seed: u64) -> Duration {
        let doubled = self.backoff.saturating_mul(1u32.checked_shl(again.saturating_sub(1)).unwrap_or(u32::MAX));
        doubled.min(self.max_backoff).mul_f64(hash::unit(seed, u64::from(again)))
    }
}

/// When a target is taken out of service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HealthPolicy {
    /// Failures in a row that eject; 0 turns this rule off.
    pub consecutive_failures: u32,
    /// Share of failed calls over the last minute, and at least [`HealthPolicy::ENOUGH`] calls, that ejects; 0 turns
    /// this rule off.
    pub error_rate: f64,
    /// The first ejection.
    pub eject: Duration,
    /// The longest ejection.
    pub max_eject: Duration,
}

impl HealthPolicy {
    /// Calls within the last minute below which the share of failures says nothing.
    pub const ENOUGH: u64 = 20;

    pub(super) fn resolve(health: &config::Health) -> Self {
        let eject = health.eject.unwrap_or(config::Health::EJECT).0;
        Self {
            consecutive_failures: health.consecutive_failures.unwrap_or(5),
            error_rate: health.error_rate.unwrap_or(0.5),
            eject,
            max_eject: health.max_eject.unwrap_or(config::Health::MAX_EJECT).0.max(eject),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_defaults() {
        let t = Timeouts::resolve(&[None]);
        assert_eq!([t.connect, t.first_byte, t.idle, t.total].map(|d| d.as_secs()), [5, 120, 120, 600]);
        let r = RetryPolicy::resolve(&[]);
        assert_eq!((r.attempts_per_target, r.max_attempts, r.budget), (1, 4, 0.2));
        assert_eq!((r.backoff, r.max_backoff), (Duration::from_millis(200), Duration::from_secs(2)));
        assert_eq!(r.on().count(), 7);
        let h = HealthPolicy::resolve(&config::Health::default());
        assert_eq!((h.consecutive_failures, h.error_rate), (5, 0.5));
        assert_eq!((h.eject.as_secs(), h.max_eject.as_secs()), (5, 300));
    }

    #[test]
    fn the_nearest_layer_wins_value_by_value() {
        let near = config::Timeouts { connect: Some(Span::secs(1)), ..Default::default() };
        let far = config::Timeouts { connect: Some(Span::secs(2)), idle: Some(Span::secs(3)), ..Default::default() };
        let t = Timeouts::resolve(&[Some(&near), None, Some(&far)]);
        assert_eq!([t.connect, t.first_byte, t.idle].map(|d| d.as_secs()), [1, 120, 3]);
    }

    #[test]
    fn only_named_outcomes_are_retried() {
        let retry = config::Retry { on: Some(vec![RetryOn::Connect, RetryOn::NotFound]), ..Default::default() };
        let r = RetryPolicy::resolve(&[Some(&retry)]);
        assert!(r.retries(RetryOn::Connect) && r.retries(RetryOn::NotFound) && !r.retries(RetryOn::ServerError));
        let never = RetryPolicy::resolve(&[Some(&config::Retry { on: Some(vec![]), ..Default::default() })]);
        assert_eq!(never.on().count(), 0);
    }

    #[test]
    fn backoff_grows_and_is_bounded() {
        let r = RetryPolicy::resolve(&[]);
        for (again, most) in [(1, 200), (2, 400), (3, 800), (5, 2000), (90, 2000)] {
            let waits: Vec<u128> = (0..500).map(|seed| r.backoff(again, seed).as_millis()).collect();
            let longest = waits.iter().max().copied().unwrap_or_default();
            assert!(longest <= most && longest > most * 9 / 10, "{again}: {longest}");
            assert!(waits.iter().min().is_some_and(|w| *w < most / 10), "no jitter at {again}");
        }
    }
}
