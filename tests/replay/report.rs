//! The table of a replay, and everything that was wrong.

use std::collections::BTreeMap;
use std::fmt;

use crate::cases::Case;
use crate::oracle::{Classes, Expected};
use crate::support::Record;

/// Calls of one provider and API.
#[derive(Debug, Default)]
struct Row {
    calls: usize,
    bytes_equal: usize,
    usage_equal: usize,
    unknown: usize,
    inconsistent: usize,
}

#[derive(Debug, Default)]
pub struct Report {
    rows: BTreeMap<(String, String), Row>,
    problems: Vec<String>,
    inconsistent: BTreeMap<String, String>,
}

const CLASSES: [&str; 10] = [
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "audio_input",
    "audio_output",
    "image_input",
    "web_searches",
];

impl Report {
    fn row(&mut self, case: &Case) -> &mut Row {
        self.rows.entry((case.exchange.provider.clone(), case.exchange.api.clone())).or_default()
    }

    /// Notes a call and what was wrong with what arrived.
    pub fn arrived(&mut self, case: &Case, problems: Vec<String>) {
        let row = self.row(case);
        row.calls += 1;
        row.bytes_equal += usize::from(problems.is_empty());
        self.problems.extend(problems.into_iter().map(|problem| format!("{}: {problem}", case.exchange.id)));
    }

    /// Compares the usage records of one call with what they must say.
    pub fn recorded(&mut self, case: &Case, records: &[&Record]) {
        let [record] = records else {
            self.problems.push(format!("{}: {} usage records", case.exchange.id, records.len()));
            return;
        };
        self.problems.extend(case.record_problems(record).map(|problem| format!("{}: {problem}", case.exchange.id)));
        let said = said(record);
        if said == case.expected {
            self.row(case).usage_equal += 1;
        } else {
            self.problems.push(format!("{}: usage {said:?}, not {:?}", case.exchange.id, case.expected));
        }
        match &case.expected {
            Expected::Unknown => self.row(case).unknown += 1,
            Expected::Inconsistent(classes) => {
                self.row(case).inconsistent += 1;
                self.inconsistent.insert(case.exchange.id.clone(), format!("{classes:?}"));
            }
            Expected::Reported(_) => {}
        }
    }

    #[track_caller]
    pub fn assert_clean(&self) {
        let shown: Vec<&str> = self.problems.iter().take(60).map(String::as_str).collect();
        assert!(self.problems.is_empty(), "{} problems, of which:\n{}", self.problems.len(), shown.join("\n"));
    }
}

/// What a usage record says of its tokens.
fn said(record: &Record) -> Expected {
    let classes: Classes = CLASSES
        .iter()
        .filter_map(|class| Some((*class, record["tokens"][*class].as_u64().filter(|n| *n > 0)?)))
        .collect();
    match record["usage_state"].as_str() {
        Some("reported") => Expected::Reported(classes),
        Some("inconsistent") => Expected::Inconsistent(classes),
        // Never said of an answer that arrived whole.
        Some("estimated") if record["outcome"] == "stream_broken" => Expected::Unknown,
        _ => {
            assert_eq!(record["tokens"], "unknown", "what is unknown is never a number: {record}");
            Expected::Unknown
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{:<18}{:<26}{:>7}{:>13}{:>13}{:>9}{:>14}",
            "provider", "api", "calls", "bytes equal", "usage equal", "unknown", "inconsistent"
        )?;
        let mut sum = Row::default();
        for ((provider, api), row) in &self.rows {
            line(f, provider, api, row)?;
            sum.calls += row.calls;
            sum.bytes_equal += row.bytes_equal;
            sum.usage_equal += row.usage_equal;
            sum.unknown += row.unknown;
            sum.inconsistent += row.inconsistent;
        }
        line(f, "all", "", &sum)?;
        for (id, classes) in &self.inconsistent {
            writeln!(f, "does not add up: {id}: {classes}")?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, provider: &str, api: &str, row: &Row) -> fmt::Result {
    let Row { calls, bytes_equal, usage_equal, unknown, inconsistent } = row;
    writeln!(f, "{provider:<18}{api:<26}{calls:>7}{bytes_equal:>13}{usage_equal:>13}{unknown:>9}{inconsistent:>14}")
}
