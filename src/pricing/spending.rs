//! A daily budget: what may be spent from one midnight in UTC to the next, and what was.

use std::sync::Arc;

use parking_lot::Mutex;

use super::day::Day;
use crate::chat::Money;

/// A budget and what was spent of it. It is asked before something is bought and told afterwards, so that what is on
/// its way may go over it.
#[derive(Debug)]
pub struct Spending {
    limit: Money,
    spent: Arc<Mutex<(Day, Money)>>,
    /// The day on which something was bought at a price that nobody knows.
    stopped: Mutex<Option<Day>>,
}

/// Why nothing more may be bought today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The budget is spent.
    Spent,
    /// Something was bought at a price that nobody knows, so that nobody can keep the budget.
    Unpriced,
}

impl Spending {
    /// So much a day. What was spent goes on where `previous` stands; a price that nobody knew is forgotten.
    pub fn new(limit: Money, previous: Option<&Self>) -> Self {
        let spent = previous.map_or_else(|| Arc::new(Mutex::new((Day(0), Money::ZERO))), |p| Arc::clone(&p.spent));
        Self { limit, spent, stopped: Mutex::new(None) }
    }

    /// What may be spent a day.
    pub fn limit(&self) -> Money {
        self.limit
    }

    /// What was spent today.
    pub fn spent(&self, today: Day) -> Money {
        let spent = self.spent.lock();
        if spent.0 == today { spent.1 } else { Money::ZERO }
    }

    /// Whether something may be bought.
    ///
    /// # Errors
    /// Why not.
    pub fn allows(&self, today: Day) -> Result<(), Refused> {
        if *self.stopped.lock() == Some(today) {
            return Err(Refused::Unpriced);
        }
        if self.spent(today) < self.limit { Ok(()) } else { Err(Refused::Spent) }
    }

    /// Something was bought.
    pub fn charge(&self, today: Day, amount: Money) {
        let mut spent = self.spent.lock();
        if spent.0 != today {
            *spent = (today, Money::ZERO);
        }
        spent.1 += amount;
    }

    /// Something was bought at a price that nobody knows: nothing more is today.
    pub fn stop(&self, today: Day) {
        *self.stopped.lock() = Some(today);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        Money::parse(text).unwrap_or_default()
    }

    #[test]
    fn a_day_has_its_budget_to_the_last_digit() {
        let (monday, tuesday) = (Day(20_000), Day(20_001));
        let spending = Spending::new(money("0.3"), None);
        for _ in 0..2 {
            spending.charge(monday, money("0.1"));
            assert_eq!(spending.allows(monday), Ok(()));
        }
        spending.charge(monday, money("0.099999999999999999"));
        assert_eq!(spending.allows(monday), Ok(()), "a last 1e-18 dollar is left");
        spending.charge(monday, Money::from_atto(1));
        assert_eq!(spending.allows(monday), Err(Refused::Spent));
        assert_eq!(spending.allows(tuesday), Ok(()));
        spending.charge(tuesday, money("0.2"));
        assert_eq!(spending.spent(tuesday), money("0.2"));
    }

    #[test]
    fn a_new_limit_counts_what_was_spent_before_and_forgets_an_unknown_price() {
        let today = Day(20_000);
        let before = Spending::new(money("1"), None);
        before.charge(today, money("0.5"));
        before.stop(today);
        assert_eq!(before.allows(today), Err(Refused::Unpriced));
        assert_eq!(before.allows(Day(20_001)), Ok(()));
        let after = Spending::new(money("0.6"), Some(&before));
        assert_eq!(after.allows(today), Ok(()));
        before.charge(today, money("0.1"));
        assert_eq!(after.allows(today), Err(Refused::Spent), "what was on its way counts");
    }
}
