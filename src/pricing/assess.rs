//! List, billed and effective cost of one call, and markup over any set of calls.

use super::book::Quote;
use super::cost::Unpriced;
use super::day::At;
use super::fees::{Account, Fees};
use crate::chat::{Money, ServiceTier, StatedCost, Usage};

/// What a call is priced by: resolved once for a target, or for a model and its server where those vary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// The list price.
    pub list: Quote,
    /// What this account is charged.
    pub card: Quote,
    /// The provider's own price is the list price.
    pub direct: bool,
    /// What it pays on top.
    pub fees: Fees,
    /// How it buys.
    pub account: Account,
}

/// What is known of a call when it is priced.
#[derive(Debug, Clone, Copy)]
pub struct Sale<'a> {
    /// What it used; `None`: nobody knows.
    pub usage: Option<&'a Usage>,
    /// What the provider states that it cost.
    pub stated: Option<StatedCost>,
    /// When it was accepted.
    pub at: At,
    /// The tier of service that it was given.
    pub tier: ServiceTier,
}

/// What a call cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assessment {
    /// At the list price.
    pub list: Result<Money, Unpriced>,
    /// What the account is charged.
    pub billed: Result<Billed, Unpriced>,
    /// Billed, and fees on top.
    pub effective: Result<Money, Unpriced>,
}

/// A charge and where it is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Billed {
    /// The amount.
    pub amount: Money,
    /// Where it is known from.
    pub source: CostSource,
}

/// Where a billed cost is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CostSource {
    /// The provider stated it.
    Reported,
    /// A price card of this provider that is not the list price.
    Card,
    /// The list price, at a provider whose price that is.
    List,
}

impl CostSource {
    /// The word in usage records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Card => "card",
            Self::List => "list",
        }
    }
}

/// Which of the three costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Basis {
    /// At the list price.
    List,
    /// What the account is charged.
    Billed,
    /// Billed, and fees on top.
    Effective,
}

impl Basis {
    /// Every basis.
    pub const ALL: [Self; 3] = [Self::List, Self::Billed, Self::Effective];

    /// The label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Billed => "billed",
            Self::Effective => "effective",
        }
    }
}

impl Assessment {
    /// As the assessment of a call whose usage is only estimated: what follows from usage has no amount.
    pub fn for_estimate(self) -> Self {
        let why = |why: Unpriced| if why == Unpriced::Usage { Unpriced::Estimated } else { why };
        Self { list: self.list.map_err(why), billed: self.billed.map_err(why), effective: self.effective.map_err(why) }
    }
}

impl Terms {
    /// Prices one call.
    pub fn assess(&self, sale: &Sale<'_>) -> Assessment {
        let price = |quote: &Quote| {
            let usage = sale.usage.ok_or(Unpriced::Usage)?;
            quote.cost(usage, sale.at, sale.tier).map(|cost| cost.total())
        };
        let list = price(&self.list);
        // What goes through credit bears the fee on credit; what the serving provider charges does not.
        let (charged, elsewhere, source) = match sale.stated {
            Some(stated) if stated.byok => (Ok(stated.amount), stated.upstream.map_or(list, Ok), CostSource::Reported),
            Some(stated) => (Ok(stated.amount), Ok(Money::ZERO), CostSource::Reported),
            None if self.account.byok => {
                let fee = list.map(|upstream| self.fees.on_own_key(upstream, sale.at));
                (fee, list, CostSource::Card)
            }
            None => {
                let source = if self.is_list(sale) { CostSource::List } else { CostSource::Card };
                (price(&self.card), Ok(Money::ZERO), source)
            }
        };
        let parts = charged.and_then(|charged| elsewhere.map(|elsewhere| (charged, elsewhere)));
        let effective = parts
            .map(|(charged, elsewhere)| charged + elsewhere + self.fees.on_credit(charged, &self.account, sale.at));
        let billed = parts.map(|(charged, elsewhere)| Billed { amount: charged + elsewhere, source });
        Assessment { list, billed, effective }
    }

    /// Whether the card that holds is the list price's.
    fn is_list(&self, sale: &Sale<'_>) -> bool {
        self.direct && self.card.card(sale.at, sale.tier).is_some_and(|card| !card.own)
    }
}

/// `effective / list - 1` in millionths, over any set of calls with both known; `None` where the list price is zero.
pub fn markup(list: Money, effective: Money) -> Option<i64> {
    if list <= Money::ZERO {
        return None;
    }
    let over = effective.atto().checked_sub(list.atto())?;
    let millionths = match over.checked_mul(1_000_000) {
        Some(scaled) => scaled / list.atto(),
        None => over / (list.atto() / 1_000_000).max(1),
    };
    i64::try_from(millionths).ok()
}

#[cfg(test)]
mod tests {
    use super::super::book::PriceBook;
    use super::super::day::Day;
    use super::super::providers::Kind;
    use super::*;

    const AT: At = At { day: Day(20_782), minute: 0 };

    fn money(text: &str) -> Money {
        Money::parse(text).expect("an amount")
    }

    fn terms(preset: &str, model: &str) -> Terms {
        let book = PriceBook::shipped();
        Terms {
            list: book.list(preset, preset, model, None),
            card: book.card(preset, preset, model),
            direct: book.kind(preset) == Kind::Direct,
            fees: book.fees(preset),
            account: Account::default(),
        }
    }

    fn sale(usage: &Usage, stated: Option<StatedCost>) -> Sale<'_> {
        Sale { usage: Some(usage), stated, at: AT, tier: ServiceTier::Standard }
    }

    const USAGE: Usage = Usage {
        input: 1_000,
        cache_read: 0,
        cache_write_5m: 0,
        cache_write_1h: 0,
        output: 100,
        reasoning: 0,
        audio_input: 0,
        audio_output: 0,
        image_input: 0,
        web_searches: 0,
    };

    #[test]
    fn a_direct_call_is_billed_at_the_list_price() {
        let it = terms("openai", "gpt-4o").assess(&sale(&USAGE, None));
        let amount = money("0.0035");
        assert_eq!(it.list, Ok(amount));
        assert_eq!(it.billed, Ok(Billed { amount, source: CostSource::List }));
        assert_eq!(it.effective, Ok(amount));
        assert_eq!(markup(amount, amount), Some(0));
    }

    #[test]
    fn a_routers_own_statement_wins_and_fees_come_on_top() {
        let stated = StatedCost { amount: money("0.0035"), upstream: Some(money("0.0035")), byok: false };
        let it = terms("openrouter", "openai/gpt-4o").assess(&sale(&USAGE, Some(stated)));
        assert_eq!(it.billed, Ok(Billed { amount: money("0.0035"), source: CostSource::Reported }));
        assert_eq!(it.effective, Ok(money("0.0036925")), "the upstream cost is not added; 5.5 % is");
        assert_eq!(markup(money("0.0035"), money("0.0036925")), Some(55_000));
        let unsaid = terms("openrouter", "openai/gpt-4o").assess(&sale(&USAGE, None));
        assert_eq!(unsaid.billed.map(|b| b.source), Ok(CostSource::Card));
    }

    #[test]
    fn with_a_key_of_ones_own_the_statement_is_the_fee_alone() {
        let stated = StatedCost { amount: money("0.0002"), upstream: Some(money("0.004")), byok: true };
        let it = terms("openrouter", "openai/gpt-4o").assess(&sale(&USAGE, Some(stated)));
        assert_eq!(it.billed.map(|b| b.amount), Ok(money("0.0042")));
        assert_eq!(it.effective, Ok(money("0.004211")), "only the fee went through credit");
        let silent = StatedCost { upstream: None, ..stated };
        let it = terms("openrouter", "openai/gpt-4o").assess(&sale(&USAGE, Some(silent)));
        assert_eq!(it.billed.map(|b| b.amount), Ok(money("0.0037")), "the list price stands in");
        let mut own = terms("openrouter", "openai/gpt-4o");
        own.account.byok = true;
        assert_eq!(own.assess(&sale(&USAGE, None)).billed.map(|b| b.amount), Ok(money("0.003675")), "5 % of it");
    }

    #[test]
    fn zero_is_a_price_and_unknown_is_not() {
        let free = StatedCost { amount: Money::ZERO, upstream: None, byok: false };
        let it = terms("openrouter", "openai/gpt-4o").assess(&sale(&Usage::default(), Some(free)));
        assert_eq!((it.list, it.billed.map(|b| b.amount)), (Ok(Money::ZERO), Ok(Money::ZERO)));
        assert_eq!(markup(Money::ZERO, Money::ZERO), None, "undefined, not infinite");
        let unknown = Sale { usage: None, stated: None, at: AT, tier: ServiceTier::Standard };
        let it = terms("openai", "gpt-4o").assess(&unknown);
        assert_eq!((it.list, it.billed), (Err(Unpriced::Usage), Err(Unpriced::Usage)));
        let said = Sale { stated: Some(free), ..unknown };
        let it = terms("openrouter", "openai/gpt-4o").assess(&said);
        assert_eq!((it.list, it.effective), (Err(Unpriced::Usage), Ok(Money::ZERO)));
        let nothing = terms("openai", "no-such-model").assess(&sale(&USAGE, None));
        assert_eq!((nothing.list, nothing.effective), (Err(Unpriced::Model), Err(Unpriced::Model)));
    }
}
