//! Metrics, the admin page and `faregate compare` tell the same.

use std::process::Command;

use serde_json::Value;

use super::stage::{ALL, STREAM, call, config, direct, router, start, wait_result};
use super::support::{Faregate, Upstream, get};

fn compare(faregate: &Faregate, more: &[&str]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_faregate"))
        .args(["compare", "--admin", &format!("http://{}", faregate.admin)])
        .args(more)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[track_caller]
fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * b.abs().max(1e-6), "{a} is not {b}");
}

#[test]
fn metrics_admin_page_and_command_agree() {
    let (router, direct) = (Upstream::start(router), Upstream::start(direct));
    let faregate = start(&config(&router, &direct, ALL));
    for n in 1..=5 {
        call(&faregate, if n < 5 { STREAM } else { "" }).expect(200);
        wait_result(&faregate, "paired", f64::from(n));
    }
    let page: Value = get(faregate.admin, "/admin/paired").expect(200).json();
    let metrics = faregate.metrics();
    let it = &page["pairs"][0];
    assert_eq!(page["pairs"].as_array().unwrap().len(), 1);
    assert_eq!(
        [&it["route"], &it["provider"], &it["model"]],
        ["all", "router", "openai/gpt-4o"].map(Value::from).each_ref()
    );
    assert_eq!((&it["direct"], &it["pairs"]), (&"direct/gpt-4o".into(), &5.into()));

    for (name, measure, pairs) in [("ttft_ms", "ttft", 4.0), ("duration_ms", "duration", 5.0)] {
        let it = &it[name];
        let sum =
            |side| metrics.value("faregate_paired_seconds_total", &[("measure", measure), ("side", side)]).unwrap();
        let squares = metrics.value("faregate_paired_seconds_squared_total", &[("measure", measure)]).unwrap();
        let n = metrics.value("faregate_paired_calls_total", &[("measure", measure)]).unwrap();
        assert_eq!((n, it["pairs"].as_f64()), (pairs, Some(pairs)), "{measure}");
        let (routed, direct) = (sum("routed"), sum("direct"));
        near(it["routed_mean"].as_f64().unwrap(), routed / n * 1e3);
        near(it["direct_mean"].as_f64().unwrap(), direct / n * 1e3);
        let mean = (routed - direct) / n;
        let deviation = ((squares - n * mean * mean).max(0.0) / (n - 1.0)).sqrt();
        let half = (if pairs == 4.0 { 3.182_446 } else { 2.776_445 }) * deviation / n.sqrt() * 1e3;
        let interval = it["interval_95"].as_array().unwrap();
        let ends = [interval[0].as_f64().unwrap(), interval[1].as_f64().unwrap()];
        assert!((ends[0] - (mean * 1e3 - half)).abs() < 1e-3 && (ends[1] - (mean * 1e3 + half)).abs() < 1e-3, "{it}");
    }

    let cost = &it["cost_usd"];
    assert_eq!([&cost["routed_sum"], &cost["direct_sum"]], ["0.020125", "0.0175"].map(Value::from).each_ref());
    assert_eq!((&cost["markup"], &cost["difference_mean"]), (&0.15.into(), &0.000_525.into()));
    assert_eq!(cost["interval_95"], serde_json::json!([0.000_525, 0.000_525]), "they do not differ");
    near(metrics.value("faregate_paired_cost_usd_total", &[("side", "routed")]).unwrap(), 0.020_125);
    near(metrics.value("faregate_paired_cost_usd_total", &[("side", "direct")]).unwrap(), 0.0175);
    near(metrics.value("faregate_paired_cost_usd_squared_total", &[]).unwrap(), 5.0 * 0.000_525 * 0.000_525);

    let route = &page["routes"][0];
    assert_eq!((&route["spent_usd_today"], &route["budget_usd_per_day"]), (&"0.0175".into(), &"1".into()));
    assert_eq!(route["calls"], serde_json::json!({ "paired": 5 }));

    let json: Value = serde_json::from_str(&compare(&faregate, &["--format", "json"])).unwrap();
    assert_eq!(json, page);
    let text = compare(&faregate, &[]);
    let ttft = text.lines().find(|line| line.contains(" ttft ")).unwrap();
    let shown = format!("{:+.1} ms", it["ttft_ms"]["difference_mean"].as_f64().unwrap());
    assert!(ttft.contains("router/openai/gpt-4o  direct/gpt-4o") && ttft.contains(&shown), "{text}");
    assert!(text.contains("+0.000525 .. +0.000525 $"), "{text}");
    assert!(text.contains("$0.020125 beside $0.0175 in 5 pairs, difference $0.002625 (+15.00 %)"), "{text}");
    assert!(text.contains("$0.0175 of $1 spent today; 5 chosen: 5 paired."), "{text}");
}

#[test]
fn one_pair_has_no_interval_and_the_command_says_so() {
    let (router, direct) = (Upstream::start(router), Upstream::start(direct));
    let faregate = start(&config(&router, &direct, ALL));
    let none_yet = compare(&faregate, &[]);
    assert!(
        none_yet.contains("1 of its calls go to direct/gpt-4o too") && none_yet.contains("none was chosen yet"),
        "{none_yet}"
    );
    call(&faregate, "").expect(200);
    wait_result(&faregate, "paired", 1.0);
    let page: Value = get(faregate.admin, "/admin/paired").expect(200).json();
    assert_eq!(page["pairs"][0]["duration_ms"]["interval_95"], Value::Null);
    assert_eq!(page["pairs"][0]["ttft_ms"], Value::Null, "no stream, no first token");
    let text = compare(&faregate, &[]);
    assert!(text.contains("One pair has no interval"), "{text}");
}

#[test]
fn without_a_probe_the_command_says_how_to_have_one_and_without_a_process_why_it_fails() {
    let (router, direct) = (Upstream::start(router), Upstream::start(direct));
    let faregate = start(&config(&router, &direct, ""));
    let text = compare(&faregate, &[]);
    assert!(text.contains("No route has a `probe`") && text.contains("probe: { target: openai/gpt-5"), "{text}");
    let (nobody, _kept) = super::support::refusing();
    let done = Command::new(env!("CARGO_BIN_EXE_faregate"))
        .args(["compare", "--admin", &format!("http://{nobody}")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1));
    assert!(said.contains("--admin names the admin address"), "{said}");
}
