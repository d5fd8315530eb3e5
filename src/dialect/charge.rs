//! What answers say of money and of who served them: costs, tiers of service, the provider behind a router.
//!
//! Every host has its own words for the same few facts; they stand here together. Amounts are taken from the digits of
//! the JSON, never through a binary float. A new word is one more arm of a `match`.

use super::json::{self, Members};
use super::router;
use crate::chat::{Money, RouterTold, ServiceTier, StatedCost};

/// Longest name of a serving provider that is kept.
const MAX_NAME: usize = 128;
/// xAI states ticks: 1e10 to the dollar.
const TICK: i128 = 100_000_000;
/// GitHub Copilot states billionths of an AI unit, which is a cent.
const NANO_AIU: i128 = 10_000_000;

/// What one answer said so far.
#[derive(Debug, Default)]
pub(super) struct Charge {
    amount: Option<Money>,
    upstream: Option<Money>,
    byok: bool,
    /// Of the `usage` object that is being read.
    ticks: Option<Money>,
    pub(super) tier: ServiceTier,
    served_by: Option<String>,
    pub(super) router: Option<RouterTold>,
    /// Who served, by the router's own account; counts where nothing else says so.
    routed_to: Option<String>,
}

impl Charge {
    /// What the answer states that the call cost.
    pub(super) fn stated(&self) -> Option<StatedCost> {
        let amount = self.amount.or(self.upstream.filter(|_| self.byok).map(|_| Money::ZERO))?;
        Some(StatedCost { amount, upstream: self.upstream, byok: self.byok })
    }

    /// Who served the call.
    pub(super) fn served_by(&self) -> Option<&str> {
        self.served_by.as_deref().or(self.routed_to.as_deref())
    }

    /// Takes over what a `usage` object says; `used`: it counts any tokens.
    pub(super) fn note_usage(&mut self, usage: &[u8], used: bool) {
        if let Ok(mut members) = Members::open(usage, 0) {
            while let Ok(Some(member)) = members.next() {
                self.note_of_usage(&member.key(), member.value);
            }
        }
        self.usage_ends(used);
    }

    /// Takes over one member of a `usage` object; [`Charge::usage_ends`] follows the last one.
    pub(super) fn note_of_usage(&mut self, key: &[u8], value: &[u8]) {
        match key {
            // OpenRouter and Vercel: a number. Perplexity: an object.
            b"cost" if value.starts_with(b"{") => self.note_amount(total(value)),
            b"cost" => self.note_amount(money(value)),
            b"cost_details" => {
                self.upstream = json::field(value, "upstream_inference_cost").and_then(money).or(self.upstream);
            }
            // Vercel's word for what the serving provider asks.
            b"market_cost" => self.upstream = self.upstream.or(money(value)),
            b"is_byok" => self.byok = value == b"true",
            b"cost_in_usd_ticks" => self.ticks = units(value, TICK),
            b"pydantic_ai_gateway" => self.note_amount(json::field(value, "cost_estimate").and_then(money)),
            b"service_tier" => self.note_tier(value),
            b"speed" if value == b"\"fast\"" => self.tier = ServiceTier::Fast,
            _ => {}
        }
    }

    /// The `usage` object is read; `used`: it counts any tokens.
    pub(super) fn usage_ends(&mut self, used: bool) {
        // Hosts that sell xAI's models write 0 for what they charge by other means.
        let ticks = self.ticks.take().filter(|amount| *amount > Money::ZERO || !used);
        self.note_amount(ticks);
    }

    /// Takes over a member that stands beside `usage`.
    pub(super) fn note_beside(&mut self, key: &[u8], value: &[u8]) {
        match key {
            // Venice: dollars, unless the call was paid in its own credit.
            b"cost" if value.starts_with(b"{") => {
                let credit = json::field(value, "diem").and_then(money).unwrap_or_default();
                let dollars = json::field(value, "usd").and_then(money);
                self.note_amount(dollars.filter(|_| credit == Money::ZERO));
            }
            b"copilot_usage" => {
                self.note_amount(json::field(value, "total_nano_aiu").and_then(|n| units(n, NANO_AIU)));
            }
            b"service_tier" => self.note_tier(value),
            b"provider" if self.served_by.is_none() && value.len() <= MAX_NAME => {
                self.served_by = json::text(value).filter(|name| !name.is_empty()).map(|name| name.into_owned());
            }
            key if *key == *router::MEMBER.as_bytes() => {
                if let Some((told, by)) = router::read(value) {
                    (self.router, self.routed_to) = (Some(told), by);
                }
            }
            _ => {}
        }
    }

    /// The last statement counts; null states nothing.
    fn note_amount(&mut self, amount: Option<Money>) {
        self.amount = amount.or(self.amount);
    }

    fn note_tier(&mut self, value: &[u8]) {
        if let Some(word) = json::text(value) {
            self.tier = ServiceTier::parse(&word);
        }
    }
}

/// Perplexity's `cost`.
fn total(cost: &[u8]) -> Option<Money> {
    let dollars = json::field(cost, "currency").is_none_or(|currency| currency == b"\"USD\"");
    json::field(cost, "total_cost").filter(|_| dollars).and_then(money)
}

/// An amount in dollars, as a number or in quotes. What is negative is no price.
fn money(value: &[u8]) -> Option<Money> {
    let digits = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
    Money::parse(std::str::from_utf8(digits).ok()?).filter(|money| *money >= Money::ZERO)
}

/// An amount in whole units of so many 1e-18 dollars.
fn units(value: &[u8], atto: i128) -> Option<Money> {
    Some(Money::from_atto(i128::from(json::count(value)?).checked_mul(atto)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(usage: &str) -> Option<(String, Option<String>, bool)> {
        let mut charge = Charge::default();
        charge.note_usage(usage.as_bytes(), true);
        charge.stated().map(|s| (s.amount.to_string(), s.upstream.map(|m| m.to_string()), s.byok))
    }

    fn beside(key: &str, value: &str) -> Option<String> {
        let mut charge = Charge::default();
        charge.note_beside(key.as_bytes(), value.as_bytes());
        charge.stated().map(|s| s.amount.to_string())
    }

    #[test]
    fn every_word_for_a_cost_is_read_to_its_last_digit() {
        let plain = |amount: &str| Some((amount.to_owned(), None, false));
        assert_eq!(of(r#"{"cost":7.159e-05,"is_byok":false}"#), plain("0.00007159"));
        assert_eq!(of(r#"{"cost":"0.000992"}"#), plain("0.000992"));
        assert_eq!(of(r#"{"cost":{"currency":"USD","total_cost":2.8e-08}}"#), plain("0.000000028"));
        assert_eq!(of(r#"{"cost":{"currency":"EUR","total_cost":1}}"#), None);
        assert_eq!(of(r#"{"cost_in_usd_ticks":1724000}"#), plain("0.0001724"));
        assert_eq!(of(r#"{"pydantic_ai_gateway":{"cost_estimate":0.00431125}}"#), plain("0.00431125"));
        assert_eq!(beside("cost", r#"{"diem":0,"usd":0.00010434375}"#).as_deref(), Some("0.00010434375"));
        assert_eq!(beside("cost", r#"{"diem":0.2,"usd":0}"#), None, "paid in its own credit");
        assert_eq!(beside("copilot_usage", r#"{"total_nano_aiu":37450000}"#).as_deref(), Some("0.0003745"));
    }

    #[test]
    fn nothing_is_not_zero_and_zero_is_not_nothing() {
        assert_eq!(of(r#"{"cost":null}"#), None);
        assert_eq!(of(r#"{"cost":-1}"#), None);
        assert_eq!(of(r#"{"cost":0}"#), Some(("0".into(), None, false)));
        assert_eq!(of(r#"{"cost_in_usd_ticks":0}"#), None, "written by a host that charges by other means");
        let mut unused = Charge::default();
        unused.note_usage(br#"{"cost_in_usd_ticks":0}"#, false);
        assert!(unused.stated().is_some(), "a call that used nothing costs nothing");
    }

    #[test]
    fn a_key_of_ones_own_is_told_apart() {
        let usage = r#"{"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":0.00417}}"#;
        assert_eq!(of(usage), Some(("0".into(), Some("0.00417".into()), true)));
        let vercel = r#"{"is_byok":true,"cost_details":{"upstream_inference_cost":null},"market_cost":0.5}"#;
        assert_eq!(of(vercel), Some(("0".into(), Some("0.5".into()), true)));
    }

    #[test]
    fn the_last_tier_and_the_first_server_count() {
        let mut charge = Charge::default();
        for (key, value) in [
            ("service_tier", "\"auto\""),
            ("service_tier", "\"flex\""),
            ("service_tier", "null"),
            ("provider", "\"\""),
            ("provider", "\"Amazon Bedrock\""),
            ("provider", "\"Other\""),
        ] {
            charge.note_beside(key.as_bytes(), value.as_bytes());
        }
        assert_eq!((charge.tier, charge.served_by.as_deref()), (ServiceTier::Flex, Some("Amazon Bedrock")));
    }
}
