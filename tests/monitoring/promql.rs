//! As much of PromQL as it takes to know which series an expression asks for.

use std::collections::{BTreeMap, BTreeSet};

use faregate::telemetry::table::{Kind, TABLE};

/// What a scrape adds to every series, and what Prometheus adds to its own.
const OF_THE_SCRAPE: &[&str] = &["namespace", "pod", "job", "instance", "container", "endpoint"];

/// A metric in an expression, and the labels that it is selected by.
#[derive(Debug, PartialEq)]
pub struct Selector {
    pub name: String,
    pub labels: Vec<String>,
}

/// The selectors of our metrics and rules; functions, other metrics and labels are passed over.
pub fn selectors(expression: &str) -> Vec<Selector> {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find(|c: char| part_of_name(c) || c == '"' || c == '{') {
        rest = &rest[at..];
        if rest.starts_with('"') {
            rest = &rest[string(rest)..];
            continue;
        }
        if rest.starts_with('{') {
            rest = &rest[braces(rest)..];
            continue;
        }
        let end = rest.find(|c| !part_of_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after;
        if !["faregate_", "process_", "gen_ai_"].iter().any(|start| name.split(':').any(|part| part.starts_with(start)))
        {
            continue;
        }
        let mut labels = Vec::new();
        if rest.starts_with('{') {
            let end = braces(rest);
            let mut inside = &rest[1..end - 1];
            while let Some(at) = inside.find(['=', '!']) {
                labels.push(inside[..at].trim().trim_start_matches(',').trim().to_owned());
                let quote = inside.find('"').expect("a value in quotes");
                inside = &inside[quote + string(&inside[quote..])..];
            }
            rest = &rest[end..];
        }
        found.push(Selector { name: name.to_owned(), labels });
    }
    found
}

/// Length of the string that the text begins with, quotes included.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    panic!("a string without end: {text}");
}

/// Length of the braces that the text begins with.
fn braces(text: &str) -> usize {
    let mut at = 1;
    while let Some(next) = text[at..].find(['"', '}']) {
        at += next;
        if text[at..].starts_with('}') {
            return at + 1;
        }
        at += string(&text[at..]);
    }
    panic!("braces without end: {text}");
}

/// Everything that is wrong with an expression. `recorded` are the rules and the labels that they leave.
pub fn faults(expression: &str, recorded: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut faults = Vec::new();
    for selector in selectors(expression) {
        let Some(known) = labels(&selector.name, recorded) else {
            faults.push(format!("no metric and no rule `{}`", selector.name));
            continue;
        };
        for label in selector.labels.iter().filter(|label| !known.contains(label.as_str())) {
            faults.push(format!("`{}` has no label `{label}`", selector.name));
        }
    }
    faults
}

fn labels(name: &str, recorded: &BTreeMap<String, BTreeSet<String>>) -> Option<BTreeSet<String>> {
    if name.contains(':') {
        return recorded.get(name).cloned();
    }
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    let metric = TABLE.iter().find(|metric| match metric.kind {
        Kind::Histogram(_) => base == Some(metric.name),
        Kind::Counter | Kind::Gauge => metric.name == name,
    })?;
    let le = name.ends_with("_bucket").then_some("le");
    Some(metric.labels.iter().chain(OF_THE_SCRAPE).copied().chain(le).map(str::to_owned).collect())
}

#[test]
fn an_expression_is_read_as_prometheus_reads_it() {
    let expression = r#"sum by (app, le) (rate(faregate_requests_total{app=~"a{1,2}|\"}", outcome!="ok"}[5m])) / up{job="faregate_x"}"#;
    let labels = ["app", "outcome"].map(str::to_owned).to_vec();
    assert_eq!(selectors(expression), [Selector { name: "faregate_requests_total".into(), labels }]);
    let none = BTreeMap::new();
    for wrong in [
        "faregate_request_total",
        "faregate_overhead_seconds",
        "faregate_requests_total_bucket",
        "x:faregate_requests:rate5m",
        "faregate_target_up{app=\"a\"}",
    ] {
        assert_eq!(faults(wrong, &none).len(), 1, "{wrong}");
    }
    for right in ["faregate_overhead_seconds_bucket{le=\"1\", pod=\"a\"}", "process_open_fds", "up{app=\"a\"}"] {
        assert_eq!(faults(right, &none), Vec::<String>::new(), "{right}");
    }
}
