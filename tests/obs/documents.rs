//! Documents that follow from the code, held against it.

use std::collections::BTreeSet;

use super::support::{Client, Faregate, Upstream, table};

fn document(name: &str) -> String {
    let path = format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names in back quotes that the first column of every table holds.
fn first_column(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn the_reference_of_metrics_is_that_of_the_table() {
    let now = faregate::telemetry::reference();
    assert!(document("metrics.md") == now, "docs/metrics.md is stale: run `cargo run -- metrics > docs/metrics.md`");
}

const OK: &str = r#"{"id":"c","object":"chat.completion","model":"m-1","choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3},"openrouter_metadata":{}}"#;

#[test]
fn every_field_of_a_usage_record_is_documented_and_no_other() {
    let upstream = Upstream::json(200, OK);
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    super::support::post(faregate.api, "/v1/chat/completions", r#"{"model":"m","messages":[]}"#).expect(200);
    let record = faregate.only_record();
    let mut fields = BTreeSet::new();
    for (name, value) in record.as_object().unwrap() {
        fields.insert(name.clone());
        let inner = value.as_array().and_then(|list| list.first()).unwrap_or(value);
        for part in inner.as_object().into_iter().flat_map(|object| object.keys()) {
            fields.insert(format!("{name}.{part}"));
        }
    }
    assert_eq!(first_column(&document("usage-records.md")), fields);
}

#[test]
fn every_header_that_is_added_to_an_answer_is_documented_and_no_other() {
    let faregate = Faregate::start(
        "providers:\n  sim: { preset: simulated }\nroutes:\n- { name: all, targets: [{ provider: sim, model: simulated }] }\n",
    );
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#);
    let answer = client.response().expect(200);
    let ours = answer.head.headers.iter().map(|(name, _)| name.to_ascii_lowercase());
    let mut ours: BTreeSet<String> = ours.filter(|name| name.starts_with("x-faregate-")).collect();
    let stream = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}"#;
    client.post("/v1/chat/completions", &["te: trailers"], stream);
    let trailers = client.response().expect(200).trailers;
    ours.extend(trailers.iter().filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase())));
    let text = document("headers.md");
    let (answers, requests) = text.split_once("## On requests").expect("the part on requests");
    assert_eq!(first_column(answers), ours);
    let requests = first_column(requests);
    for name in ["x-faregate-app", "x-request-id", "traceparent", "tracestate"] {
        assert!(requests.contains(name), "{name}");
    }
}
