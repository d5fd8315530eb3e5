//! The table of metrics as a page for people: `docs/metrics.md`.

use std::fmt::Write;

use super::table::{Kind, Metric, TABLE};

const INTRODUCTION: &str = "\
# Metrics

Generated from `src/telemetry/table.rs` by `faregate metrics > docs/metrics.md`; a test fails when it is stale.

`GET /metrics` on the admin port, Prometheus text format 0.0.4. Base units, `_total` on counters, no rates or averages.
Histograms have classic buckets, in seconds. There are no native histograms, whatever a scraper negotiates: they need
the protobuf exposition, and the `prometheus` crate (0.14) has neither their fields in its protobuf nor a metric
that fills them. The buckets below are what to build quantiles on.

| label | values |
|---|---|
| `app` | who called: the inbound key's name, else the request header `observe.app_header` (default `x-faregate-app`), else `observe.app` or the environment variable FAREGATE_APP, else `unknown`. The first `observe.max_apps` (200) names, then `other` |
| `route` | the route's name in the configuration; `none` where a call reached no route |
| `provider` | the provider's name in the configuration; `none` where no attempt was made |
| `model` | the model that the target names; for targets that take whatever is asked, a name that the provider has served before (500 at most), else `other`; `none` where no attempt was made. In `faregate_target_up` it is `any` for such targets |
| `requested_model` | the model as the client named it, where that is the `model` too or a name that the configuration spells out (an alias, or what a route, target or provider names without a glob), else `other`; `none` where the call names no model. Only on `faregate_requests_total` |
| `dialect` | the wire format that the client speaks, by its name in the configuration; `opaque` where it is none that is read |
| `stream` | `true` when the client asked for a stream |
| `outcome`, `reason` | by fault domain: `ok`, `client_invalid`, `client_disconnected`, `policy_denied`, `policy_rate_limited`, `policy_over_budget`, `no_route`, `upstream_connect`, `upstream_timeout`, `upstream_rate_limited`, `upstream_error`, `upstream_rejected`, `stream_broken`, `internal` |
| `source` | where a table came from: `file`, `defaults`, `control`, `last_known_good` |
| `table`, `state` | of a control process: the namespace whose table it is (`*`: the cluster's), and how sidecars stand to it |
| `class` | token classes that do not overlap: `input`, `cache_read`, `cache_write_5m`, `cache_write_1h`, `output`, `reasoning`, `audio_input`, `audio_output`, `image_input` |

No label ever holds a prompt, a key, a user or free text. A series appears when it is first counted.
A request that is no proper HTTP (a head that cannot be parsed) is answered and is no call: nothing counts it.

";

/// The page.
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    out.push_str("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for metric in TABLE {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let _infallible =
            writeln!(out, "| `{}` | {} | {} | {} |", metric.name, kind(metric), labels.join(", "), metric.help);
    }
    out.push_str("\n## Buckets\n\n| metric | upper bounds in seconds |\n|---|---|\n");
    for metric in TABLE {
        if let Kind::Histogram(bounds) = metric.kind {
            let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
            let _infallible = writeln!(out, "| `{}` | {} |", metric.name, bounds.join(", "));
        }
    }
    out
}

fn kind(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    }
}
