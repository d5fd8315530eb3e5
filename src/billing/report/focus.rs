//! A bill in the columns of FOCUS 1.2, the FinOps Open Cost and Usage Specification
//! (<https://focus.finops.org/focus-specification/v1-2/>), so that cost tools can take it in.
//!
//! A row is a day's calls of one app to one model at one provider, as far as they are charged: FOCUS wants a cost in
//! each row, and what is unpriced has none. How each column follows from the specification stands in docs/bill.md;
//! `tests/billing/focus.rs` holds the rules against what is written.

use super::csv::line;
use crate::billing::bill::{Dimension, Group, TOKENS};
use crate::billing::moment::Moment;
use crate::billing::tally::Tally;
use crate::chat::Money;
use crate::pricing::Day;

use super::Statement;

/// What a bill must be grouped by to be written in FOCUS.
pub const DIMENSIONS: [Dimension; 6] =
    [Dimension::Day, Dimension::Provider, Dimension::Model, Dimension::App, Dimension::ServedBy, Dimension::Measure];

/// All columns, in their order: those of FOCUS by the alphabet, then our own. A null is written as nothing.
///
/// Every column that is mandatory is here, and of the others those that have something to say. `ListUnitPrice`,
/// `ContractedUnitPrice` and `SkuPriceId` are conditional and left out: a row holds tokens of several classes, which
/// have no unit price in common.
pub const COLUMNS: [&str; 32] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "Tags",
    "x_Calls",
    "x_CallsWithoutListPrice",
    "x_InputTokens",
    "x_OutputTokens",
];

/// The bill, which must be grouped by [`DIMENSIONS`], as CSV in the columns of FOCUS 1.2.
pub fn focus(statement: &Statement) -> String {
    let mut out = String::new();
    line(&mut out, COLUMNS.into_iter().map(str::to_owned));
    for row in statement.bill.groups().into_iter().filter_map(Row::of) {
        line(&mut out, COLUMNS.into_iter().map(|column| row.value(column, statement.is_exact()).unwrap_or_default()));
    }
    out
}

/// Charged calls that have no row: their provider is not known, and FOCUS wants one.
pub fn nameless(statement: &Statement) -> u64 {
    let groups = statement.bill.groups();
    groups.iter().filter(|group| Row::of(group).is_none()).map(|group| group.tally.charged).sum()
}

struct Row<'a> {
    day: Day,
    provider: &'a str,
    model: Option<&'a str>,
    app: Option<&'a str>,
    served_by: Option<&'a str>,
    in_tokens: bool,
    tally: &'a Tally,
}

impl<'a> Row<'a> {
    /// Nothing for calls that are not charged.
    fn of(group: &'a Group) -> Option<Self> {
        let [day, provider, model, app, served_by, measure] = group.names.as_slice() else { return None };
        Some(Self {
            in_tokens: measure.as_deref()? == TOKENS,
            day: Day::parse(day.as_deref()?)?,
            provider: provider.as_deref()?,
            model: model.as_deref(),
            app: app.as_deref(),
            served_by: served_by.as_deref(),
            tally: &group.tally,
        })
    }

    fn value(&self, column: &str, exact: bool) -> Option<String> {
        let (tally, tokens) = (self.tally, &self.tally.tokens);
        let (month, next_month) = self.day.month();
        let start = |day: Day| Some(Moment::from(day).to_string());
        Some(match column {
            "BilledCost" => decimal(tally.billed),
            "EffectiveCost" => decimal(tally.effective),
            // A charge without a contracted unit price: as billed (ContractedCost, last but two of its rules).
            "ContractedCost" => decimal(tally.billed),
            "ListCost" => decimal(self.list()),
            "BillingCurrency" => "USD".into(),
            // An account is what a provider of the configuration has a key for.
            "BillingAccountId" | "InvoiceIssuerName" | "ProviderName" => self.provider.to_owned(),
            "PublisherName" => self.served_by.unwrap_or(self.provider).to_owned(),
            "BillingPeriodStart" => return start(month),
            "BillingPeriodEnd" => return start(next_month),
            "ChargePeriodStart" => return start(self.day),
            "ChargePeriodEnd" => return start(Day(self.day.0 + 1)),
            "ChargeCategory" => "Usage".into(),
            "ChargeFrequency" => "Usage-Based".into(),
            "ChargeDescription" => self.description(),
            "ConsumedQuantity" | "PricingQuantity" => format!("{}.0", self.quantity()),
            "ConsumedUnit" | "PricingUnit" => if self.in_tokens { "Tokens" } else { "Requests" }.into(),
            "ServiceCategory" => "AI and Machine Learning".into(),
            "ServiceSubcategory" => "Generative AI".into(),
            "ServiceName" => format!("{} API", self.provider),
            "SkuId" => return self.model.map(str::to_owned),
            "Tags" => return self.app.map(|app| serde_json::json!({ "app": app }).to_string()),
            "x_Calls" => tally.charged.to_string(),
            "x_CallsWithoutListPrice" if exact => (tally.charged - tally.comparable.calls).to_string(),
            "x_InputTokens" if self.in_tokens => tokens.total_input().to_string(),
            "x_OutputTokens" if self.in_tokens => tokens.total_output().to_string(),
            _ => return None,
        })
    }

    /// At list prices; a charge without one counts as billed (ListCost: "MUST match the BilledCost" without a unit
    /// price).
    fn list(&self) -> Money {
        let comparable = &self.tally.comparable;
        comparable.list + (self.tally.billed - comparable.billed)
    }

    fn quantity(&self) -> u64 {
        let tokens = &self.tally.tokens;
        if self.in_tokens { tokens.total_input() + tokens.total_output() } else { self.tally.charged }
    }

    fn description(&self) -> String {
        let calls = if self.tally.charged == 1 { "1 call".into() } else { format!("{} calls", self.tally.charged) };
        let by = self.served_by.map(|by| format!(", served by {by}")).unwrap_or_default();
        format!("{calls} of {} through {}{by}", self.model.unwrap_or("an unnamed model"), self.provider)
    }
}

/// An amount that is seen to be a decimal even where it is whole: readers of CSV guess the type of a column.
fn decimal(amount: Money) -> String {
    let text = amount.to_string();
    if text.contains('.') { text } else { text + ".0" }
}
