//! `faregate prices` as a person runs it.

use std::process::{Command, Output};

fn faregate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_faregate")).args(args).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn lists_and_compares() {
    let listed = faregate(&["prices", "list", "gpt-4o-mini", "--provider", "openai"]);
    assert!(listed.status.success());
    let shown = text(&listed.stdout);
    let row: Vec<&str> =
        shown.lines().find(|l| l.contains(" gpt-4o-mini ")).expect("a row").split_whitespace().collect();
    assert_eq!(row[..5], ["openai", "gpt-4o-mini", "0.15", "0.075", "0.6"]);

    let compared = faregate(&["prices", "compare", "gpt-4o", "--json"]);
    let cards: serde_json::Value = serde_json::from_slice(&compared.stdout).expect("JSON");
    let sellers: Vec<&str> = cards.as_array().expect("a list").iter().filter_map(|c| c["provider"].as_str()).collect();
    assert!(sellers.contains(&"openai") && sellers.contains(&"openrouter"), "{sellers:?}");
    assert_eq!(cards[0]["prices"][0]["rates"]["input"][0]["dollars"], "2.5", "amounts are exact texts");

    let nothing = faregate(&["prices", "compare", "no-such-model"]);
    assert!(!nothing.status.success() && nothing.stdout.is_empty());
    assert!(text(&nothing.stderr).contains("no price card for `no-such-model`"));
}

#[test]
fn shows_how_old_prices_are() {
    let aged = faregate(&["prices", "age", "--json"]);
    let rows: serde_json::Value = serde_json::from_slice(&aged.stdout).expect("JSON");
    let rows = rows.as_array().expect("a list");
    let cards: u64 = rows.iter().filter_map(|row| row["cards"].as_u64()).sum();
    assert!(cards > 2_000, "{cards}");
    assert!(rows.iter().all(|row| row["taken"].is_string()));
}

#[test]
fn checks_files_with_places_and_uses_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("own.yaml");
    let path = file.to_str().expect("UTF-8");
    std::fs::write(&file, "cards:\n- provider: work\n  modle: gpt-4o\n  prices: {input: -2}\n").expect("written");
    let bad = faregate(&["prices", "check", path]);
    assert_eq!(bad.status.code(), Some(1));
    let shown = text(&bad.stdout).replace(path, "own.yaml");
    assert!(shown.contains("own.yaml:3:3: cards[0].modle: there is no such key; did you mean `model`?"), "{shown}");
    assert!(shown.contains("own.yaml:4:19: cards[0].prices.input: wants a number from 0 up, found -2"), "{shown}");

    std::fs::write(&file, "cards:\n- provider: work\n  model: gpt-4o*\n  prices: {input: 1.25, output: 5}\n")
        .expect("written");
    let good = faregate(&["prices", "check", path]);
    assert!(good.status.success(), "{}", text(&good.stdout));
    let compared = text(&faregate(&["prices", "compare", "gpt-4o", "--overlay", path]).stdout);
    let first: Vec<&str> = compared.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(first[..3], ["work", "gpt-4o", "1.25"], "{compared}");
}
