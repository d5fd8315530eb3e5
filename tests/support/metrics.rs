//! The metrics page, read.

use std::collections::BTreeMap;

/// All series of one scrape.
#[derive(Debug)]
pub struct Metrics(Vec<(String, BTreeMap<String, String>, f64)>);

impl Metrics {
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(series).collect())
    }

    /// The sum of the series of this name that carry all these labels; 0 when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).fold(0.0, |sum, value| sum + value)
    }

    /// The value of the only series of this name that carries all these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let all: Vec<f64> = self.matching(name, labels).collect();
        assert!(all.len() <= 1, "{name}{labels:?} is not one series");
        all.first().copied()
    }

    fn matching<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = f64> + 'a {
        let fits =
            move |have: &BTreeMap<String, String>| labels.iter().all(|(k, v)| have.get(*k).is_some_and(|h| h == v));
        self.0.iter().filter(move |(n, have, _)| n == name && fits(have)).map(|(_, _, value)| *value)
    }
}

fn series(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (what, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let Some((name, labels)) = what.split_once('{') else { return (what.to_owned(), BTreeMap::new(), value) };
    let mut map = BTreeMap::new();
    let mut rest = labels.strip_suffix('}').unwrap_or(labels);
    while let Some((label, after)) = rest.split_once("=\"") {
        let mut escaped = false;
        let end = after.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.unwrap_or_else(|| panic!("no end of a label: {line}"));
        map.insert(label.to_owned(), after[..end].to_owned());
        rest = after[end + 1..].trim_start_matches(',');
    }
    (name.to_owned(), map, value)
}
