//! A bill as JSON. Numbers are exact; what is not known is null.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::csv::all_classes;
use super::{Dollars, Origin, Statement, ratio};
use crate::billing::bill::Dimension;
use crate::billing::moment::Moment;
use crate::billing::tally::{SOURCES, Tally};

#[derive(Serialize)]
struct Document<'a> {
    source: &'static str,
    exact: bool,
    since: Option<String>,
    until: Option<String>,
    first: Option<String>,
    last: Option<String>,
    by: Vec<&'static str>,
    groups: Vec<Line<'a>>,
    total: Sums<'a>,
    read: Option<Read<'a>>,
    folded_calls: u64,
    check: String,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    names: Map<String, Value>,
    #[serde(flatten)]
    sums: Sums<'a>,
}

#[derive(Serialize)]
struct Sums<'a> {
    calls: u64,
    charged_calls: Option<u64>,
    unpriced_calls: Option<u64>,
    not_charged_calls: Option<u64>,
    tokens: Option<BTreeMap<&'static str, u64>>,
    list: Option<Dollars>,
    billed: Option<Dollars>,
    effective: Option<Dollars>,
    markup: Option<Dollars>,
    comparable: Comparable,
    cost_source: Option<BTreeMap<&'static str, Source>>,
    unpriced: &'a BTreeMap<Box<str>, u64>,
}

#[derive(Serialize)]
struct Comparable {
    calls: Option<u64>,
    list: Option<Dollars>,
    effective: Option<Dollars>,
}

#[derive(Serialize)]
struct Source {
    calls: u64,
    billed: Dollars,
}

#[derive(Serialize)]
struct Read<'a> {
    records: u64,
    left_out: u64,
    broken: u64,
    first_broken: Option<BrokenLine<'a>>,
}

#[derive(Serialize)]
struct BrokenLine<'a> {
    file: &'a str,
    line: u64,
    why: String,
}

/// The bill as one JSON object.
///
/// # Errors
/// None that could happen: everything in it can be written.
pub fn json(statement: &Statement) -> Result<String, serde_json::Error> {
    let bill = &statement.bill;
    let shown = |at: Option<Moment>| at.map(|at| at.to_string());
    let read = match &statement.origin {
        Origin::Records { seen, left_out } => Some(Read {
            records: seen.records,
            left_out: *left_out,
            broken: seen.broken,
            first_broken: seen.first_broken.as_ref().map(|(file, line, why)| BrokenLine {
                file,
                line: *line,
                why: why.to_string(),
            }),
        }),
        Origin::Counters { .. } => None,
    };
    let groups = bill.groups();
    let document = Document {
        source: if statement.is_exact() { "records" } else { "prometheus" },
        exact: statement.is_exact(),
        since: shown(statement.period.since),
        until: shown(statement.period.until),
        first: shown(bill.span().map(|(first, _)| first)),
        last: shown(bill.span().map(|(_, last)| last)),
        by: bill.by().iter().map(|dimension| dimension.as_str()).collect(),
        groups: groups.iter().map(|group| line(bill.by(), &group.names, &group.tally, &statement.origin)).collect(),
        total: sums(bill.total(), &statement.origin),
        read,
        folded_calls: bill.folded(),
        check: statement.check(),
    };
    serde_json::to_string_pretty(&document).map(|text| text + "\n")
}

fn line<'a>(by: &[Dimension], names: &[Option<Box<str>>], tally: &'a Tally, origin: &Origin) -> Line<'a> {
    let names = by.iter().zip(names).map(|(dimension, name)| (dimension.as_str().to_owned(), name.as_deref().into()));
    Line { names: names.collect(), sums: sums(tally, origin) }
}

fn sums<'a>(tally: &'a Tally, origin: &Origin) -> Sums<'a> {
    let exact = matches!(origin, Origin::Records { .. });
    let known = |calls: u64, amount| (calls > 0).then_some(Dollars(amount));
    let comparable = &tally.comparable;
    let sources = SOURCES.iter().zip(&tally.sources);
    Sums {
        calls: tally.calls,
        charged_calls: exact.then_some(tally.charged),
        unpriced_calls: (*origin != Origin::Counters { unpriced: false }).then(|| tally.unpriced_calls()),
        not_charged_calls: exact.then_some(tally.not_charged),
        tokens: (tally.metered > 0).then(|| all_classes(&tally.tokens).into_iter().collect()),
        list: known(tally.listed, tally.list),
        billed: known(tally.charged, tally.billed),
        effective: known(tally.charged, tally.effective),
        markup: tally.markup().map(ratio),
        comparable: Comparable {
            calls: exact.then_some(comparable.calls),
            list: known(comparable.calls, comparable.list),
            effective: known(comparable.calls, comparable.effective),
        },
        cost_source: exact.then(|| {
            sources
                .map(|(word, source)| (*word, Source { calls: source.calls, billed: Dollars(source.billed) }))
                .collect()
        }),
        unpriced: &tally.unpriced,
    }
}
