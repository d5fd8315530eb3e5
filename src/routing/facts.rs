//! What routing is told of a call, and what it answers.

use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use super::health::Probe;
use super::provider::Provider;
use super::reason::Reason;
use super::route::{Route, Target};
use crate::dialect::{DialectId, Operation};

/// Request headers, wherever they stand.
pub trait HeaderLookup {
    /// The first value of a header; names are compared without regard to ASCII case.
    fn header(&self, name: &str) -> Option<&[u8]>;
}

/// What a call looks like from outside. Nothing here is kept.
#[derive(Clone, Copy)]
pub struct CallFacts<'a> {
    /// The client's wire format.
    pub dialect: DialectId,
    /// What it asks for.
    pub operation: Operation,
    /// The model as asked, before aliases; none where the body is not read.
    pub model: Option<&'a Arc<str>>,
    /// The whole path, vendor prefix included.
    pub path: &'a str,
    /// The provider that the path's prefix names; see [`super::RoutingTable::provider_for_prefix`].
    pub vendor: Option<&'a Arc<Provider>>,
    /// The calling app.
    pub app: &'a str,
    /// The request's headers.
    pub headers: &'a dyn HeaderLookup,
    /// A stable hash of the conversation's start. Called only when the route keeps conversations at one target.
    pub conversation: &'a dyn Fn() -> u64,
    /// Decides what is left to chance: the same seed gives the same order.
    pub seed: u64,
    /// The time, for health.
    pub now: Instant,
}

/// Where a call goes.
#[derive(Debug)]
pub struct Selection {
    /// The route that serves the call.
    pub route: Arc<Route>,
    /// The model after aliases, and without the provider's part of a `provider/model` name. None where none was asked.
    pub model: Option<Arc<str>>,
    /// Targets in the order in which to try them; never empty.
    pub candidates: SmallVec<[Candidate; 4]>,
}

/// A target to try, and why it stands where it stands.
///
/// It may hold the right to probe a half-open target, until [`super::Health::record`] is told how that went or the
/// candidate is dropped; see [`Selection::settle`].
#[derive(Debug)]
pub struct Candidate {
    /// Where to send the call.
    pub target: Arc<Target>,
    /// Why it stands at this place.
    pub reason: Reason,
    /// Set when this call is the one that finds out whether the target is back.
    pub probe: Option<Probe>,
}

impl Selection {
    /// The model to ask this candidate for: the target's own, else as the client asked (after aliases).
    pub fn model_for<'s>(&'s self, candidate: &'s Candidate) -> Option<&'s str> {
        candidate.target.model.as_deref().or(self.model.as_deref())
    }

    /// The candidate number `at` serves the call: those after it will not be tried. Gives back their rights to probe,
    /// so that a long answer does not keep other calls from finding out whether those targets are back.
    pub fn settle(&self, at: usize) {
        self.candidates.iter().skip(at + 1).filter_map(|c| c.probe.as_ref()).for_each(Probe::release);
    }
}
