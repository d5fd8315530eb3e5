//! The dot product: usage times rates.

use std::fmt;

use super::rates::{Class, Rates};
use crate::chat::{Money, ServiceTier, Usage};

/// How many classes there are.
pub const CLASSES: usize = Class::ALL.len();

/// What a call costs, by class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    parts: [Money; CLASSES],
}

impl Cost {
    /// The sum over all classes.
    pub fn total(&self) -> Money {
        self.parts.iter().copied().sum()
    }

    /// The part of one class.
    pub fn of(&self, class: Class) -> Money {
        self.parts[class.index()]
    }
}

/// Why a call has no price. Never the same as a price of zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpriced {
    /// The price book does not know the model at this provider, at this time.
    Model,
    /// It knows no price for something that the call used.
    Class(Class),
    /// It knows no price for the tier of service.
    Tier(ServiceTier),
    /// Part of the output is charged apart, and the counts do not tell which.
    OutputApart,
    /// Nobody knows what the call used.
    Usage,
    /// What the call used is an estimate, which no sum of money takes in.
    Estimated,
}

impl Unpriced {
    /// The label in metrics: a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Usage => "no_usage",
            Self::Estimated => "estimated",
            Self::Model | Self::Class(_) | Self::Tier(_) | Self::OutputApart => "no_price",
        }
    }
}

impl fmt::Display for Unpriced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("no price for the model"),
            Self::Class(class) => write!(f, "no price for {}", class.as_str()),
            Self::Tier(tier) => write!(f, "no price for the tier `{}`", tier.as_str()),
            Self::OutputApart => f.write_str("part of the output is charged apart"),
            Self::Usage => f.write_str("usage unknown"),
            Self::Estimated => f.write_str("usage estimated"),
        }
    }
}

/// Prices a call: by `over` where it has a price (a tier of service), else by `base`.
pub(super) fn cost(base: Option<&Rates>, over: Option<&Rates>, usage: &Usage) -> Result<Cost, Unpriced> {
    let prompt = usage.total_input();
    let mut cost = Cost::default();
    for class in Class::ALL {
        let count = class.count(usage);
        if count == 0 {
            continue;
        }
        let Some(rate) = rate(base, over, class) else {
            if class == Class::Requests {
                // Most providers charge nothing for the request itself.
                continue;
            }
            return Err(Unpriced::Class(class));
        };
        let amount = u128::from(count) * u128::from(rate.at(prompt));
        cost.parts[class.index()] = Money::from_atto(i128::try_from(amount).unwrap_or(i128::MAX));
    }
    let apart = [over, base].into_iter().flatten().any(|rates| rates.output_apart);
    if apart && usage.total_output() > 0 {
        return Err(Unpriced::OutputApart);
    }
    Ok(cost)
}

fn rate<'r>(base: Option<&'r Rates>, over: Option<&'r Rates>, class: Class) -> Option<&'r super::rates::Rate> {
    let own = |class| over.and_then(|rates| rates.own(class)).or_else(|| base.and_then(|rates| rates.own(class)));
    own(class).or_else(|| own(class.falls_back()?))
}
