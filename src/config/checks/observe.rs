//! Logs, usage records, traces, attribution.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::advice;
use super::super::file::{Config, SecretSource};
use super::{Report, at, credentials, files, headers};

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

pub(super) fn check(config: &Config, report: &mut Report<'_, '_>) {
    let observe = &config.observe;
    if let Some(level) = &observe.log.level {
        filter(report, level);
    }
    if let Some(records) = observe.usage_records.as_ref().filter(|records| records.path != Path::new("-")) {
        files::parent(report, &at!["observe", "usage_records", "path"], &records.path);
    }
    if let Some(logs) = &observe.usage_logs {
        collector(report, "usage_logs", &logs.endpoint, &logs.headers);
    }
    if let Some(traces) = &observe.traces {
        collector(report, "traces", &traces.endpoint, &traces.headers);
        if traces.sample == 0.0 {
            let message = "no new trace is kept; only callers that ask for one get theirs";
            report.warn(&at!["observe", "traces", "sample"], message, "");
        }
    }
    if headers::is_taken(&observe.app_header) {
        let message = format!("`{}` means something else already", observe.app_header);
        report.error(&at!["observe", "app_header"], message, "choose a header of your own, such as x-faregate-app");
    }
    if observe.max_apps > 10_000 {
        let message = "each app has its own time series: this many make metrics slow and large";
        report.warn(&at!["observe", "max_apps"], message, "a few hundred serve most; the rest counts as `other`");
    }
}

fn collector(report: &mut Report<'_, '_>, key: &'static str, endpoint: &str, headers: &BTreeMap<String, SecretSource>) {
    if endpoint.trim_end_matches('/').ends_with(":4317") {
        let advice = "collectors take OTLP/HTTP at port 4318";
        let message = format!("4317 is the port of OTLP over gRPC; {key} are sent over HTTP");
        report.warn(&at!["observe", key, "endpoint"], message, advice);
    }
    for (name, source) in headers {
        credentials::source(report, &at!["observe", key, "headers", name], source);
    }
}

/// A lone word that is no level would silently be a filter on a module of that name.
fn filter(report: &mut Report<'_, '_>, level: &str) {
    let path = at!["observe", "log", "level"];
    let lone = level.bytes().all(|b| b.is_ascii_alphanumeric());
    if lone && !LEVELS.iter().any(|l| l.eq_ignore_ascii_case(level)) {
        let near = advice::nearest(level, LEVELS);
        let advice =
            near.map_or_else(|| format!("it can be {}", advice::list(LEVELS)), |l| format!("did you mean `{l}`?"));
        report.error(&path, format!("there is no level `{level}`"), advice);
    } else if tracing_subscriber::EnvFilter::builder().parse(level).is_err() {
        report.error(&path, "this is no filter", "such as `info` or `info,faregate::upstream=debug`");
    }
}
