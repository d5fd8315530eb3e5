//! Dashboards, by the rules of Grafana's dashboard-linter and some of our own. Two of its rules do not fit and are replaced:
//! panels select by namespace, app, provider and model instead of `job` and `instance`, which the recording rules have
//! aggregated away.

use std::collections::BTreeSet;
use std::path::PathBuf;

use faregate::telemetry::table::{Kind, TABLE};
use serde_json::{Value, json};

use super::promql::{faults, selectors};
use super::rules::recorded;
use super::{files, read};

const VARIABLES: [&str; 5] = ["datasource", "namespace", "app", "provider", "model"];
const PANELS: [&str; 5] = ["row", "stat", "timeseries", "bargauge", "table"];

fn dashboards() -> Vec<(PathBuf, Value)> {
    let files = files("deploy/monitoring/dashboards", "json");
    files.into_iter().map(|file| (file.clone(), serde_json::from_str(&read(file)).unwrap())).collect()
}

/// Panels with their dashboard's title before their own; rows left out.
fn panels() -> Vec<(String, Value)> {
    let mut panels = Vec::new();
    for (_, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
            let title = panel["title"].as_str().filter(|title| !title.is_empty()).expect("a title");
            panels.push((format!("{}: {title}", dashboard["title"].as_str().unwrap()), panel.clone()));
        }
    }
    assert!(panels.len() > 50, "only {} panels", panels.len());
    panels
}

fn queries(panel: &Value) -> impl Iterator<Item = &str> {
    panel["targets"].as_array().unwrap().iter().map(|target| target["expr"].as_str().unwrap())
}

#[test]
fn dashboards_are_whole_fixed_and_told_apart() {
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for (file, dashboard) in dashboards() {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(read(&file).len() < 1 << 20, "{name}: a ConfigMap holds one MiB");
        assert_eq!((&dashboard["schemaVersion"], &dashboard["editable"]), (&json!(42), &json!(false)), "{name}");
        assert_eq!(dashboard["uid"], format!("faregate-{name}"));
        assert!(dashboard["id"].is_null(), "{name}: an id belongs to one Grafana");
        assert!(dashboard["title"].as_str().unwrap().starts_with("Faregate / "), "{name}");
        assert!(dashboard["description"].as_str().is_some_and(|it| it.ends_with('.')), "{name}");
        assert_eq!(dashboard["tags"], json!(["faregate"]), "{name}");
        assert!(seen.insert(dashboard["title"].to_string()), "{name}: two of one title");
        names.push(name);
    }
    assert_eq!(names, ["fleet", "latency", "money", "overview"]);
}

#[test]
fn variables_come_from_the_chosen_data_source_and_follow_the_time() {
    let recorded = recorded();
    for (_, dashboard) in dashboards() {
        let title = &dashboard["title"];
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let names: Vec<&str> = variables.iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names, VARIABLES, "{title}");
        assert_eq!((&variables[0]["type"], &variables[0]["query"]), (&json!("datasource"), &json!("prometheus")));
        for variable in &variables[1..] {
            assert_eq!(variable["datasource"]["uid"], "${datasource}", "{title}");
            // Asked again when the time range changes.
            assert_eq!(variable["refresh"], 2, "{title}");
            for key in ["multi", "includeAll"] {
                assert_eq!(variable[key], true, "{title}: {key}");
            }
            // Outside Kubernetes there is no namespace: `All` must fit series without one.
            assert_eq!(variable["allValue"], ".*", "{title}");
            let query = variable["query"]["query"].as_str().unwrap();
            assert_eq!(faults(query, &recorded), Vec::<String>::new(), "{query}");
        }
    }
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit() {
    for (name, panel) in panels() {
        assert!(PANELS.contains(&panel["type"].as_str().unwrap()), "{name}");
        assert_eq!(panel["datasource"], json!({ "type": "prometheus", "uid": "${datasource}" }), "{name}");
        assert!(panel["description"].as_str().is_some_and(|it| it.ends_with('.')), "{name}: no description");
        assert!(panel["fieldConfig"]["defaults"]["unit"].as_str().is_some_and(|it| !it.is_empty()), "{name}: no unit");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{name}: no query");
        let ids: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), targets.len(), "{name}: refId");
        for target in targets {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{name}");
            assert!(!target["legendFormat"].as_str().unwrap().is_empty(), "{name}");
        }
    }
}

#[test]
fn every_query_asks_for_what_there_is_in_the_namespace_that_was_chosen() {
    let recorded = recorded();
    for (name, panel) in panels() {
        for query in queries(&panel) {
            assert_eq!(faults(query, &recorded), Vec::<String>::new(), "{name}: {query}");
            let selectors = selectors(query);
            assert!(!selectors.is_empty(), "{name}: {query}");
            // A control plane stands in one namespace and serves all.
            for selector in selectors.iter().filter(|selector| !selector.name.starts_with("faregate_control_")) {
                assert!(selector.labels.contains(&"namespace".to_owned()), "{name}: {} everywhere", selector.name);
            }
            for variable in query.split('$').skip(1) {
                let variable: String =
                    variable.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                let known =
                    VARIABLES[1..].contains(&&*variable) || ["__rate_interval", "__range"].contains(&&*variable);
                assert!(known, "{name}: ${variable}");
            }
        }
    }
}

#[test]
fn counters_are_looked_at_as_rates_over_an_interval_that_fits_the_scrape() {
    let counters: BTreeSet<String> = TABLE
        .iter()
        .filter_map(|metric| match metric.kind {
            Kind::Counter => Some(metric.name.to_owned()),
            Kind::Histogram(_) => Some(format!("{}_bucket", metric.name)),
            Kind::Gauge => None,
        })
        .collect();
    let mut rates = 0;
    for (name, panel) in panels() {
        for query in queries(&panel) {
            for selector in selectors(query).iter().filter(|selector| counters.contains(&selector.name)) {
                for (at, _) in query.match_indices(&selector.name) {
                    let before = &query[..at];
                    assert!(
                        before.ends_with("rate(") || before.ends_with("increase("),
                        "{name}: a counter as it stands"
                    );
                    rates += 1;
                }
            }
            for range in query.split('[').skip(1) {
                let range = range.split(']').next().unwrap();
                assert!(["$__rate_interval", "$__range"].contains(&range), "{name}: [{range}]");
            }
        }
    }
    assert!(rates > 10, "only {rates}");
}

#[test]
fn panels_have_places_of_their_own() {
    for (_, dashboard) in dashboards() {
        let (mut taken, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard["panels"].as_array().unwrap() {
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
            assert!(place("x") + place("w") <= 24, "{}", panel["title"]);
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(taken.insert((x, y)), "{} lies on another", panel["title"]);
                }
            }
        }
    }
}
