//! What `faregate explain` says, word for word: `explain.txt` holds the cases, `explain.yaml` the configuration.

use serde_json::Value;

use crate::cli::{faregate, text};
use crate::{repository, same_as_committed};

const CONFIG: &str = "tests/config/explain.yaml";
const ENV: [(&str, &str); 1] = [("OPENAI_API_KEY", "hush")];

fn words(line: &str) -> Vec<&str> {
    // No argument of the cases has a space in it but headers, written with `=`.
    line.split_whitespace().collect()
}

#[test]
fn explanations_word_for_word() {
    let path = "tests/config/explain.txt";
    let committed = std::fs::read_to_string(repository(path)).unwrap();
    let mut now = String::new();
    let mut cases = 0;
    for line in committed.lines() {
        if let Some(arguments) = line.strip_prefix("$ faregate explain") {
            let all = ["explain", "--config", CONFIG].into_iter().chain(words(arguments)).collect::<Vec<_>>();
            let output = faregate(&all, &ENV, "");
            assert!(output.stderr.is_empty(), "{line}: {}", text(&output.stderr));
            let said = text(&output.stdout);
            assert!(!said.contains("hush"));
            now.push_str(&format!("{line}\n{said}exit {}\n\n", output.status.code().unwrap()));
            cases += 1;
        }
    }
    assert!(cases > 10);
    same_as_committed(path, &now, "run the tests with BLESS=1 and read the difference");
}

fn json(arguments: &[&str]) -> Value {
    let all: Vec<&str> =
        ["explain", "--config", CONFIG, "--json"].into_iter().chain(arguments.iter().copied()).collect();
    serde_json::from_slice(&faregate(&all, &ENV, "").stdout).unwrap()
}

#[test]
fn json_says_the_same() {
    let said = json(&["--model", "gpt-4"]);
    assert_eq!(said["alias"], serde_json::json!(["gpt-4", "gpt-4o"]));
    assert_eq!(said["route"]["name"], "canary");
    let shares: f64 = said["targets"].as_array().unwrap().iter().filter_map(|t| t["share"].as_f64()).sum();
    assert!((shares - 1.0).abs() < 1e-9);
    assert_eq!(said["not_matched"][0]["route"], "claude");
    assert_eq!(json(&["--model", "none-such", "--api", "messages"])["targets"], serde_json::json!([]));
}

/// The first target over many seeds follows the weights: what is explained is what is drawn.
#[test]
fn shares_are_those_of_the_draw() {
    let first =
        |seed: usize| json(&["--model", "gpt-4o", "--seed", &seed.to_string()])["targets"][0]["provider"].clone();
    let openai = (0..60).filter(|seed| first(*seed) == "openai").count();
    assert!((36..=58).contains(&openai), "{openai} of 60 at a weight of 80 %");
}

#[test]
fn a_sticky_header_always_leads_to_the_same_target() {
    for user in ["ann", "bob", "cleo", "dan"] {
        let header = format!("x-user={user}");
        let first =
            |seed| json(&["--model", "gpt-4o", "--header", &header, "--seed", seed])["targets"][0]["provider"].clone();
        assert!(["1", "2", "3"].iter().all(|seed| first(seed) == first("0")), "{user}");
    }
}

#[test]
fn without_a_file_the_built_in_defaults_are_explained() {
    let output = faregate(&["explain", "--model", "gpt-4o"], &[], "");
    assert!(text(&output.stdout).contains("simulated"), "{}", text(&output.stdout));
    let output = faregate(&["explain", "--model", "gpt-4o"], &ENV, "");
    assert!(text(&output.stdout).contains("https://api.openai.com/v1/chat/completions"), "{}", text(&output.stdout));
}

#[test]
fn a_file_with_errors_is_not_explained() {
    let output = faregate(&["explain", "--config", "none.yaml", "--model", "x"], &[], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty() && text(&output.stderr).contains("none.yaml: cannot be opened"));
}
