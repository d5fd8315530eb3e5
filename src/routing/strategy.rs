//! The order in which a route's targets are tried.
//!
//! `weighted` draws by weighted rendezvous hashing: each target gets a number from (key, target) and its weight, and
//! they go in order of these numbers. The first is each target with a chance of its weight over the sum, and so is
//! each next one among those left: a weighted shuffle. With a key that stays (a header's value, the start of a
//! conversation) instead of a call's seed the order stays too, and a target that comes or goes moves only its share.

use std::cmp::Ordering;
use std::sync::Arc;

use smallvec::SmallVec;

use super::condition::Asked;
use super::facts::Candidate;
use super::hash;
use super::health::HealthState;
use super::reason::{Place, Reason, Standing, Stuck};
use super::route::{Route, Target};
use crate::config::file::{Sticky, Strategy};

/// What decides a weighted draw.
fn draw(route: &Route, asked: &Asked<'_>) -> (u64, Stuck) {
    match &route.sticky {
        Some(Sticky::Header(name)) => match asked.facts.headers.header(name) {
            Some(value) => (hash::stable_hash(value), Stuck::Header),
            None => (asked.facts.seed, Stuck::No),
        },
        Some(Sticky::Conversation) => {
            let model = hash::stable_hash(asked.model.unwrap_or_default().as_bytes());
            ((asked.facts.conversation)() ^ model, Stuck::Conversation)
        }
        None => (asked.facts.seed, Stuck::No),
    }
}

/// The lower, the earlier: exponential with the weight as rate, so that the least of them follows the weights.
fn score(key: u64, target: &Target) -> f64 {
    match target.weight {
        0 => f64::INFINITY,
        weight => -hash::unit(key, target.identity).ln() / f64::from(weight),
    }
}

/// Puts the targets that `may` serve the call in order, the ejected ones last.
pub(super) fn order(route: &Route, asked: &Asked<'_>, may: impl Fn(&Target) -> bool) -> SmallVec<[Candidate; 4]> {
    let mut ready = SmallVec::new();
    let mut out = SmallVec::<[Candidate; 4]>::new();
    let mut place = |target: &Arc<Target>, place: Place| admit(target, place, asked, &mut ready, &mut out);
    match route.strategy {
        Strategy::Fallback => {
            for target in route.targets.iter().filter(|t| may(t)) {
                place(target, Place::Priority(target.priority));
            }
        }
        Strategy::Weighted => {
            let (key, sticky) = draw(route, asked);
            for group in route.targets.chunk_by(|a, b| a.priority == b.priority) {
                let mut drawn: SmallVec<[(f64, &Arc<Target>); 8]> =
                    group.iter().filter(|t| may(t)).map(|t| (score(key, t), t)).collect();
                // Stable: targets of weight 0 stay in order of the file.
                drawn.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal));
                let of = drawn.iter().map(|(_, t)| u64::from(t.weight)).sum();
                for (_, target) in &drawn {
                    let (priority, weight) = (target.priority, target.weight);
                    place(target, Place::Weighted { priority, weight, of, sticky });
                }
            }
        }
    }
    let all_out = ready.is_empty();
    ready.extend(out.into_iter().map(|mut candidate| {
        if let Standing::Ejected { all_out: all, .. } | Standing::BeingProbed { all_out: all } =
            &mut candidate.reason.standing
        {
            *all = all_out;
        }
        candidate
    }));
    ready
}

fn admit(
    target: &Arc<Target>,
    place: Place,
    asked: &Asked<'_>,
    ready: &mut SmallVec<[Candidate; 4]>,
    out: &mut SmallVec<[Candidate; 4]>,
) {
    let mut probe = None;
    let standing = if target.health.is_up() {
        Standing::Up
    } else {
        probe = target.health.try_probe(asked.facts.now);
        match target.health.state(asked.facts.now) {
            _ if probe.is_some() => Standing::Probe,
            HealthState::Up => Standing::Up,
            HealthState::Probing => Standing::BeingProbed { all_out: false },
            HealthState::Ejected { until } => {
                let remaining = until.saturating_duration_since(asked.facts.now);
                Standing::Ejected { remaining, all_out: false }
            }
        }
    };
    let list = if matches!(standing, Standing::Up | Standing::Probe) { ready } else { out };
    list.push(Candidate { target: Arc::clone(target), reason: Reason { place, standing }, probe });
}
