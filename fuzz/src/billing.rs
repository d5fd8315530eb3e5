//! Lines that should be usage records.

use faregate::billing::advice::{Advisor, Market};
use faregate::billing::report::{self, Origin, Statement};
use faregate::billing::{Bill, Dimension, Lines, Period, Record, Seen};

use super::Choices;

/// Whatever the lines hold, the bill adds up, however they are cut and grouped, and every format can be written.
pub fn records(data: &[u8]) {
    let (choices, text) = Choices::take(data, 5);
    let all = [Dimension::Provider, Dimension::Model, Dimension::App, Dimension::Day, Dimension::ServedBy];
    let by: Vec<Dimension> = all
        .into_iter()
        .enumerate()
        .filter(|(n, _)| choices.byte(4) >> n & 1 == 1)
        .map(|(_, dimension)| dimension)
        .collect();
    let mut bills = [Bill::new(&by), Bill::with_most(&all, 2), Bill::new(&report::DIMENSIONS)];
    let mut advisor = Advisor::new(Market::default());
    let (mut lines, mut seen) = (Lines::new(Pieces(choices.pieces(text))), Seen::default());
    while let Ok(Some(line)) = lines.next_line() {
        match line.and_then(Record::parse) {
            Ok(record) => {
                seen.records += 1;
                bills.iter_mut().for_each(|bill| bill.add(&record));
                advisor.add(&record);
            }
            Err(why) => {
                seen.broken += 1;
                assert!(!why.to_string().is_empty());
            }
        }
    }
    let [bill, folded, focus] = bills;
    assert_eq!(bill.total(), folded.total());
    let total = bill.total();
    assert_eq!(total.calls, total.charged + total.unpriced_calls() + total.not_charged);
    for (bill, is_focus) in [(bill, false), (folded, false), (focus, true)] {
        assert!(bill.adds_up());
        let origin = Origin::Records { seen: seen.clone(), left_out: 0 };
        let statement = Statement { bill, origin, period: Period::default() };
        assert!(statement.check().ends_with("agree"), "{}", statement.check());
        let json = report::json(&statement).expect("JSON");
        serde_json::from_str::<serde_json::Value>(&json).expect("JSON that can be read");
        if is_focus {
            report::focus(&statement);
        }
        assert!(!report::csv(&statement).is_empty() && !report::table(&statement).contains('\u{1b}'));
    }
    let advice = advisor.judge();
    assert!(!faregate::billing::advice::table(&advice).contains('\u{1b}'));
}

/// Gives one piece at a time.
struct Pieces<'a>(Vec<&'a [u8]>);

impl std::io::Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let Some(piece) = self.0.first_mut() else { return Ok(0) };
        let n = piece.len().min(into.len());
        into[..n].copy_from_slice(&piece[..n]);
        *piece = &piece[n..];
        if piece.is_empty() {
            self.0.remove(0);
        }
        Ok(n)
    }
}
