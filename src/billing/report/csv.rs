//! A bill as CSV (RFC 4180): one line a group, every number with all its digits, nothing where it is not known.

use std::borrow::Cow;

use super::{Statement, ratio};
use crate::billing::tally::{SOURCES, Tally};
use crate::chat::{Money, Usage};

/// The bill as CSV, with a line of names first and no line of totals.
pub fn csv(statement: &Statement) -> String {
    let bill = &statement.bill;
    let exact = statement.is_exact();
    let mut out = String::new();
    let names = bill.by().iter().map(|dimension| dimension.as_str().to_owned());
    line(&mut out, names.chain(columns().into_iter().map(|(name, _)| name)));
    for group in bill.groups() {
        let names = group.names.iter().map(|name| name.as_deref().unwrap_or_default().to_owned());
        line(
            &mut out,
            names.chain(columns().into_iter().map(|(_, value)| value(&group.tally, exact).unwrap_or_default())),
        );
    }
    out
}

type Value = Box<dyn Fn(&Tally, bool) -> Option<String>>;

fn columns() -> Vec<(String, Value)> {
    fn money(known: u64, amount: Money) -> Option<String> {
        (known > 0).then(|| amount.to_string())
    }
    let mut columns: Vec<(String, Value)> = vec![
        ("calls".into(), Box::new(|t, _| Some(t.calls.to_string()))),
        ("charged_calls".into(), Box::new(|t, exact| exact.then(|| t.charged.to_string()))),
        ("unpriced_calls".into(), Box::new(|t, _| Some(t.unpriced_calls().to_string()))),
        ("not_charged_calls".into(), Box::new(|t, exact| exact.then(|| t.not_charged.to_string()))),
    ];
    for (index, (class, _)) in all_classes(&Usage::default()).into_iter().enumerate() {
        let value = move |t: &Tally, _| (t.metered > 0).then(|| all_classes(&t.tokens)[index].1.to_string());
        columns.push((class.into(), Box::new(value)));
    }
    columns.push(("list".into(), Box::new(|t, _| money(t.listed, t.list))));
    columns.push(("billed".into(), Box::new(|t, _| money(t.charged, t.billed))));
    columns.push(("effective".into(), Box::new(|t, _| money(t.charged, t.effective))));
    columns.push(("comparable_list".into(), Box::new(|t, _| money(t.comparable.calls, t.comparable.list))));
    columns.push(("comparable_effective".into(), Box::new(|t, _| money(t.comparable.calls, t.comparable.effective))));
    columns.push(("markup".into(), Box::new(|t, _| t.markup().map(|markup| ratio(markup).0.to_string()))));
    for (at, word) in SOURCES.into_iter().enumerate() {
        columns.push((
            format!("billed_{word}"),
            Box::new(move |t, exact| if exact { money(t.charged, t.sources[at].billed) } else { None }),
        ));
    }
    columns
}

/// Every class of tokens, and searches.
pub(super) fn all_classes(usage: &Usage) -> Vec<(&'static str, u64)> {
    let mut all = usage.classes().to_vec();
    all.push(("web_searches", usage.web_searches));
    all
}

pub(super) fn line(out: &mut String, cells: impl Iterator<Item = String>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&quoted(&cell));
    }
    out.push_str("\r\n");
}

/// In quotes where it must be.
fn quoted(cell: &str) -> Cow<'_, str> {
    if cell.contains(['"', ',', '\r', '\n']) || cell != cell.trim() {
        format!("\"{}\"", cell.replace('"', "\"\"")).into()
    } else {
        cell.into()
    }
}
