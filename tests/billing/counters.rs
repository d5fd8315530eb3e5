//! The bill from a Prometheus: a real one that scrapes a real Faregate, and one of the test's own for what must be sent
//! and what can go wrong.
//!
//! Where Prometheus is missing, the test says loudly that it was skipped; with FAREGATE_REQUIRE_PROMETHEUS=1 it fails.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use faregate::billing::Moment;
use serde_json::{Value, json};

use super::run::{Done, faregate};
use super::stage::Stage;
use super::support::tls::{Authority, front};
use super::support::{Prometheus, Upstream, eventually};

type Rows = BTreeMap<(String, String, String), BTreeMap<String, String>>;

fn rows(done: Done) -> Rows {
    done.ok()
        .csv()
        .into_iter()
        .map(|row| ((row["provider"].clone(), row["model"].clone(), row["app"].clone()), row))
        .collect()
}

/// What counters can tell as records do.
const COLUMNS: [&str; 9] =
    ["calls", "input", "output", "list", "billed", "effective", "comparable_list", "comparable_effective", "markup"];

#[test]
fn a_real_prometheus_gives_the_bill_of_the_records() {
    // Its first scrape finds all calls made: none of them is lost for having made its series.
    let mut stage = Stage::new().play();
    let started = stage.faregate.metrics().value("process_start_time_seconds", &[]).unwrap();
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    eventually("two seconds have passed since its start", || now() > started + 2.0);
    let after_the_calls = Moment::from(SystemTime::now()).to_string();
    let Some(prometheus) = Prometheus::start(stage.faregate.admin) else { return };
    let url = prometheus.url();
    prometheus.wait("sum(faregate_requests_total)", stage.calls as f64);
    let by = ["--by", "provider,model,app", "--format", "csv"];
    let from_counters =
        || rows(faregate(Path::new("."), &[&["bill", "--prometheus", &url, "--since", "1h"][..], &by].concat()));
    let folder = stage.faregate.path().to_owned();
    let from_records = || rows(faregate(&folder, &[&["bill", "usage.jsonl"][..], &by].concat()));
    let (counted, recorded) = (from_counters(), from_records());
    assert_eq!(counted.keys().collect::<Vec<_>>(), recorded.keys().collect::<Vec<_>>());
    for (names, row) in &counted {
        for column in COLUMNS {
            assert_eq!(row[column], recorded[names][column], "{column} of {names:?}");
        }
        assert_eq!((&*row["charged_calls"], &*row["billed_list"]), ("", ""), "not known to counters");
    }

    // What comes later is interpolated.
    for _ in 0..3 {
        stage.call("/router/v1/chat/completions", "openai/gpt-4o", "search");
    }
    prometheus.wait("sum(faregate_requests_total)", stage.calls as f64);
    prometheus.wait("max(count_over_time(up[1h]))", 40.0);
    stage.faregate.wait_records(stage.calls);
    let (counted, recorded) = (from_counters(), from_records());
    for (names, row) in &counted {
        for column in COLUMNS.into_iter().filter(|column| *column != "markup") {
            let (a, b) = (&row[column], &recorded[names][column]);
            let (a, b): (f64, f64) = (a.parse().unwrap_or(0.0), b.parse().unwrap_or(0.0));
            assert!((a - b).abs() <= 0.05 * b, "{column} of {names:?}: {a} is not about {b}");
        }
    }

    // The other formats, groupings and filters of the same counters.
    let run = |arguments: &[&str]| faregate(Path::new("."), &[&["bill", "--prometheus", &url][..], arguments].concat());
    let table = run(&["--by", "provider"]).ok();
    assert!(
        table.out.contains("  1 router: no_price") && table.out.contains("counters, which are interpolated"),
        "{}",
        table.out
    );
    let json = run(&["--by", "day", "--app", "search", "--format", "json", "--since", "2d"]).ok().json();
    assert_eq!((&json["source"], &json["exact"]), (&"prometheus".into(), &false.into()));
    assert_eq!((&json["total"]["unpriced_calls"], &json["total"]["cost_source"]), (&Value::Null, &Value::Null));
    assert!(run(&["--format", "focus", "--since", "1d"]).ok().csv().len() >= 7);
    let none = run(&["--since", "2020-01-01", "--until", "2020-01-02"]);
    assert!(
        none.code == Some(1) && none.err.contains("has no faregate_requests_total from 2020-01-01T00:00:00Z"),
        "{}",
        none.err
    );
    let unknown = run(&["--by", "served_by"]);
    assert!(
        unknown.code == Some(1) && unknown.err.contains("read usage records for --by served_by"),
        "{}",
        unknown.err
    );

    // A process that had started before the time, and was not watched then: what it held is not of that time.
    let late = run(&["--by", "provider", "--format", "json", "--since", &after_the_calls]).ok().json();
    let late = late["total"]["calls"].as_u64().unwrap();
    assert!((3..=4).contains(&late), "{late} of {} calls", stage.calls);

    // Advice from the same counters: 8 calls with the router's 15 % and the fee on credit, one that it rescued.
    let advice = ["advise", "--prometheus", &url, "--since", "1h", "--config", "faregate.yaml", "--format", "json"];
    let advice = faregate(&folder, &advice).ok().json();
    let roads = advice["roads"].as_array().unwrap();
    let road =
        |model: &str| roads.iter().find(|road| road["model"] == model).unwrap_or_else(|| panic!("{model}: {roads:#?}"));
    let (saved, want) = (road("openai/gpt-4o")["saved"].as_f64().unwrap(), 8.0 * 0.000_746_375);
    assert!((saved / want - 1.0).abs() < 0.05, "{saved} is not about {want}");
    let month = road("openai/gpt-4o")["saved_per_30_days"].as_f64().unwrap();
    assert!((month / (saved * 720.0) - 1.0).abs() < 0.001, "{month}");
    assert_eq!(road("openai/gpt-4o")["verdict"], "go direct");
    assert_eq!(
        (&road("openai/gpt-4o-mini")["rescued_calls"], &road("openai/gpt-4o-mini")["saved"]),
        (&1.into(), &Value::Null)
    );

    // Seen from before its first call, a series that appears later is counted whole.
    let after = run(&["--by", "provider", "--format", "json", "--since", "1s"]).ok().json();
    assert_eq!(after["total"]["calls"], 0, "and one that only goes on is not: {after:#}");
}

/// Answers every query with one series, for who has the token.
fn fake() -> Upstream {
    Upstream::start(|peer, request| {
        if request.head.get("authorization") != Some("Bearer t0ken") {
            return peer.reply(401, &[], "Unauthorized");
        }
        let form = String::from_utf8_lossy(&request.body).into_owned();
        assert!(
            request.target == "/prom/api/v1/query" && form.starts_with("query=sum%20by") && form.contains("&time=")
        );
        let labels = r#"{"app":"a","provider":"p","model":"m","basis":"billed","class":"input","reason":"no_usage"}"#;
        let body = format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{labels},"value":[1.5,"2"]}}]}}}}"#
        );
        // In chunks, as Prometheus sends long answers.
        peer.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
        peer.chunk(&body[..40]);
        peer.chunk(&body[40..]);
        peer.last_chunk();
    })
}

fn asked(url: &str, environment: &[(&str, &str)]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faregate"));
    command
        .args(["bill", "--prometheus", url, "--by", "app", "--format", "csv"])
        .env_remove("FAREGATE_PROMETHEUS_TOKEN");
    command.envs(environment.iter().copied()).output().unwrap().into()
}

#[test]
fn a_token_and_tls_lead_to_a_prometheus_that_wants_them() {
    let upstream = fake();
    let token = ("FAREGATE_PROMETHEUS_TOKEN", "t0ken\n");
    let plain = asked(&format!("http://{}/prom", upstream.address), &[token]).ok();
    // Each sum is asked for in two parts.
    assert_eq!((&*plain.csv()[0]["calls"], &*plain.csv()[0]["billed"]), ("4", "4"));

    let authority = Authority::new();
    let bridge = front(upstream.address, authority.issue(&["localhost"]).server(&[], None));
    let url = format!("https://localhost:{}/prom/", bridge.address.port());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    fs::write(&file, &authority.pem).unwrap();
    let trusted = asked(&url, &[token, ("SSL_CERT_FILE", file.to_str().unwrap())]).ok();
    assert_eq!(trusted.out, plain.out);
    let distrusted = asked(&url, &[token]);
    assert_eq!(distrusted.code, Some(1));
    assert!(distrusted.err.contains("cannot be asked") && distrusted.err.contains("certificate"), "{}", distrusted.err);
}

#[test]
fn what_goes_wrong_says_what_to_do_and_shows_no_secret() {
    let upstream = fake();
    let address = upstream.address;
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let other = Upstream::json(200, "{}");
    let missing = Upstream::json(404, "404 page not found");
    let refusing = Upstream::json(
        422,
        r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples"}"#,
    );
    let secret = ("FAREGATE_PROMETHEUS_TOKEN", "s3cret");
    for (url, said) in [
        (format!("http://{address}/prom"), "set FAREGATE_PROMETHEUS_TOKEN"),
        (format!("http://{gone}"), "cannot be asked: Connection refused"),
        (format!("http://{}", other.address), "no Prometheus"),
        (format!("http://{}", missing.address), "give its URL without /api/v1"),
        (format!("http://{}", refusing.address), "query processing would load too many samples"),
        ("http://me:s3cret@host".into(), "is no http:// or https:// URL"),
        ("prometheus:9090".into(), "is no http:// or https:// URL"),
    ] {
        let done = asked(&url, &[secret]);
        assert_eq!((done.code, &*done.out), (Some(1), ""), "{url}");
        assert!(done.err.contains(said), "{url}: {}", done.err);
        assert!(!done.err.contains("s3cret"), "{}", done.err);
    }
}

/// A Prometheus that holds one direct provider, and one router that charges 15 % more and adds 125 ms.
#[test]
fn mean_times_and_fallbacks_are_told_from_counters() {
    let upstream = Upstream::start(|peer, request| {
        let form = percent_encoding::percent_decode(&request.body).decode_utf8().unwrap().into_owned();
        let series: &[(&str, &str, f64)] = match form.as_str() {
            // All series were there before.
            births if births.contains("min_over_time") => &[],
            q if q.contains("increase(faregate_requests_total") => &[
                (r#""provider":"openai","model":"gpt-4o""#, "", 40.0),
                (r#""provider":"openrouter","model":"openai/gpt-4o""#, "", 50.0),
            ],
            q if q.contains("increase(faregate_comparable_cost_usd_total") => &[
                (r#""provider":"openrouter","model":"openai/gpt-4o""#, r#","basis":"list""#, 50.0),
                (r#""provider":"openrouter","model":"openai/gpt-4o""#, r#","basis":"effective""#, 57.5),
            ],
            q if q.contains("seconds_sum") => &[
                (r#""provider":"openai","model":"gpt-4o""#, "", 12.0),
                (r#""provider":"openrouter","model":"openai/gpt-4o""#, "", 21.0),
            ],
            q if q.contains("seconds_count") => &[
                (r#""provider":"openai","model":"gpt-4o""#, "", 30.0),
                (r#""provider":"openrouter","model":"openai/gpt-4o""#, "", 40.0),
            ],
            q if q.contains("increase(faregate_fallbacks_total") => {
                &[(r#""from":"openai/gpt-4o","to":"openrouter/openai/gpt-4o""#, "", 10.0)]
            }
            _ => &[],
        };
        let result: Vec<String> = series
            .iter()
            .map(|(names, more, value)| format!(r#"{{"metric":{{{names}{more}}},"value":[1,"{value}"]}}"#))
            .collect();
        let body =
            format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, result.join(","));
        peer.json(200, body);
    });
    let url = format!("http://{}", upstream.address);
    let done = faregate(Path::new("."), &["advise", "--prometheus", &url, "--since", "15d", "--format", "json"]).ok();
    let road = &done.json()["roads"][0];
    let by_app = faregate(Path::new("."), &["advise", "--prometheus", &url, "--app", "a"]);
    assert!(by_app.code == Some(1) && by_app.err.contains("leave --app out"), "{}", by_app.err);
    // Ten of fifty calls were rescued: a fifth of the money is not counted.
    assert_eq!((&road["rescued_calls"], road["saved"].to_string()), (&10.into(), "6".into()), "{road:#}");
    assert_eq!((road["saved_per_30_days"].to_string(), &road["verdict"]), ("12".into(), &"weigh".into()));
    assert_eq!(
        road["time"],
        json!({"of": "ttft", "statistic": "mean", "direct": "openai", "routed_ms": 525.0, "direct_ms": 400.0, "faster_by_ms": 125.0, "routed_p95_ms": null, "direct_p95_ms": null})
    );
}
