//! `faregate advise` over what the real proxy wrote, and over records of one's own making.

use serde_json::{Value, json};

use super::run::{Done, faregate, fed};
use super::stage::Stage;

fn road(done: &Done, provider: &str, model: &str) -> Value {
    let json = done.json();
    let roads = json["roads"].as_array().unwrap();
    let fits = |road: &&Value| road["provider"] == provider && road["model"] == model;
    roads.iter().find(fits).unwrap_or_else(|| panic!("no {model} through {provider}: {json:#}")).clone()
}

#[test]
fn the_real_proxys_records_tell_what_its_configuration_says_of_providers() {
    let stage = Stage::new().play();
    let run = |arguments: &[&str]| {
        let all = [&["advise", "usage.jsonl", "--format", "json"], arguments].concat();
        faregate(stage.faregate.path(), &all).ok()
    };
    let told = run(&["--config", "faregate.yaml"]);
    // Seconds of records tell what was saved, and nothing of a month.
    let routed = road(&told, "router", "openai/gpt-4o");
    assert_eq!(
        (&routed["verdict"], &routed["calls"], &routed["direct"]),
        (&"unknown".into(), &5.into(), &"openai".into())
    );
    assert_eq!(routed["saved_per_30_days"], Value::Null);
    // Five calls at 0.0035 by list, and 15 % and the fee on credit more.
    assert_eq!(routed["saved"].to_string(), "0.003731875");
    assert_eq!(routed["time"], Value::Null, "too few calls");
    // The one call of its kind was rescued: there is nothing to save.
    let rescued = road(&told, "router", "openai/gpt-4o-mini");
    assert_eq!(
        (&rescued["rescued_calls"], &rescued["compared_calls"], &rescued["saved"]),
        (&1.into(), &0.into(), &Value::Null)
    );
    assert_eq!(road(&told, "router", "openai/gpt-4o:free")["verdict"], "unknown", "nobody has a list price for it");
    assert_eq!(told.json()["roads"].as_array().unwrap().len(), 4, "direct providers are none: {}", told.out);
    assert_eq!(told.json()["direct_calls"], 10);
    // Without the configuration, answers that name their server tell the router; `team` asks for its own price.
    let untold = run(&[]);
    assert_eq!(road(&untold, "router", "openai/gpt-4o")["saved"].to_string(), "0.003731875");
    let team = road(&untold, "team", "gpt-4o");
    assert!(team["verdict"] == "unknown" && team["reason"].as_str().unwrap().contains("--config"), "{team:#}");
}

/// So many calls a minute apart, from 2026-11-25 on.
fn calls(first: u32, count: u32, provider: &str, model: &str, more: &Value) -> String {
    let mut text = String::new();
    for n in first..first + count {
        let mut record = json!({
            "time": format!("2026-11-{:02}T{:02}:{:02}:00Z", 1 + n / 1440, n / 60 % 24, n % 60),
            "provider": provider,
            "model_sent": model,
            "outcome": "ok",
            "stream": false,
            "attempts": [{"provider": provider, "outcome": "ok", "ms": 900.0}],
            "tokens": {"input": 1},
        });
        for (key, value) in more.as_object().unwrap() {
            record[key] = value.clone();
        }
        text.push_str(&format!("{record}\n"));
    }
    text
}

fn cost(list: f64, effective: f64) -> Value {
    json!({ "list": list, "billed": effective, "effective": effective, "cost_source": "reported" })
}

fn advise(text: &str) -> Done {
    fed(std::path::Path::new("."), &["advise", "-", "--format", "json"], text).ok()
}

/// One direct provider, one router that charges 15 % more and adds 120 ms.
fn scenario(router: &Value) -> String {
    let with = |more: Value| {
        let mut all = router.clone();
        more.as_object().unwrap().iter().for_each(|(key, value)| all[key] = value.clone());
        all
    };
    let direct = json!({"cost": cost(1.0, 1.0), "stream": true, "ttft_ms": 400.0});
    let routed = with(json!({"cost": cost(1.0, 1.15), "stream": true, "ttft_ms": 520.0}));
    [
        calls(0, 50, "openai", "gpt-4o", &direct),
        calls(1_440 * 3, 100, "openrouter", "openai/gpt-4o-2024-08-06", &routed),
    ]
    .concat()
}

#[test]
fn fifteen_percent_and_120_ms_come_out_as_such() {
    let done = advise(&scenario(&json!({"served_by": "OpenAI"})));
    let road = road(&done, "openrouter", "openai/gpt-4o-2024-08-06");
    assert_eq!(road["verdict"], "go direct", "{road:#}");
    assert_eq!(road["saved"].to_string(), "15", "100 calls of 0.15");
    // From the first call to the last there are 3 days and 99 minutes.
    let want = 15.0 * 30.0 / (3.0 + 99.0 / 1440.0);
    assert!((road["saved_per_30_days"].as_f64().unwrap() - want).abs() < 1e-9, "{road:#}");
    let faster = road["time"]["faster_by_ms"].as_f64().unwrap();
    assert!((faster - 120.0).abs() < 6.0, "{faster}");
    assert_eq!(
        (&road["time"]["of"], &road["time"]["statistic"], &road["time"]["direct"]),
        (&"ttft".into(), &"p50".into(), &"openai".into())
    );
}

#[test]
fn what_the_router_did_for_it_is_weighed() {
    // Rescued by attempts: a direct provider failed first.
    let failed = json!({
        "attempts": [{"provider": "openai", "outcome": "upstream_error"}, {"provider": "openrouter", "outcome": "ok", "ms": 900.0}],
        "cost": cost(1.0, 1.15),
    });
    let text =
        scenario(&json!({"served_by": "OpenAI"})) + &calls(6_000, 7, "openrouter", "openai/gpt-4o-2024-08-06", &failed);
    let rescued = road(&advise(&text), "openrouter", "openai/gpt-4o-2024-08-06");
    assert_eq!(
        (&rescued["verdict"], &rescued["rescued_calls"], &rescued["saved"].to_string()),
        (&"weigh".into(), &7.into(), &"15".into())
    );
    // Served by another than the usual one.
    let azure = json!({"served_by": "Azure", "cost": cost(1.0, 1.15)});
    let text =
        scenario(&json!({"served_by": "OpenAI"})) + &calls(6_000, 7, "openrouter", "openai/gpt-4o-2024-08-06", &azure);
    let elsewhere = road(&advise(&text), "openrouter", "openai/gpt-4o-2024-08-06");
    assert_eq!((&elsewhere["verdict"], &elsewhere["served_elsewhere_calls"]), (&"weigh".into(), &7.into()));
    assert_eq!(elsewhere["compared_calls"], 100);
}

#[test]
fn slower_dearer_and_unknown_have_words_of_their_own() {
    let slow = json!({"cost": cost(1.0, 1.0), "stream": true, "ttft_ms": 900.0});
    let quick = json!({"cost": cost(1.0, 1.15), "stream": true, "ttft_ms": 300.0, "served_by": "OpenAI"});
    let text = calls(0, 30, "openai", "gpt-4o", &slow) + &calls(60, 30, "openrouter", "openai/gpt-4o", &quick);
    let slower = road(&advise(&text), "openrouter", "openai/gpt-4o");
    assert!(slower["verdict"] == "weigh" && slower["reason"].as_str().unwrap().contains("ms slower"), "{slower:#}");

    let cheaper = calls(0, 90, "openrouter", "openai/gpt-4o", &json!({"cost": cost(1.0, 0.9)}));
    let stay = road(&advise(&cheaper), "openrouter", "openai/gpt-4o");
    assert_eq!((&stay["verdict"], &stay["saved"].to_string()), (&"stay".into(), &"-9".into()));

    let unlisted = json!({"cost": {"list": null, "billed": 1, "effective": 1, "cost_source": "reported"}});
    let unknown =
        road(&advise(&calls(0, 90, "openrouter", "nobody/anything", &unlisted)), "openrouter", "nobody/anything");
    assert_eq!(
        (&unknown["verdict"], &unknown["saved"], &unknown["direct"]),
        (&"unknown".into(), &Value::Null, &Value::Null)
    );

    let plenty = [("openai", "gpt-4o", 1.0), ("openrouter", "openai/gpt-4o", 2.0)].map(|(provider, model, times)| {
        let call = |n: u32| {
            let attempts = json!([{"provider": provider, "outcome": "ok", "ms": f64::from(n + 1) * times}]);
            calls(n, 1, provider, model, &json!({"cost": cost(1.0, times), "attempts": attempts}))
        };
        (0..100).map(call).collect::<String>()
    });
    let time = road(&advise(&plenty.concat()), "openrouter", "openai/gpt-4o")["time"].clone();
    for (name, want) in [("routed_ms", 100.0), ("direct_ms", 50.0), ("routed_p95_ms", 190.0), ("direct_p95_ms", 95.0)] {
        let got = time[name].as_f64().unwrap();
        assert!((got / want - 1.0).abs() < 0.007, "{name}: {got} is not {want}");
    }
    assert_eq!(time["of"], "call");

    // Nineteen calls say nothing of time.
    let few = calls(0, 19, "openai", "gpt-4o", &json!({"cost": cost(1.0, 1.0)}))
        + &calls(60, 90, "openrouter", "openai/gpt-4o", &json!({"cost": cost(1.0, 1.15)}));
    let timeless = road(&advise(&few), "openrouter", "openai/gpt-4o");
    assert_eq!((&timeless["verdict"], &timeless["time"]), (&"go direct".into(), &Value::Null));
    assert!(timeless["reason"].as_str().unwrap().contains("time unknown"), "{timeless:#}");

    let none = fed(std::path::Path::new("."), &["advise", "-"], &calls(0, 3, "openai", "gpt-4o", &json!({}))).ok();
    assert_eq!(none.out, "No call went through a router; 3 went direct.\n");
}
