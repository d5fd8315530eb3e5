//! The rules of FOCUS 1.2, held against what is written.
//!
//! Source: the FinOps Open Cost and Usage Specification 1.2, `specification/columns/*.md` and
//! `specification/attributes/*.md` of <https://github.com/FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec> at the tag
//! `v1.2`, published as <https://focus.finops.org/focus-specification/v1-2/>. The rules are written down here apart
//! from the code under test. The same output passed the foundation's own `focus-validator` 2.2.1 by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use faregate::chat::Money;

use super::run::{Done, faregate, fed};
use super::stage::Stage;

type Row = BTreeMap<String, String>;

/// What a column may hold.
enum Format {
    Text,
    Decimal,
    DateTime,
    /// KeyValueFormat: a JSON object of scalars.
    KeyValue,
    OneOf(&'static [&'static str]),
}
use Format::{DateTime, Decimal, KeyValue, OneOf, Text};

/// Columns with feature level Mandatory, and whether they allow nulls.
const MANDATORY: &[(&str, bool, Format)] = &[
    ("BilledCost", false, Decimal),
    ("BillingAccountId", false, Text),
    ("BillingAccountName", true, Text),
    ("BillingCurrency", false, OneOf(&["USD"])),
    ("BillingPeriodEnd", false, DateTime),
    ("BillingPeriodStart", false, DateTime),
    ("ChargeCategory", false, OneOf(&["Usage", "Purchase", "Tax", "Credit", "Adjustment"])),
    ("ChargeClass", true, OneOf(&["Correction"])),
    ("ChargeDescription", true, Text),
    ("ChargePeriodEnd", false, DateTime),
    ("ChargePeriodStart", false, DateTime),
    ("ContractedCost", false, Decimal),
    ("EffectiveCost", false, Decimal),
    ("InvoiceIssuerName", false, Text),
    ("ListCost", false, Decimal),
    ("PricingQuantity", true, Decimal),
    ("PricingUnit", true, Text),
    ("ProviderName", false, Text),
    ("PublisherName", false, Text),
    ("ServiceCategory", false, OneOf(&["AI and Machine Learning"])),
    ("ServiceName", false, Text),
];

/// Columns that are recommended or conditional, of those that are written.
const OTHERS: &[(&str, bool, Format)] = &[
    ("ChargeFrequency", false, OneOf(&["One-Time", "Recurring", "Usage-Based"])),
    ("ConsumedQuantity", true, Decimal),
    ("ConsumedUnit", true, Text),
    ("InvoiceId", true, Text),
    ("ServiceSubcategory", false, OneOf(&["Generative AI"])),
    ("SkuId", true, Text),
    ("Tags", true, KeyValue),
];

/// NumericFormat: no sign but a minus, one point at most, E notation without a plus.
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match unsigned.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        // Whole numbers are allowed; a column of them would be taken for integers.
        None => false,
    }
}

/// DateTimeFormat: YYYY-MM-DDTHH:mm:ssZ.
fn is_date_time(text: &str) -> bool {
    let form: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    form == "0000-00-00T00:00:00Z"
}

fn check(row: &Row, (name, nulls, format): &(&str, bool, Format)) {
    let value = row.get(*name).unwrap_or_else(|| panic!("{name} is missing"));
    if value.is_empty() {
        assert!(*nulls, "{name} is null: {row:#?}");
        return;
    }
    let holds = match format {
        // StringHandling: no strings of spaces; NullHandling: no words for nothing.
        Text => !value.trim().is_empty() && !["null", "none", "n/a", "unknown"].contains(&&*value.to_lowercase()),
        Decimal => is_decimal(value),
        DateTime => is_date_time(value),
        OneOf(allowed) => allowed.contains(&value.as_str()),
        KeyValue => {
            let object: BTreeMap<String, serde_json::Value> = serde_json::from_str(value).unwrap();
            object.values().all(|value| !value.is_array() && !value.is_object())
        }
    };
    assert!(holds, "{name} is {value:?}");
}

/// All rules that can be seen in one row.
fn conforms(row: &Row) {
    MANDATORY.iter().chain(OTHERS).for_each(|column| check(row, column));
    let at = |name: &str| row[name].as_str();
    let money = |name: &str| Money::parse(at(name)).unwrap();
    assert_eq!(at("ChargeCategory"), "Usage");
    assert_eq!(at("ChargeClass"), "", "null where a row corrects nothing");
    assert_eq!(at("InvoiceId"), "", "null where a charge belongs to no invoice");
    assert_eq!(at("ChargeFrequency"), "Usage-Based");
    assert!(!at("ChargeDescription").is_empty(), "SHOULD NOT be null");
    // Quantities and SKUs MUST NOT be null for usage; units go with quantities.
    for name in ["ConsumedQuantity", "ConsumedUnit", "PricingQuantity", "PricingUnit", "SkuId"] {
        assert!(!at(name).is_empty(), "{name}");
    }
    // UnitFormat: names of count-based units are capitalised, in the plural.
    for name in ["ConsumedUnit", "PricingUnit"] {
        assert!(["Tokens", "Requests"].contains(&at(name)), "{name}");
    }
    // Without a contracted unit price the contracted cost MUST match the billed cost.
    assert_eq!(money("ContractedCost"), money("BilledCost"));
    // Periods have an inclusive start and an exclusive end, and a charge lies in its billing period.
    let (from, to) = (at("ChargePeriodStart"), at("ChargePeriodEnd"));
    assert!(from < to && at("BillingPeriodStart") <= from && to <= at("BillingPeriodEnd"), "{row:#?}");
    assert!(at("BillingPeriodStart").ends_with("-01T00:00:00Z") && at("BillingPeriodEnd").ends_with("-01T00:00:00Z"));
}

/// ColumnHandling: Pascal case for theirs, the prefix `x_` for ours, theirs first.
fn columns_conform(text: &str) {
    let names: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let known: BTreeSet<&str> = MANDATORY.iter().chain(OTHERS).map(|(name, _, _)| *name).collect();
    let ours = names.iter().position(|name| name.starts_with("x_")).unwrap();
    assert_eq!(names[..ours].iter().copied().collect::<BTreeSet<_>>(), known);
    assert!(names[ours..].iter().all(|name| name.starts_with("x_")), "{names:?}");
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(distinct.len(), names.len());
}

#[test]
fn every_row_keeps_the_rules_and_the_sums_are_the_bill() {
    let stage = Stage::new().play();
    let folder = stage.faregate.path();
    let focus = faregate(folder, &["bill", "usage.jsonl", "--format", "focus"]).ok();
    columns_conform(&focus.out);
    let rows = focus.csv();
    assert!(rows.len() >= 7, "{rows:#?}");
    rows.iter().for_each(conforms);
    let sum = |name: &str| rows.iter().map(|row| Money::parse(&row[name]).unwrap()).sum::<Money>().to_string();
    let total = faregate(folder, &["bill", "usage.jsonl", "--by", "none", "--format", "csv"]).ok().csv();
    assert_eq!(total.len(), 1);
    for (column, basis) in [("BilledCost", "billed"), ("EffectiveCost", "effective"), ("ListCost", "list")] {
        assert_eq!(sum(column), total[0][basis], "{column}");
    }
    assert_eq!(sum("x_Calls"), total[0]["charged_calls"]);
    // A charge is one account's at one provider; a name of a service has one category.
    for row in &rows {
        assert_eq!(row["BillingAccountId"], row["ProviderName"]);
        let publisher = if row["ProviderName"] == "router" { "OpenAI" } else { &row["ProviderName"] };
        assert_eq!(row["PublisherName"], publisher);
    }
    // What has no price has no row, and that is said.
    assert!(focus.err.contains("1 unpriced calls have no cost and so no row"), "{}", focus.err);
}

fn of(lines: &[&str]) -> (Vec<Row>, Done) {
    let folder = tempfile::tempdir().unwrap();
    let done = fed(folder.path(), &["bill", "-", "--format", "focus"], &lines.join("\n")).ok();
    (done.csv(), done)
}

#[test]
fn the_corners_of_months_and_unknown_things_keep_the_rules() {
    let cost = r#""cost":{"list":1,"billed":2,"effective":3,"cost_source":"reported","unpriced":null}"#;
    let unlisted = r#""cost":{"list":null,"billed":0.000000000000000001,"effective":0.000000000000000001,"cost_source":"reported","unpriced":null}"#;
    let record = |time: &str, tokens: &str, cost: &str| {
        format!(
            r#"{{"time":"{time}","app":"a,\"b\"","provider":"p","model_sent":"m","outcome":"ok","tokens":{tokens},{cost}}}"#
        )
    };
    let lines = [
        record("2026-12-31T23:59:59.999999Z", r#"{"input":2,"output":3}"#, cost),
        record("2027-01-01T00:00:00Z", r#"{"input":2,"output":3}"#, cost),
        record("2027-01-01T00:00:01Z", r#"{"input":1}"#, unlisted),
        record("2027-01-01T00:00:02Z", r#""unknown""#, cost),
        record("2027-01-01T00:00:03Z", r#""unknown""#, r#""cost":null"#),
        record("2027-01-01T00:00:04Z", r#"{"input":1}"#, r#""cost":{"list":9,"unpriced":"no price for the tier `x`"}"#),
    ];
    let (rows, _) = of(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    rows.iter().for_each(conforms);
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            ["ChargePeriodEnd", "BillingPeriodEnd", "PricingQuantity", "PricingUnit", "ListCost", "x_Calls"]
                .map(|name| row[name].as_str())
        })
        .collect();
    assert_eq!(
        shown,
        [
            ["2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "5.0", "Tokens", "1.0", "1"],
            ["2027-01-02T00:00:00Z", "2027-02-01T00:00:00Z", "1.0", "Requests", "1.0", "1"],
            // One call without a list price: it counts as billed.
            ["2027-01-02T00:00:00Z", "2027-02-01T00:00:00Z", "6.0", "Tokens", "1.000000000000000001", "2"],
        ]
    );
    assert_eq!(rows[2]["x_CallsWithoutListPrice"], "1");
    let nameless = GOOD.replace(r#""provider":"p","#, "");
    let (none, said) = of(&[&nameless]);
    assert!(none.is_empty() && said.err.contains("1 charged calls have no row, for their records name no provider"));
    let tags: serde_json::Value = serde_json::from_str(&rows[0]["Tags"]).unwrap();
    assert_eq!(tags["app"], "a,\"b\"");
}

const GOOD: &str = r#"{"time":"2026-11-25T10:00:00Z","app":"a","provider":"p","model_sent":"m","outcome":"ok","tokens":{"input":1},"cost":{"list":1,"billed":1,"effective":1}}"#;

#[test]
fn the_rules_are_heard() {
    let (rows, _) = of(&[GOOD]);
    for (column, value) in [
        ("BilledCost", ""),
        ("BilledCost", "$1"),
        ("ListCost", "1,000"),
        ("EffectiveCost", "+1"),
        ("ContractedCost", "2"),
        ("ChargePeriodStart", "2026-11-25"),
        ("ChargePeriodEnd", "2026-11-25T00:00:00Z"),
        ("ChargeCategory", "usage"),
        ("ServiceCategory", "AI"),
        ("ProviderName", " "),
        ("PublisherName", "unknown"),
        ("PricingUnit", ""),
        ("Tags", r#"{"a":[]}"#),
    ] {
        let mut row = rows[0].clone();
        row.insert(column.into(), value.into());
        assert!(std::panic::catch_unwind(|| conforms(&row)).is_err(), "{column}: {value:?}");
    }
    conforms(&rows[0]);
}

/// `FAREGATE_FOCUS_SAMPLE=FILE cargo test --test billing sample` writes what the foundation's validator is shown.
#[test]
fn a_sample_is_written_where_one_is_asked_for() {
    let Some(file) = std::env::var_os("FAREGATE_FOCUS_SAMPLE") else { return };
    let stage = Stage::new().play();
    fs::write(file, faregate(stage.faregate.path(), &["bill", "usage.jsonl", "--format", "focus"]).ok().out).unwrap();
}
