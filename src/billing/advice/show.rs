//! Advice for people and programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::judge::{Advice, Judged};
use crate::billing::report::{Cell, Dollars, aligned, printable};

/// Advice as a table, the reasons below.
pub fn table(advice: &Advice) -> String {
    let mut text = String::new();
    if advice.roads.is_empty() {
        let _infallible = writeln!(text, "No call went through a router; {} went direct.", advice.direct_calls);
        return text;
    }
    let head = [Cell::Left("MODEL".into()), Cell::Left("THROUGH".into()), Cell::Left("DIRECT".into())]
        .into_iter()
        .chain(["CALLS", "SAVES", "A MONTH", "FASTER BY", "RESCUED"].map(|name| Cell::Right(name.into())));
    let mut rows: Vec<Vec<Cell>> = vec![head.chain([Cell::Left("VERDICT".into())]).collect()];
    for road in &advice.roads {
        let money =
            |amount: Option<crate::chat::Money>| amount.map_or("unknown".into(), |amount| format!("{amount:.6}"));
        let faster = road.time.as_ref().map_or("unknown".into(), |time| {
            let ms = time.routed_ms - time.direct_ms;
            format!("{ms:.0} ms {}", time.of)
        });
        let names = [&*road.model, &*road.provider, road.direct.as_deref().unwrap_or("unknown")];
        let numbers = [
            road.calls.to_string(),
            money(road.saved),
            money(road.saved_month),
            faster,
            (road.rescued + road.elsewhere).to_string(),
        ];
        let cells = names.map(|name| Cell::Left(printable(name))).into_iter().chain(numbers.map(Cell::Right));
        rows.push(cells.chain([Cell::Left(road.verdict.as_str().into())]).collect());
    }
    text.push_str(&aligned(&rows));
    text.push('\n');
    for road in &advice.roads {
        let (model, provider) = (printable(&road.model), printable(&road.provider));
        let _infallible =
            writeln!(text, "{model} ({provider}): {}; {}.", road.verdict.as_str(), printable(&road.reason));
    }
    let _infallible = writeln!(text, "\n{}", scale(advice));
    if advice.left_out > 0 {
        let _infallible = writeln!(text, "{} calls of further models are left out.", advice.left_out);
    }
    text
}

/// What the dollars a month are made of.
fn scale(advice: &Advice) -> String {
    let Some((first, last)) = advice.span else { return "No calls.".into() };
    let days = last.since(first).as_secs_f64() / 86_400.0;
    format!(
        "Dollars of the {days:.1} days from {first} to {last}, and scaled to 30 days. SAVES is effective cost less list \
         price, without the calls that needed the router."
    )
}

#[derive(Serialize)]
struct Document<'a> {
    first: Option<String>,
    last: Option<String>,
    direct_calls: u64,
    left_out_calls: u64,
    roads: Vec<Road<'a>>,
}

#[derive(Serialize)]
struct Road<'a> {
    provider: &'a str,
    model: &'a str,
    direct: Option<&'a str>,
    verdict: &'static str,
    reason: &'a str,
    calls: u64,
    compared_calls: u64,
    saved: Option<Dollars>,
    saved_per_30_days: Option<Dollars>,
    rescued_calls: u64,
    served_elsewhere_calls: u64,
    time: Option<Time<'a>>,
}

#[derive(Serialize)]
struct Time<'a> {
    of: &'static str,
    statistic: &'static str,
    direct: &'a str,
    routed_ms: f64,
    direct_ms: f64,
    faster_by_ms: f64,
    routed_p95_ms: Option<f64>,
    direct_p95_ms: Option<f64>,
}

/// Advice as one JSON object.
///
/// # Errors
/// None that could happen: everything in it can be written.
pub fn json(advice: &Advice) -> Result<String, serde_json::Error> {
    let document = Document {
        first: advice.span.map(|(first, _)| first.to_string()),
        last: advice.span.map(|(_, last)| last.to_string()),
        direct_calls: advice.direct_calls,
        left_out_calls: advice.left_out,
        roads: advice.roads.iter().map(road).collect(),
    };
    serde_json::to_string_pretty(&document).map(|text| text + "\n")
}

fn road(judged: &Judged) -> Road<'_> {
    // Percentiles are within half a percent: more digits would say nothing.
    let tenth = |ms: f64| (ms * 10.0).round() / 10.0;
    Road {
        provider: &judged.provider,
        model: &judged.model,
        direct: judged.direct.as_deref(),
        verdict: judged.verdict.as_str(),
        reason: &judged.reason,
        calls: judged.calls,
        compared_calls: judged.compared,
        saved: judged.saved.map(Dollars),
        saved_per_30_days: judged.saved_month.map(Dollars),
        rescued_calls: judged.rescued,
        served_elsewhere_calls: judged.elsewhere,
        time: judged.time.as_ref().map(|time| Time {
            of: time.of,
            statistic: time.statistic.as_str(),
            direct: &time.direct,
            routed_ms: tenth(time.routed_ms),
            direct_ms: tenth(time.direct_ms),
            faster_by_ms: tenth(time.routed_ms - time.direct_ms),
            routed_p95_ms: time.p95_ms.map(|(routed, _)| tenth(routed)),
            direct_p95_ms: time.p95_ms.map(|(_, direct)| tenth(direct)),
        }),
    }
}
