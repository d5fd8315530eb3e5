//! Names to addresses, in the background: the request path only ever waits for the very first answer.
//!
//! The system's resolver is asked (it knows hosts files, search domains and name service switches); it tells no
//! time to live, so a name in use is asked again every [`REFRESH`], and sooner after no address could be reached.
//! What was known stays in use while the resolver fails.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// How old an answer may grow while the name is in use.
const REFRESH: Duration = Duration::from_secs(30);
/// How soon after a failed connect the name may be asked again.
const REFRESH_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The addresses of one host and port.
#[derive(Debug)]
pub(super) struct Addresses {
    host: Box<str>,
    port: u16,
    fixed: bool,
    known: ArcSwap<Vec<SocketAddr>>,
    failure: Mutex<Option<String>>,
    born: Instant,
    /// Milliseconds since `born` at which the last answer came.
    answered: AtomicU64,
    asking: AtomicBool,
    changed: Notify,
}

impl Addresses {
    /// Addresses of `host`, which may be a literal address (IPv6 with or without brackets).
    pub(super) fn new(host: &str, port: u16) -> Arc<Self> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let literal: Option<IpAddr> = bare.parse().ok();
        Arc::new(Self {
            host: bare.into(),
            port,
            fixed: literal.is_some(),
            known: ArcSwap::from_pointee(literal.map(|ip| SocketAddr::new(ip, port)).into_iter().collect()),
            failure: Mutex::new(None),
            born: Instant::now(),
            answered: AtomicU64::new(0),
            asking: AtomicBool::new(false),
            changed: Notify::new(),
        })
    }

    /// All known addresses, IPv6 and IPv4 in turn (RFC 8305); waits only when there has never been an answer.
    ///
    /// # Errors
    /// What the resolver said, when there is no address at all.
    pub(super) async fn get(self: &Arc<Self>) -> Result<Arc<Vec<SocketAddr>>, String> {
        let known = self.known.load_full();
        if self.fixed {
            return Ok(known);
        }
        if !known.is_empty() {
            if self.age() > REFRESH {
                self.ask();
            }
            return Ok(known);
        }
        loop {
            let changed = self.changed.notified();
            self.ask();
            changed.await;
            let known = self.known.load_full();
            if !known.is_empty() {
                return Ok(known);
            }
            if let Some(failure) = self.failure.lock().clone() {
                return Err(failure);
            }
        }
    }

    /// Tells that none of the addresses could be reached: they may have changed.
    pub(super) fn distrust(self: &Arc<Self>) {
        if !self.fixed && self.age() > REFRESH_AFTER_FAILURE {
            self.ask();
        }
    }

    fn age(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(self.answered.load(Ordering::Relaxed)))
    }

    fn ask(self: &Arc<Self>) {
        if self.asking.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let answer = tokio::net::lookup_host((&*this.host, this.port)).await;
            let failure = match answer.map(|all| interleave(all.collect())) {
                Ok(all) if all.is_empty() => Some("the name has no address".to_owned()),
                Ok(all) => {
                    this.known.store(Arc::new(all));
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            *this.failure.lock() = failure;
            let now = u64::try_from(this.born.elapsed().as_millis()).unwrap_or(u64::MAX);
            this.answered.store(now, Ordering::Relaxed);
            this.asking.store(false, Ordering::Release);
            this.changed.notify_waiters();
        });
    }
}

/// One family after the other in turn, beginning with the resolver's first choice.
fn interleave(all: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = all.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = all.into_iter().partition(|a| a.is_ipv6() == first_is_v6);
    let mut mixed = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let (a, b) = (first.next(), second.next());
        if a.is_none() && b.is_none() {
            mixed.dedup();
            return mixed;
        }
        mixed.extend(a);
        mixed.extend(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|a| a.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns() {
        let mixed = interleave(addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1"]));
        assert_eq!(mixed, addresses(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "[::3]:1"]));
    }

    #[tokio::test]
    async fn literals_need_no_resolver() {
        let v6 = Addresses::new("[::1]", 443).get().await.unwrap();
        assert_eq!(*v6, addresses(&["[::1]:443"]));
    }

    #[tokio::test]
    async fn localhost_resolves_and_nonsense_says_why() {
        assert!(!Addresses::new("localhost", 80).get().await.unwrap().is_empty());
        let error = Addresses::new("no-such-host.invalid", 80).get().await.unwrap_err();
        assert!(!error.is_empty());
    }
}
