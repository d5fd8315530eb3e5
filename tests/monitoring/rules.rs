//! Recording rules and alerts: their names, their tests, their pages.

use std::collections::{BTreeMap, BTreeSet};

use faregate::runbooks;
use serde_yaml::Value;

use super::promql::{faults, selectors};
use super::{files, read, root};

/// The admin port of a Faregate, which has the pages: by default on this machine, in a cluster by port-forward.
const PLACE_OF_RUNBOOKS: &str = "http://127.0.0.1:4001";

/// Every rule of every file.
fn rules() -> Vec<Value> {
    let mut rules = Vec::new();
    for file in files("deploy/monitoring/rules", "yaml") {
        let document: Value = serde_yaml::from_str(&read(file)).unwrap();
        for group in document["groups"].as_sequence().unwrap() {
            assert!(group["name"].as_str().unwrap().starts_with("faregate."));
            rules.extend(group["rules"].as_sequence().unwrap().iter().cloned());
        }
    }
    rules
}

fn text<'a>(rule: &'a Value, key: &str) -> &'a str {
    rule[key].as_str().unwrap_or_else(|| panic!("no {key} in {rule:?}"))
}

fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|rule| rule.get("alert").is_some()).collect()
}

/// Recorded names, and the labels that their first aggregation keeps.
pub fn recorded() -> BTreeMap<String, BTreeSet<String>> {
    let mut recorded = BTreeMap::<String, BTreeSet<String>>::new();
    for rule in rules().iter().filter(|rule| rule.get("record").is_some()) {
        let (name, expression) = (text(rule, "record"), text(rule, "expr"));
        let kept = match expression.split_once("by (") {
            Some((_, after)) => {
                after.split_once(')').unwrap().0.split(',').map(|label| label.trim().to_owned()).collect()
            }
            None => recorded[&selectors(expression)[0].name].clone(),
        };
        assert!(recorded.insert(name.to_owned(), kept).is_none(), "{name} is recorded twice");
    }
    recorded
}

#[test]
fn every_name_stands_in_the_table_of_metrics_or_is_recorded() {
    let recorded = recorded();
    let mut asked = BTreeSet::new();
    for rule in rules() {
        let expression = text(&rule, "expr");
        assert_eq!(faults(expression, &recorded), Vec::<String>::new(), "{expression}");
        let selectors = selectors(expression);
        assert!(!selectors.is_empty(), "{expression}");
        asked.extend(selectors.into_iter().map(|selector| selector.name));
    }
    assert!(asked.len() > 20, "only {asked:?}");
}

#[test]
fn recorded_rules_forget_the_process_and_are_named_as_prometheus_asks() {
    for (name, labels) in recorded() {
        let parts: Vec<&str> = name.split(':').collect();
        assert_eq!(parts.len(), 3, "{name}: level:metric:operations");
        for of_a_process in ["pod", "instance", "container"] {
            assert!(!labels.contains(of_a_process), "{name} keeps {of_a_process}");
        }
        assert!(
            labels.contains(match parts[0] {
                "target" => "model",
                level => level,
            }),
            "{name} keeps {labels:?}"
        );
        assert_eq!(labels.contains("le"), parts[1].ends_with("_bucket"), "{name}");
    }
}

#[test]
fn every_alert_says_what_it_means_and_has_a_page() {
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let name = text(&alert, "alert");
        names.insert(name.to_owned());
        assert!(["critical", "warning"].contains(&text(&alert["labels"], "severity")), "{name}");
        assert!(alert["for"].is_string(), "{name}: one scrape is no alert");
        let notes = &alert["annotations"];
        assert!(!text(notes, "summary").contains("{{"), "{name}: a summary is one line for all of them");
        assert!(text(notes, "description").contains("{{ $value"), "{name}");
        let action = text(notes, "action");
        assert!(action.len() < 220 && action.ends_with(['.', ')']), "{name}: the first step, in a line or two");
        let path = format!("/runbooks/{name}.md");
        assert_eq!(text(notes, "runbook_url"), format!("{PLACE_OF_RUNBOOKS}{path}"));
        let page = read(root().join(format!("docs{path}")));
        assert_eq!(runbooks::at(&path), Some(&*page), "{name}: what the program shows");
        assert!(page.starts_with(&format!("# {name}\n")), "{name}");
        for part in ["## What it means", "## How to look", "## What to do"] {
            assert!(page.contains(part), "{name}: {part}");
        }
    }
    let pages: BTreeSet<String> = files("docs/runbooks", "md")
        .iter()
        .map(|page| page.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|page| page != "README")
        .collect();
    assert_eq!(pages, names, "a page for each alert, an alert for each page");
    let index = read(root().join("docs/runbooks/README.md"));
    let tour = read(root().join("docs/dashboards.md"));
    assert_eq!(runbooks::at("/runbooks/"), Some(&*index));
    assert_eq!(runbooks::at("/runbooks/elsewhere"), None);
    for name in names {
        assert!(tour.contains(&format!("[{name}](runbooks/{name}.md)")), "docs/dashboards.md lacks {name}");
        assert!(index.contains(&format!("[{name}]({name}.md)")), "the index lacks {name}");
    }
}

#[test]
fn every_alert_is_seen_to_fire_and_to_keep_silent() {
    let (mut fired, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for file in files("deploy/monitoring/tests", "yaml") {
        let document: Value = serde_yaml::from_str(&read(&file)).unwrap();
        let used: Vec<&str> =
            document["rule_files"].as_sequence().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        assert!(used.contains(&"../rules/alerts.yaml"), "{}", file.display());
        for test in document["tests"].as_sequence().unwrap() {
            for case in test["alert_rule_test"].as_sequence().unwrap() {
                let expected = case["exp_alerts"].as_sequence().unwrap();
                let seen = if expected.is_empty() { &mut silent } else { &mut fired };
                seen.insert(text(case, "alertname").to_owned());
            }
        }
    }
    let names: BTreeSet<String> = alerts().iter().map(|alert| text(alert, "alert").to_owned()).collect();
    assert_eq!(fired, names, "each fires in a test");
    assert_eq!(silent, names, "each keeps silent in a test");
}

#[test]
fn pages_ask_only_for_what_there_is() {
    let recorded = recorded();
    let mut seen = 0;
    for page in files("docs/runbooks", "md") {
        let text = read(&page);
        for block in text.split("```promql\n").skip(1) {
            let query = block.split_once("```").unwrap().0;
            assert_eq!(faults(query, &recorded), Vec::<String>::new(), "{}: {query}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 5, "only {seen} queries found");
}
