//! Why a target stands at its place in the order; for people to read.

use std::fmt;
use std::time::Duration;

/// Why a target stands at its place in the order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reason {
    /// What put it there.
    pub place: Place,
    /// What its health made of that.
    pub standing: Standing,
}

/// What put a target at its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// Strategy `fallback`.
    Priority(u32),
    /// Strategy `weighted`, among the targets of one priority.
    Weighted {
        /// Lower comes first.
        priority: u32,
        /// The target's own weight.
        weight: u32,
        /// Sum of the weights of its group.
        of: u64,
        /// What keeps the choice the same from call to call.
        sticky: Stuck,
    },
    /// No route matched.
    Implicit(Implicit),
}

/// What keeps a weighted choice the same from call to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stuck {
    /// Nothing: each call is drawn anew.
    No,
    /// The value of a header.
    Header,
    /// The start of the conversation.
    Conversation,
}

/// How a provider was found without a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Implicit {
    /// The path names it.
    Path,
    /// The model's name does: `provider/model`.
    ModelName,
    /// Its `models` match.
    Models,
    /// There is no other.
    OnlyOne,
}

/// What health made of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The target is up.
    Up,
    /// The ejection is over: this call probes.
    Probe,
    /// The ejection is over, but another call is probing.
    BeingProbed {
        /// Every target of the route is out.
        all_out: bool,
    },
    /// Ejected.
    Ejected {
        /// For so long yet.
        remaining: Duration,
        /// Every target of the route is out.
        all_out: bool,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.place, self.standing)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Priority(priority) => write!(f, "priority {priority}"),
            Self::Weighted { priority, weight, of, sticky } => {
                write!(f, "priority {priority}, weight {weight} of {of}")?;
                f.write_str(match sticky {
                    Stuck::No => "",
                    Stuck::Header => ", sticky by header",
                    Stuck::Conversation => ", sticky by conversation",
                })
            }
            Self::Implicit(how) => f.write_str(match how {
                Implicit::Path => "no route matched; the path names this provider",
                Implicit::ModelName => "no route matched; the model's name names this provider",
                Implicit::Models => "no route matched; first provider whose models match",
                Implicit::OnlyOne => "no route matched; the only provider",
            }),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = |all_out: bool| if all_out { "tried because all are out" } else { "tried last" };
        match self {
            Self::Up => Ok(()),
            Self::Probe => f.write_str("; its ejection is over, this call probes it"),
            Self::BeingProbed { all_out } => write!(f, "; another call is probing it, {}", last(*all_out)),
            Self::Ejected { remaining, all_out } => {
                write!(f, "; ejected for another {:.1}s, {}", remaining.as_secs_f64(), last(*all_out))
            }
        }
    }
}
