//! A scripted scenario as a real Prometheus sees it: a direct provider, and a router that charges 15 % more and adds
//! 120 ms. The queries are those of docs/paired.md and docs/prices.md.

use std::time::Duration;

use serde_json::Value;

use super::stage::{ALL, STREAM, answer, call, config, direct, start, wait_result};
use super::support::{Prometheus, Upstream, get, promtool};

const ADDED: Duration = Duration::from_millis(120);
/// Calls of one round, and rounds at most: a busy machine adds to either side at random, which evens out.
const ROUND: usize = 20;
const ROUNDS: usize = 10;

/// The queries of docs/paired.md, over an hour.
fn documented() -> Vec<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/paired.md")).unwrap();
    let blocks = page.split("```promql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|query| query.replace("[1d]", "[1h]")).collect()
}

#[test]
fn a_router_that_charges_15_percent_more_and_adds_120_ms_shows_as_that() {
    let router = Upstream::start(|peer, request| {
        std::thread::sleep(ADDED);
        answer(peer, request, r#","cost":0.004025"#);
    });
    let direct = Upstream::start(direct);
    let faregate = start(&config(&router, &direct, ALL));
    let Some(prometheus) = Prometheus::start(faregate.admin) else { return };
    let [ttft, cost, half] = documented().try_into().expect("three queries in docs/paired.md");

    // The series appear, and are scraped, before anything is compared: `increase()` starts there.
    call(&faregate, STREAM).expect(200);
    wait_result(&faregate, "paired", 1.0);
    prometheus.wait("sum(faregate_paired_calls_total)", 3.0);
    let (mut calls, mut added) = (1, 0.0);
    for _ in 0..ROUNDS {
        for _ in 0..ROUND {
            call(&faregate, STREAM).expect(200);
            calls += 1;
            wait_result(&faregate, "paired", calls as f64);
        }
        prometheus.wait("sum(faregate_paired_calls_total)", 3.0 * calls as f64);
        added = prometheus.ask(&ttft).expect("a difference");
        if (0.115..0.2).contains(&added) {
            break;
        }
    }
    assert!((0.115..0.2).contains(&added), "the router adds {added} s after {calls} pairs");

    println!("the router adds {:.1} ms to the time to the first token, by {calls} pairs", added * 1e3);

    // Money does not depend on how busy a machine is.
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    near(prometheus.ask(&cost).expect("a ratio"), 0.15);
    let markup = |provider: &str| {
        let sum = |basis: &str| {
            format!(
                "sum(increase(faregate_comparable_cost_usd_total{{provider=\"{provider}\", basis=\"{basis}\"}}[1h]))"
            )
        };
        prometheus.ask(&format!("{} / {} - 1", sum("effective"), sum("list")))
    };
    near(markup("router").expect("calls of the router"), 0.15);
    assert_eq!(markup("direct"), None, "duplicates are no calls");
    let probes = "sum(faregate_paired_probe_cost_usd_total{basis=\"effective\"})";
    near(prometheus.ask(probes).expect("what duplicates cost"), 0.0035 * calls as f64);

    // The bill from the same counters has the duplicates in a line of their own, as one from records has.
    let bill = std::process::Command::new(env!("CARGO_BIN_EXE_faregate"))
        .args([
            "bill",
            "--prometheus",
            &prometheus.url(),
            "--since",
            "1h",
            "--by",
            "provider,model,app",
            "--format",
            "csv",
        ])
        .output()
        .expect("the program runs");
    let bill = String::from_utf8_lossy(&bill.stdout).into_owned();
    let line = bill.lines().find(|line| line.starts_with("direct,gpt-4o (probes),faregate-probe,"));
    let line = line.unwrap_or_else(|| panic!("no duplicates in {bill}"));
    let columns = bill.lines().next().unwrap_or_default().split(',');
    let value = |name: &str| {
        let at = columns.clone().position(|column| column == name).expect(name);
        line.split(',').nth(at).expect(name).parse::<f64>().expect(name)
    };
    // `increase()` reckons beyond the first and the last scrape: on a busy machine by a good part.
    let about = |value: f64, exact: f64| (value / exact - 1.0).abs() < 0.5;
    assert!(about(value("calls"), calls as f64) && about(value("effective"), 0.0035 * calls as f64), "{bill}");

    // The process itself says the same; it also knows the first pair, and `increase()` goes by time.
    let page: Value = get(faregate.admin, "/admin/paired").expect(200).json();
    let it = &page["pairs"][0]["ttft_ms"];
    let number = |value: &Value| value.as_f64().expect("a number");
    assert_eq!(it["pairs"], calls);
    let (mean, width) = (number(&it["difference_mean"]), number(&it["interval_95"][1]) - number(&it["interval_95"][0]));
    assert!((mean - added * 1e3).abs() < 0.1 * mean, "{mean} ms here, {added} s there");
    assert!(number(&it["routed_mean"]) >= ADDED.as_secs_f64() * 1e3, "a sleep takes that long at least");
    let half = prometheus.ask(&half).expect("half of the interval") * 1e3;
    assert!(half.is_finite() && half > 0.0 && half < width, "{half} ms, {width} ms");
    assert_eq!(page["pairs"][0]["cost_usd"]["markup"], 0.15);
    promtool(get(faregate.admin, "/metrics").expect(200).text());
}
