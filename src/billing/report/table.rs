//! A bill for people.

use std::fmt::Write as _;

use super::{Origin, Statement};
use crate::billing::bill::Dimension;
use crate::billing::tally::{SOURCES, Tally};
use crate::chat::Money;

/// So many groups of unpriced calls are shown.
const MOST_REASONS: usize = 20;

/// A cell of a table, and to which side it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Words.
    Left(String),
    /// Numbers.
    Right(String),
}

impl Cell {
    /// Its text.
    pub fn text(&self) -> &str {
        match self {
            Self::Left(text) | Self::Right(text) => text,
        }
    }
}

/// The bill as a table, what is unpriced, and whether it adds up.
pub fn table(statement: &Statement) -> String {
    let bill = &statement.bill;
    let mut rows = vec![head(bill.by())];
    for group in bill.groups() {
        let names = group.names.iter().map(|name| Cell::Left(name.as_deref().map_or("-".into(), printable)));
        rows.push(names.chain(numbers(&group.tally)).collect());
    }
    if bill.by().is_empty() {
        rows.truncate(1);
    }
    let mut total: Vec<Cell> = bill.by().iter().map(|_| Cell::Left(String::new())).collect();
    if let Some(first) = total.first_mut() {
        *first = Cell::Left("total".into());
    }
    total.extend(numbers(bill.total()));
    rows.push(total);
    let mut text = aligned(&rows);
    text.push('\n');
    sources(&mut text, statement);
    unpriced(&mut text, statement);
    if let Some((first, last)) = bill.span() {
        let _infallible = writeln!(text, "From {first} to {last}, dollars.");
    }
    let _infallible = writeln!(text, "{}.", statement.check());
    text
}

fn head(by: &[Dimension]) -> Vec<Cell> {
    let names = by.iter().map(|dimension| Cell::Left(dimension.as_str().to_uppercase().replace('_', " ")));
    let numbers = ["CALLS", "TOKENS IN", "TOKENS OUT", "LIST", "BILLED", "EFFECTIVE", "MARKUP", "UNPRICED"];
    names.chain(numbers.map(|name| Cell::Right(name.into()))).collect()
}

fn numbers(tally: &Tally) -> impl Iterator<Item = Cell> {
    let unpriced = tally.unpriced_calls();
    let tokens = |count: u64| if tally.metered > 0 { count.to_string() } else { "-".into() };
    [
        tally.calls.to_string(),
        tokens(tally.tokens.total_input()),
        tokens(tally.tokens.total_output()),
        dollars(tally.list, tally.listed),
        dollars(tally.billed, tally.charged),
        dollars(tally.effective, tally.charged),
        tally.markup().map_or("-".into(), percent),
        if unpriced > 0 { unpriced.to_string() } else { "-".into() },
    ]
    .map(Cell::Right)
    .into_iter()
}

/// An amount to a millionth of a dollar; `-` where no call has one.
fn dollars(amount: Money, known: u64) -> String {
    const MILLIONTH: Money = Money::from_atto(1_000_000_000_000);
    if known == 0 {
        "-".into()
    } else if amount > Money::ZERO && amount < MILLIONTH {
        "<0.000001".into()
    } else {
        format!("{amount:.6}")
    }
}

/// Millionths as a percentage.
pub fn percent(millionths: i64) -> String {
    format!("{:.2} %", Money::from_atto(i128::from(millionths) * 100_000_000_000_000))
}

fn sources(text: &mut String, statement: &Statement) {
    let total = statement.bill.total();
    if total.charged == 0 {
        return;
    }
    if !statement.is_exact() {
        return text.push_str(
            "Counters do not tell where billed costs are known from, what was not charged, and who served behind a router.\n",
        );
    }
    let share = |part: Money| match total.billed {
        Money::ZERO => String::new(),
        all => format!(
            " ({})",
            percent(crate::pricing::markup(all, part).map_or(0, |over| over.saturating_add(1_000_000)))
        ),
    };
    let shown: Vec<String> = SOURCES
        .iter()
        .zip(&total.sources)
        .filter(|(_, source)| source.calls > 0)
        .map(|(word, source)| {
            let (calls, billed) = (source.calls, source.billed);
            format!("{word} {}{} in {calls} calls", dollars(billed, calls), share(billed))
        })
        .collect();
    let _infallible = writeln!(text, "Billed cost known from: {}.", shown.join(", "));
}

fn unpriced(text: &mut String, statement: &Statement) {
    let total = statement.bill.total();
    if statement.origin == (Origin::Counters { unpriced: false }) {
        text.push_str("Unpriced calls are not counted by app; leave --app out to see them.\n");
    } else if !total.unpriced.is_empty() {
        let _infallible = writeln!(text, "Unpriced, in no sum of money: {} calls.", total.unpriced_calls());
        let mut reasons: Vec<(u64, String)> = Vec::new();
        for group in statement.bill.groups() {
            let names: Vec<String> = group.names.iter().flatten().map(|name| printable(name)).collect();
            for (why, calls) in &group.tally.unpriced {
                let of = if names.is_empty() { String::new() } else { format!("{}: ", names.join(" ")) };
                reasons.push((*calls, format!("{of}{}", printable(why))));
            }
        }
        reasons.sort_by(|(a, x), (b, y)| b.cmp(a).then_with(|| x.cmp(y)));
        for (calls, why) in reasons.iter().take(MOST_REASONS) {
            let _infallible = writeln!(text, "  {calls} {why}");
        }
        if let Some(rest) = reasons.get(MOST_REASONS..).filter(|rest| !rest.is_empty()) {
            let calls: u64 = rest.iter().map(|(calls, _)| calls).sum();
            let _infallible = writeln!(text, "  {calls} of {} more groups (--format json has all)", rest.len());
        }
    }
}

/// Rows with columns of one width each.
pub fn aligned(rows: &[Vec<Cell>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.text().chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| match cell {
            Cell::Left(text) => format!("{text:<width$}"),
            Cell::Right(text) => format!("{text:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Text that does nothing to a terminal: names come from clients.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
