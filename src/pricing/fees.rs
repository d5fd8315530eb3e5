//! What an account pays on top of its calls: for buying credit, and for calls with keys of its own.

use super::day::{At, Day};
use super::rates::Percent;
use crate::chat::Money;

/// How an account buys its credit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PayBy {
    /// By card or invoice.
    #[default]
    Card,
    /// In a cryptocurrency.
    Crypto,
}

impl PayBy {
    /// The way of that name.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "card" => Some(Self::Card),
            "crypto" => Some(Self::Crypto),
            _ => None,
        }
    }
}

/// A fee on the purchase of credit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fee {
    /// The first day on which it holds.
    pub from: Option<Day>,
    /// For whom.
    pub pay: PayBy,
    /// Share of the credit bought.
    pub percent: Percent,
    /// The least for one purchase.
    pub minimum: Money,
}

/// The fees of a provider. Of those that hold, the last counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fees {
    /// On the purchase of credit.
    pub purchase: Vec<Fee>,
    /// On calls with a key of the account's own: share of what the serving provider charges.
    pub byok: Vec<(Option<Day>, Percent)>,
}

/// How this operator stands with a provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// How credit is bought.
    pub pay: PayBy,
    /// How much is bought at a time, over which a minimum fee is spread. Unknown: the minimum is left out.
    pub purchase: Option<Money>,
    /// All calls go with a key of the account's own, also where the answer does not say so.
    pub byok: bool,
}

fn began(from: Option<Day>, at: At) -> bool {
    from.is_none_or(|from| at.day >= from)
}

impl Fees {
    /// What credit of this amount costs on top.
    pub fn on_credit(&self, amount: Money, account: &Account, at: At) -> Money {
        let Some(fee) = self.purchase.iter().rev().find(|fee| fee.pay == account.pay && began(fee.from, at)) else {
            return Money::ZERO;
        };
        let percent = amount.share(fee.percent.millionths);
        match account.purchase.filter(|purchase| *purchase > Money::ZERO) {
            // The fee on the whole purchase is the minimum; this amount bears its part.
            Some(purchase) if fee.minimum > purchase.share(fee.percent.millionths) => {
                let millionths = fee.minimum.atto().saturating_mul(1_000_000) / purchase.atto();
                amount.share(i64::try_from(millionths).unwrap_or(i64::MAX))
            }
            _ => percent,
        }
    }

    /// What a call with a key of the account's own costs on top of what the serving provider charges.
    pub fn on_own_key(&self, upstream: Money, at: At) -> Money {
        let percent = self.byok.iter().rev().find(|(from, _)| began(*from, at)).map(|(_, percent)| *percent);
        percent.map_or(Money::ZERO, |percent| upstream.share(percent.millionths))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        Money::parse(text).expect("an amount")
    }

    #[test]
    fn a_minimum_is_spread_over_the_purchase_and_dates_count() {
        let fee = |from: &str, pay, percent: &str, minimum: &str| Fee {
            from: Day::parse(from),
            pay,
            percent: Percent::parse(percent).expect("a percentage"),
            minimum: money(minimum),
        };
        let fees = Fees {
            purchase: vec![
                fee("", PayBy::Card, "5%", "0.35"),
                fee("2026-06-01", PayBy::Card, "5.5%", "0.80"),
                fee("", PayBy::Crypto, "5%", "0"),
            ],
            byok: vec![(None, Percent { millionths: 50_000 })],
        };
        let at = |day| At { day: Day::parse(day).expect("a day"), minute: 0 };
        let on = |account: Account, day| fees.on_credit(money("2"), &account, at(day)).to_string();
        let card = Account::default();
        assert_eq!(on(card, "2026-05-31"), "0.1");
        assert_eq!(on(card, "2026-06-01"), "0.11");
        assert_eq!(on(Account { purchase: Some(money("5")), ..card }, "2026-06-01"), "0.32", "0.80 on 5 is 16 %");
        assert_eq!(on(Account { purchase: Some(money("100")), ..card }, "2026-06-01"), "0.11");
        assert_eq!(on(Account { pay: PayBy::Crypto, ..card }, "2026-06-01"), "0.1");
        assert_eq!(fees.on_own_key(money("2"), at("2026-06-01")).to_string(), "0.1");
        assert_eq!(Fees::default().on_credit(money("2"), &card, at("2026-06-01")), Money::ZERO);
    }
}
