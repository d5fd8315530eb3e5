//! The bill over what the real proxy wrote: it is what the proxy counted, to the last digit.

use std::collections::BTreeMap;

use serde_json::Value;

use super::run::faregate;
use super::stage::Stage;
use super::support::Client;

/// A float as its shortest decimal, which is what counters of exact sums show.
fn shown(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[test]
fn the_bill_of_the_records_is_what_the_metrics_count() {
    let stage = Stage::new().play();
    let bill =
        faregate(stage.faregate.path(), &["bill", "usage.jsonl", "--by", "provider,model,app", "--format", "csv"]).ok();
    let page = stage.faregate.metrics();
    let rows = bill.csv();
    let total: u64 = rows.iter().map(|row| row["calls"].parse::<u64>().unwrap()).sum();
    assert_eq!(total as usize, stage.calls);
    let mut compared = 0;
    for row in &rows {
        let labels = [("provider", row["provider"].as_str()), ("model", &row["model"]), ("app", &row["app"])];
        if row["provider"].is_empty() {
            assert_eq!((&*row["calls"], &*row["not_charged_calls"], &*row["billed"]), ("1", "1", ""), "{row:?}");
            continue;
        }
        // Models that no route names are counted as `other` until they were served.
        let value = |metric: &str, key: &str, value: &str| {
            let labels = [labels.as_slice(), &[(key, value)]].concat();
            page.value(metric, &labels)
        };
        for basis in ["list", "billed", "effective"] {
            assert_eq!(row[basis], shown(value("faregate_cost_usd_total", "basis", basis)), "{basis} of {row:?}");
        }
        for basis in ["list", "effective"] {
            let counted = value("faregate_comparable_cost_usd_total", "basis", basis);
            assert_eq!(row[&format!("comparable_{basis}")], shown(counted), "{basis} of {row:?}");
        }
        for class in ["input", "output"] {
            assert_eq!(row[class], shown(value("faregate_tokens_total", "class", class)), "{class} of {row:?}");
        }
        assert_eq!(row["calls"], shown(value("faregate_requests_total", "outcome", "ok")));
        let (provider, model) = (labels[0], labels[1]);
        let unpriced = page.sum("faregate_unpriced_calls_total", &[provider, model]);
        assert_eq!(row["unpriced_calls"], unpriced.to_string(), "{row:?}");
        compared += 1;
    }
    assert!(compared >= 8, "{compared} of {rows:#?}");
}

#[test]
fn markup_and_sources_are_those_of_the_calls() {
    let stage = Stage::new().play();
    let bill = faregate(stage.faregate.path(), &["bill", "usage.jsonl", "--by", "provider", "--format", "json"]).ok();
    let json = bill.json();
    let groups: BTreeMap<_, _> = json["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (group["provider"].as_str().unwrap_or("-"), group))
        .collect();
    assert_eq!(groups["direct"]["markup"], 0.0);
    assert_eq!(groups["direct"]["cost_source"]["list"]["calls"], 5);
    assert_eq!(groups["team"]["cost_source"]["card"]["calls"], 5);
    // 2 and 8 dollars a million instead of 2.50 and 10.
    assert_eq!(groups["team"]["markup"], -0.2);
    let router = groups["router"];
    assert_eq!(router["cost_source"]["reported"]["calls"], 7);
    assert_eq!(router["unpriced"]["no price for the model"], 1);
    // 15 % by the router, 5.5 % of that for credit. The free call has no list price and does not count.
    assert_eq!(router["markup"], 0.21325);
    assert_eq!(groups["-"]["not_charged_calls"], 1);
    assert_eq!(json["exact"], true);
    let check = json["check"].as_str().unwrap();
    assert!(check.starts_with("19 calls read = 17 charged + 1 unpriced + 1 not charged"), "{check}");
    assert!(check.ends_with("groups and total agree"), "{check}");
    // Digits, not floats.
    assert!(bill.out.contains("\"billed\": 0.0203665"), "{}", bill.out);
}

#[test]
fn filters_leave_out_what_they_say() {
    let stage = Stage::new().play();
    let calls = |arguments: &[&str]| {
        let all = [&["bill", "usage.jsonl", "--format", "json"], arguments].concat();
        faregate(stage.faregate.path(), &all).ok().json()["total"]["calls"].as_u64().unwrap()
    };
    assert_eq!(calls(&[]), 19);
    assert_eq!(calls(&["--app", "search"]), 11);
    assert_eq!(calls(&["--app", "search,support"]), 19);
    assert_eq!(calls(&["--provider", "router"]), 8);
    assert_eq!(calls(&["--model", "OpenAI/*"]), 7);
    assert_eq!(calls(&["--model", "gpt-4o", "--app", "support"]), 4);
    assert_eq!(calls(&["--since", "1h"]), 19);
    assert_eq!(calls(&["--until", "1h"]), 0);
    assert_eq!(calls(&["--since", "2020-01-01", "--until", "2020-02-01T00:00:00Z"]), 0);
    let table = faregate(stage.faregate.path(), &["bill", "usage.jsonl", "--app", "search"]).ok();
    assert!(
        table.out.contains("19 calls read = 10 charged + 1 unpriced + 0 not charged + 8 left out by the filter"),
        "{}",
        table.out
    );
}

#[test]
fn an_estimate_is_in_no_sum() {
    let mut stage = Stage::new();
    let mut client = Client::connect(stage.faregate.api);
    client.post("/direct/v1/chat/completions", &[], r#"{"model":"gpt-4o-breaks","stream":true,"messages":[]}"#);
    client.response().expect(200);
    stage.call("/direct/v1/chat/completions", "gpt-4o", "search");
    let records = stage.faregate.wait_records(2);
    let broken = records.iter().find(|record| record["model_sent"] == "gpt-4o-breaks").unwrap();
    assert_eq!(broken["usage_state"], "estimated", "{broken:#}");
    let bill =
        faregate(stage.faregate.path(), &["bill", "usage.jsonl", "--by", "model", "--format", "json"]).ok().json();
    let group = &bill["groups"][1];
    assert_eq!(
        (&group["model"], &group["tokens"], &group["billed"]),
        (&"gpt-4o-breaks".into(), &Value::Null, &Value::Null)
    );
    assert_eq!(group["unpriced"]["usage estimated"], 1, "{group:#}");
    assert_eq!(bill["total"]["tokens"]["input"], 1_000);
    assert_eq!(stage.faregate.metrics().sum("faregate_tokens_total", &[("class", "input")]), 1_000.0);
}
