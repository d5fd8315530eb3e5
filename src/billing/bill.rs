//! The bill: sums by group, and in all.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::moment::Moment;
use super::record::{Record, Text};
use super::tally::Tally;
use crate::pricing::Day;

/// Most groups of one bill; calls of further ones go into a last group whose names are all `other`.
pub const MOST_GROUPS: usize = 100_000;

const OTHER: &str = "other";

/// Follows the name of a model (of a provider, where a bill is by provider alone) in the line of duplicates that were
/// sent to compare with: they cost money and are no calls of clients.
pub(super) const PROBES: &str = " (probes)";
/// The app that they are counted under.
pub(super) const PROBING_APP: &str = "faregate-probe";

/// Values of [`Dimension::Measure`].
pub(super) const TOKENS: &str = "tokens";
pub(super) const REQUESTS: &str = "requests";

/// What a bill can be grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// The provider of the last attempt, by its name in the configuration.
    Provider,
    /// The model as it was sent to the provider.
    Model,
    /// Who called.
    App,
    /// The day in UTC on which the call was accepted.
    Day,
    /// Who served the call behind a router.
    ServedBy,
    /// What a charged call is measured in: `tokens`, or `requests` where nobody knows its usage.
    Measure,
}

/// Sums by group.
#[derive(Debug, Clone)]
pub struct Bill {
    by: Vec<Dimension>,
    groups: Vec<Group>,
    /// Where the group of a key stands.
    index: HashMap<Box<[u8]>, usize>,
    most: usize,
    total: Tally,
    folded: u64,
    first: Option<Moment>,
    last: Option<Moment>,
    key: Vec<u8>,
    day: (Option<Day>, String),
}

/// One line of a bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// A value for each dimension of the bill; `None` where calls have none.
    pub names: Vec<Option<Box<str>>>,
    /// The sums.
    pub tally: Tally,
}

impl Dimension {
    /// The word on command lines and in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Model => "model",
            Self::App => "app",
            Self::Day => "day",
            Self::ServedBy => "served_by",
            Self::Measure => "measure",
        }
    }
}

impl Bill {
    /// An empty bill.
    pub fn new(by: &[Dimension]) -> Self {
        Self::with_most(by, MOST_GROUPS)
    }

    /// An empty bill that keeps so many groups.
    pub fn with_most(by: &[Dimension], most: usize) -> Self {
        Self {
            by: by.to_vec(),
            groups: Vec::new(),
            index: HashMap::new(),
            most,
            total: Tally::default(),
            folded: 0,
            first: None,
            last: None,
            key: Vec::new(),
            day: (None, String::new()),
        }
    }

    /// Adds one call.
    pub fn add(&mut self, record: &Record<'_>) {
        self.total.add(record);
        self.seen(record.at);
        let day = record.at.day();
        if self.day.0 != Some(day) && self.by.contains(&Dimension::Day) {
            self.day.1.clear();
            // Writing to a string cannot fail.
            let _infallible = write!(self.day.1, "{day}");
            self.day.0 = Some(day);
        }
        self.key.clear();
        let marked = marked(&self.by);
        for dimension in &self.by {
            let name = match dimension {
                Dimension::Provider => record.provider.as_ref().map(Text::as_str),
                Dimension::Model => record.model.as_ref().map(Text::as_str),
                Dimension::App => record.app.as_ref().map(Text::as_str),
                Dimension::Day => Some(&*self.day.1),
                Dimension::ServedBy => record.served_by.as_ref().map(Text::as_str),
                Dimension::Measure => {
                    let charged = record.cost.as_ref().is_some_and(|cost| cost.effective.is_some());
                    charged.then_some(if record.usage.is_some() { TOKENS } else { REQUESTS })
                }
            };
            match name.filter(|_| record.probe && Some(*dimension) == marked) {
                Some(name) => push(&mut self.key, Some(&[name, PROBES].concat())),
                None => push(&mut self.key, name),
            }
        }
        self.group().add(record);
    }

    /// Adds the sums of calls that have these names in common.
    pub fn add_tally(&mut self, names: &[Option<&str>], tally: &Tally) {
        self.total.merge(tally);
        self.key.clear();
        for name in names {
            push(&mut self.key, *name);
        }
        self.group().merge(tally);
    }

    /// Notes a moment of the time that the bill is about.
    pub fn seen(&mut self, at: Moment) {
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }

    /// What it is grouped by.
    pub fn by(&self) -> &[Dimension] {
        &self.by
    }

    /// All groups, in the order of their names.
    pub fn groups(&self) -> Vec<&Group> {
        let mut groups: Vec<&Group> = self.groups.iter().collect();
        groups.sort_unstable_by(|a, b| a.names.cmp(&b.names));
        groups
    }

    /// The sums over all calls, added up call by call.
    pub fn total(&self) -> &Tally {
        &self.total
    }

    /// Whether the groups add up to the total.
    pub fn adds_up(&self) -> bool {
        let mut sum = Tally::default();
        for group in &self.groups {
            sum.merge(&group.tally);
        }
        sum == self.total
    }

    /// Calls that had no group of their own any more.
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// When the first and the last of its calls were.
    pub fn span(&self) -> Option<(Moment, Moment)> {
        self.first.zip(self.last)
    }

    /// The sums of the group of `key`, looked up without an allocation.
    fn group(&mut self) -> &mut Tally {
        let known = self.index.get(&*self.key).copied();
        let at = known.unwrap_or_else(|| {
            if self.groups.len() >= self.most {
                self.folded += 1;
                self.key.clear();
                self.by.iter().for_each(|_| push(&mut self.key, Some(OTHER)));
            }
            *self.index.entry(self.key.as_slice().into()).or_insert_with(|| {
                self.groups.push(Group { names: names(&self.key), tally: Tally::default() });
                self.groups.len() - 1
            })
        });
        &mut self.groups[at].tally
    }
}

/// The name that duplicates are marked by in a bill by these.
pub(super) fn marked(by: &[Dimension]) -> Option<Dimension> {
    [Dimension::Model, Dimension::Provider].into_iter().find(|dimension| by.contains(dimension))
}

/// Appends a name to a key: its length (0 where there is none) and itself, so that no two lists of names share a key.
fn push(key: &mut Vec<u8>, name: Option<&str>) {
    let length = name.map_or(0, |name| u32::try_from(name.len()).map_or(u32::MAX, |len| len.saturating_add(1)));
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(name.unwrap_or_default().as_bytes());
}

/// The names of a key.
fn names(mut key: &[u8]) -> Vec<Option<Box<str>>> {
    let mut names = Vec::new();
    while let Some((length, rest)) = key.split_first_chunk::<4>() {
        let length = (u32::from_be_bytes(*length) as usize).checked_sub(1);
        let (name, rest) = rest.split_at(length.unwrap_or(0).min(rest.len()));
        names.push(length.map(|_| String::from_utf8_lossy(name).into()));
        key = rest;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hold_names_whatever_they_are_made_of() {
        for list in [&[None, Some("")][..], &[Some("a"), Some("b")], &[Some("ab"), None], &[Some("\u{0}\u{1f}é")]] {
            let mut key = Vec::new();
            list.iter().for_each(|name| push(&mut key, *name));
            assert_eq!(names(&key).iter().map(|name| name.as_deref()).collect::<Vec<_>>(), list);
        }
    }

    #[test]
    fn further_groups_fold_into_one_and_the_sums_hold() {
        let mut bill = Bill::with_most(&[Dimension::Model, Dimension::App], 2);
        for model in ["a", "b", "c", "d", "a"] {
            let line = format!(
                r#"{{"time":"2026-11-25T10:00:00Z","outcome":"ok","model_sent":"{model}","cost":{{"effective":1}}}}"#
            );
            bill.add(&Record::parse(line.as_bytes()).expect("a record"));
        }
        let shown: Vec<(Option<&str>, u64)> =
            bill.groups().iter().map(|group| (group.names[0].as_deref(), group.tally.calls)).collect();
        assert_eq!(shown, [(Some("a"), 2), (Some("b"), 1), (Some("other"), 2)]);
        assert_eq!((bill.folded(), bill.total().calls), (2, 5));
        assert!(bill.adds_up());
    }

    #[test]
    fn duplicates_have_a_line_of_their_own() {
        let lines = |by: &[Dimension]| {
            let mut bill = Bill::new(by);
            for probe_of in ["null", "null", "\"id\""] {
                let line = format!(
                    r#"{{"time":"2026-11-25T10:00:00Z","outcome":"ok","probe_of":{probe_of},"provider":"p","model_sent":"m","cost":{{"effective":1}}}}"#
                );
                bill.add(&Record::parse(line.as_bytes()).expect("a record"));
            }
            assert!(bill.adds_up());
            let groups = bill.groups().into_iter();
            groups.map(|group| (group.names.last().cloned().flatten().map(String::from), group.tally.calls)).collect()
        };
        let line = |name: &str, calls| (Some(name.to_owned()), calls);
        let by_model: Vec<(Option<String>, u64)> = lines(&[Dimension::Provider, Dimension::Model]);
        assert_eq!(by_model, [line("m", 2), line("m (probes)", 1)]);
        assert_eq!(lines(&[Dimension::Provider]), [line("p", 2), line("p (probes)", 1)]);
    }
}
