//! Files that are made from the types: the schema and the reference. And the examples against the schema.

use std::collections::BTreeSet;

use faregate::config::{self, Surroundings};
use serde_json::Value;

use crate::{repository, same_as_committed};

#[test]
fn the_committed_schema_is_the_types_own() {
    let made_by = "run `faregate schema > config/faregate.schema.json`";
    same_as_committed("config/faregate.schema.json", &config::schema_text(), made_by);
}

#[test]
fn the_committed_reference_is_the_types_own() {
    const START: &str = "<!-- made by `faregate schema --markdown`; a test fails when it is stale -->\n\n";
    let path = "docs/configuration.md";
    let text = std::fs::read_to_string(repository(path)).unwrap();
    let (by_hand, _) = text.split_once(START).expect("the mark before the reference");
    let made_by = "run the tests with BLESS=1";
    same_as_committed(path, &format!("{by_hand}{START}{}", config::reference()), made_by);
}

/// Every key that may stand in a file, as the schema lists them.
fn keys(schema: &Value, all: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            all.extend(
                fields.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(k, _)| k.clone()),
            );
            fields.values().for_each(|inner| keys(inner, all));
        }
        Value::Array(items) => items.iter().for_each(|inner| keys(inner, all)),
        _ => {}
    }
}

#[test]
fn the_reference_holds_every_key_of_the_schema() {
    let mut all = BTreeSet::new();
    keys(&config::schema(), &mut all);
    assert!(all.len() > 80, "{}", all.len());
    let reference = config::reference();
    let said =
        |key: &&String| reference.contains(&format!("| `{key}` |")) || reference.contains(&format!("`{{{key}: ...}}`"));
    let missing: Vec<&String> = all.iter().filter(|key| !said(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_section_that_the_reference_links_to_is_there() {
    let reference = config::reference();
    let anchors: BTreeSet<String> = reference
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(|title| title.to_lowercase().chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect())
        .collect();
    let links: Vec<&str> = reference.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() > 15, "{links:?}");
    let dead: Vec<&&str> = links.iter().filter(|link| !anchors.contains(**link)).collect();
    assert!(dead.is_empty(), "{dead:?}");
}

#[test]
fn every_example_passes_the_checker_without_a_word() {
    let surroundings =
        Surroundings { env: &|name| Some(format!("{name}-0123456789abcdef")), ..Surroundings::process() };
    let surroundings = Surroundings { elsewhere: true, files: false, ..surroundings };
    let mut seen = 0;
    for entry in std::fs::read_dir(repository("config")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.ends_with(".yaml") || ["presets.yaml", "sdk-env.yaml"].contains(&name) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=faregate.schema.json\n"), "{name}");
        let checked = config::check(text.as_bytes(), name, &surroundings);
        // The admin port of a shared gateway is public on purpose, and says so.
        let said: Vec<_> = checked.problems.0.iter().filter(|p| p.key != "server.admin").collect();
        assert!(said.is_empty(), "{said:?}");
        seen += 1;
    }
    assert!(seen >= 6, "{seen} examples");
}
