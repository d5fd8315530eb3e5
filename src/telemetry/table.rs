//! The one table of every metric: name, help, type, labels, buckets.
//!
//! README, dashboards, alerts and rules use only names that stand here; `docs/metrics.md` is generated from it
//! (by `reference`). Base units, `_total` on counters, no rates or averages. A metric that nothing sets does not
//! belong here.

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows, until the process restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations, counted by these upper bounds in seconds (`+Inf` is added).
    Histogram(&'static [f64]),
}

/// One row of the table.
#[derive(Debug, PartialEq)]
pub struct Metric {
    /// Full name, unit and `_total` included.
    pub name: &'static str,
    /// What it counts, for `# HELP` and the reference.
    pub help: &'static str,
    /// Its type, and its buckets.
    pub kind: Kind,
    /// Names of its labels, in the order in which handles take their values.
    pub labels: &'static [&'static str],
}

const OVERHEAD: &[f64] =
    &[0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];
const TTFT: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];
const TPOT: &[f64] =
    &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0];
const DURATION: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
const CONNECT: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Those of the GenAI conventions.
const GEN_AI_DURATION: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const GEN_AI_TTFT: &[f64] =
    &[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const GEN_AI_TPOT: &[f64] = &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];

/// Declares the statics and the table together, so that no metric can be left out of the table.
macro_rules! table {
    ($($(#[$doc:meta])* $id:ident = $name:literal, $kind:expr, [$($label:literal),*], $help:literal;)*) => {
        $($(#[$doc])* #[doc = $help] pub static $id: Metric =
            Metric { name: $name, help: $help, kind: $kind, labels: &[$($label),*] };)*
        /// Every metric that this process can expose.
        pub static TABLE: &[&Metric] = &[$(&$id),*];
    };
}

table! {
    REQUESTS = "faregate_requests_total", Kind::Counter,
        ["app", "route", "provider", "model", "requested_model", "dialect", "stream", "outcome"],
        "Calls finished, by how they ended. route, provider and model are those of the last attempt, or `none`.";
    ATTEMPTS = "faregate_attempts_total", Kind::Counter, ["provider", "model", "outcome"],
        "Tries at targets, by how they ended; a call has one or more.";
    FALLBACKS = "faregate_fallbacks_total", Kind::Counter, ["route", "from", "to", "reason"],
        "A later target was tried after one failed. from and to are provider/model; reason is the outcome of the failed attempt.";
    IN_FLIGHT = "faregate_requests_in_flight", Kind::Gauge, ["dialect"],
        "Calls accepted and not finished yet.";
    DURATION_SECONDS = "faregate_request_duration_seconds", Kind::Histogram(DURATION),
        ["route", "provider", "model", "stream"],
        "From a call accepted to its last byte.";
    OVERHEAD_SECONDS = "faregate_overhead_seconds", Kind::Histogram(OVERHEAD), ["phase"],
        "Time spent inside Faregate, without waiting for client or provider. phase `request`: body complete to request sent, summed over the attempts, without connecting and without pauses between attempts; `response`: each upstream chunk from in to out, summed over the call.";
    TTFT_SECONDS = "faregate_time_to_first_token_seconds", Kind::Histogram(TTFT), ["route", "provider", "model"],
        "Streams only: from the request sent to the provider to the first content event of the answer.";
    TPOT_SECONDS = "faregate_time_per_output_token_seconds", Kind::Histogram(TPOT), ["provider", "model"],
        "Streams of more than one output token: (last content - first content) / (output tokens - 1).";
    CONNECT_SECONDS = "faregate_upstream_connect_seconds", Kind::Histogram(CONNECT), ["provider"],
        "Time to set up a new connection to a provider, TLS included.";
    CONNECTIONS = "faregate_upstream_connections_total", Kind::Counter, ["provider", "reused"],
        "Connections that attempts went over, new or reused.";
    ROUTER_HOP_SECONDS = "faregate_router_hop_seconds", Kind::Histogram(TTFT), ["provider"],
        "What a router itself added to a call, where it tells of its own time: request sent to the answer's last byte, less the generation as the router states it, less one network round trip (the kernel's shortest in five minutes). Never negative. Only calls of which all three are known: not through a proxy, not where the client took its answer slowly.";
    TOKENS = "faregate_tokens_total", Kind::Counter, ["app", "provider", "model", "class"],
        "Tokens as providers reported them, in classes that do not overlap.";
    USAGE_UNKNOWN = "faregate_usage_unknown_total", Kind::Counter, ["provider", "model"],
        "Calls answered with a 2xx status whose token usage never arrived; they are missing from faregate_tokens_total.";
    USAGE_INCONSISTENT = "faregate_usage_inconsistent_total", Kind::Counter, ["provider"],
        "Calls whose reported token counts do not add up to their reported total; counted as reported.";
    COST_USD = "faregate_cost_usd_total", Kind::Counter, ["app", "route", "provider", "model", "basis"],
        "Cost of calls in dollars. basis `list`: at the list price; `billed`: as the account is charged; `effective`: billed, and fees on top. Unpriced calls are missing, see faregate_unpriced_calls_total.";
    COMPARABLE_COST_USD = "faregate_comparable_cost_usd_total", Kind::Counter, ["app", "provider", "model", "basis"],
        "The same, only for calls whose list and effective cost are both known: their ratio less one is the markup.";
    UNPRICED_CALLS = "faregate_unpriced_calls_total", Kind::Counter, ["provider", "model", "reason"],
        "Answered calls without an effective cost. reason `no_price`: the price book has no price for them; `no_usage`: nobody knows what they used; `estimated`: a stream that broke off, whose usage is only estimated.";
    PRICE_CARD_AGE_SECONDS = "faregate_price_card_age_seconds", Kind::Gauge, ["provider"],
        "How old the facts are of the price card that priced the last call.";
    PAIRED_PROBES = "faregate_paired_probes_total", Kind::Counter, ["route", "result"],
        "Calls that were chosen for a duplicate to the route's direct target, by what became of it. `paired`: both answered; `call_failed`: the call did not end well at its first target, so there is nothing to compare; `probe_failed`: the duplicate did not. No duplicate was sent: `side_effects` (tools and the like), `busy` (too many at a time, or no memory for its body), `direct_down` (the direct target is ejected), `over_budget`, `unpriced` (nobody can tell what an earlier one cost, so nobody can keep the budget).";
    PAIRED_CALLS = "faregate_paired_calls_total", Kind::Counter, ["route", "provider", "model", "direct", "measure"],
        "Pairs of a call (at provider and model) and its duplicate (at direct: provider/model) of which both have the measure: `ttft` (streams: request sent to first content), `duration` (request sent to the answer's last byte), `cost` (effective).";
    PAIRED_SECONDS = "faregate_paired_seconds_total", Kind::Counter,
        ["route", "provider", "model", "direct", "measure", "side"],
        "Sums over the pairs of faregate_paired_calls_total, by side: `routed` or `direct`.";
    PAIRED_SECONDS_SQUARED = "faregate_paired_seconds_squared_total", Kind::Counter,
        ["route", "provider", "model", "direct", "measure"],
        "Sums of squares of the pairs' differences, for the confidence interval of their mean.";
    PAIRED_COST_USD = "faregate_paired_cost_usd_total", Kind::Counter, ["route", "provider", "model", "direct", "side"],
        "Effective cost in dollars over the pairs whose two costs are known, by side: `routed` or `direct`.";
    PAIRED_COST_USD_SQUARED = "faregate_paired_cost_usd_squared_total", Kind::Counter,
        ["route", "provider", "model", "direct"],
        "Sums of squares of the pairs' differences in dollars.";
    PAIRED_PROBE_COST_USD = "faregate_paired_probe_cost_usd_total", Kind::Counter,
        ["route", "provider", "model", "basis"],
        "What duplicates cost, in dollars, by basis as in faregate_cost_usd_total, which does not hold them. They are no calls of clients and stand in no other metric than the connections to providers.";
    PAIRED_PROBE_CALLS = "faregate_paired_probe_calls_total", Kind::Counter, ["route", "provider", "model"],
        "Duplicates that were sent, by the direct target, whether or not their cost is known.";
    RECORDS_DROPPED = "faregate_usage_records_dropped_total", Kind::Counter, [],
        "Usage records lost because their file or pipe did not take them in time (disk full, pipe blocked).";
    LOG_LINES_DROPPED = "faregate_log_lines_dropped_total", Kind::Counter, [],
        "Log lines lost because standard error did not take them in time.";
    SPANS_EXPORTED = "faregate_trace_spans_exported_total", Kind::Counter, [],
        "Trace spans that the collector took.";
    SPANS_DROPPED = "faregate_trace_spans_dropped_total", Kind::Counter, ["reason"],
        "Trace spans lost: `queue_full` (the collector is too slow) or `export_failed` (it is away or refuses them).";
    TARGET_UP = "faregate_target_up", Kind::Gauge, ["provider", "model"],
        "1 when the target takes calls, 0 while it is ejected for its failures.";
    CONFIG_GENERATION = "faregate_config_generation", Kind::Gauge, [],
        "Generation of the routing table in use; grows by one with each reload.";
    CONFIG_INFO = "faregate_config_info", Kind::Gauge, ["hash"],
        "Always 1; hash is that of the configuration in use, equal on all processes that run the same one.";
    RELOAD_SUCCESS = "faregate_config_last_reload_success", Kind::Gauge, [],
        "1 when the last reload (or the start) took the configuration, 0 when it was refused and the old table kept.";
    RELOAD_TIMESTAMP = "faregate_config_last_reload_timestamp_seconds", Kind::Gauge, [],
        "When a configuration was last taken, Unix time.";
    RELOADS = "faregate_config_reloads_total", Kind::Counter, ["result"],
        "Attempts to load a configuration, the first at start included; result is `success` or `failure`.";
    CONTROL_SIDECARS = "faregate_control_sidecars", Kind::Gauge, ["table", "state"],
        "Sidecars connected to this control process, by the table that they should run (the namespace whose it is, `*` for the cluster's, `none`) and how they stand to it: `programmed` (they run it), `refused`, `pending`.";
    CONTROL_ANSWERS = "faregate_control_answers_total", Kind::Counter, ["result"],
        "What sidecars said of tables that they were given: `programmed` or `refused`.";
    CONTROL_PROGRAMMED_SECONDS = "faregate_control_programmed_seconds", Kind::Histogram(CONNECT), [],
        "From a table published to a sidecar saying that it runs it; only sidecars that were connected when it was published.";
    CONTROL_PUSHED_BYTES = "faregate_control_pushed_bytes_total", Kind::Counter, [],
        "Bytes of tables that were sent to sidecars, compressed.";
    CONTROL_CONNECTIONS = "faregate_control_connections_total", Kind::Counter, ["result"],
        "Connections of sidecars, by how they began: `accepted`; `full` (as many as may be), `tls`, `malformed`, `denied` (the token), `unreviewed` (nobody could tell whose the token is), `too_slow`, `gone`.";
    CONTROL_CONNECTIONS_ENDED = "faregate_control_connections_ended_total", Kind::Counter, ["reason"],
        "Connections of sidecars that were accepted, by how they ended: `closed` (by the sidecar), `expired` (its token; it comes again), `silent`, `slow` (it did not take what it was sent), `protocol`, `stopped` (this process).";
    CONTROL_TOKEN_REVIEWS = "faregate_control_token_reviews_total", Kind::Counter, ["result"],
        "Tokens of sidecars: `good`, `denied`, `failed` (the API server did not tell), or `remembered` from a review not long ago.";
    CONTROL_CONNECTED = "faregate_control_connected", Kind::Gauge, [],
        "1 while this process is connected to control, 0 while it is not; only with `--control`.";
    CONTROL_CONTACT = "faregate_control_last_contact_timestamp_seconds", Kind::Gauge, [],
        "When control was last heard of, Unix time; only with `--control`.";
    TABLE_SOURCE = "faregate_table_source", Kind::Gauge, ["source"],
        "Always 1; where the routing table in use came from: `file`, `defaults` (what the keys in the environment allow), `control`, `last_known_good` (what control gave to an earlier process of this pod).";
    BUILD_INFO = "faregate_build_info", Kind::Gauge, ["version", "commit"],
        "Always 1; which build this is.";
    CONTROL_ADMISSIONS = "faregate_control_admissions_total", Kind::Counter, ["webhook", "result"],
        "Questions of the API server. webhook `inject`: pods, by what became of them: `injected`, `unchanged` (injected already), `left` (not asked for, or not possible), `denied`, `dry_run`; `validate`: routing tables: `accepted`, `denied`. Both: `malformed`, which is no question of this kind.";
    CONTROL_ADMISSION_SECONDS = "faregate_control_admission_seconds", Kind::Histogram(CONNECT), ["webhook"],
        "From the head of a question of the API server to the answer.";
    CONTROL_API_ERRORS = "faregate_control_api_errors_total", Kind::Counter, ["what"],
        "Requests to the API server that failed, by what they were for: `lease`, `certificates`, `namespaces`, `routing_tables`, `config_maps`, `status`, `events`, `pods`, `replicas`.";
    CONTROL_LEADER = "faregate_control_leader", Kind::Gauge, [],
        "1 while this control process leads: it renews certificates, writes statuses and counts pods.";
    CONTROL_CERTIFICATE_EXPIRY = "faregate_control_certificate_expiry_timestamp_seconds", Kind::Gauge, ["certificate"],
        "When a certificate of the control plane expires, Unix time: `serving`, or the `authority` that is trusted longest.";
    CONTROL_ROTATIONS = "faregate_control_certificate_rotations_total", Kind::Counter, ["certificate"],
        "Certificates that this control process has made, the first included: `certificate` or `authority`.";
    CONTROL_TABLES = "faregate_control_tables", Kind::Gauge, ["namespace", "kind", "name", "state"],
        "Always 1 for each RoutingTable and labelled ConfigMap, by its state: `accepted`, `refused` (the last good one stays), `unused` (another comes before it).";
    CONTROL_UNINJECTED_PODS = "faregate_control_uninjected_pods", Kind::Gauge, ["namespace"],
        "Pods that ask for the sidecar, by their label or their namespace's, could have it and have none. From the leader alone.";
    CONTROL_DECLINED_PODS = "faregate_control_declined_pods", Kind::Gauge, ["namespace", "reason"],
        "Pods that ask for the sidecar and are left as they are by a rule: `host_network`, `windows`, `static` (of a node), `namespace` (nothing is injected there). Not among the uninjected. From the leader alone.";
    CONTROL_OUTDATED_PODS = "faregate_control_outdated_pods", Kind::Gauge, ["namespace"],
        "Injected pods whose sidecar is not what a pod would get now: they want a restart. From the leader alone.";
    GEN_AI_DURATION_SECONDS = "gen_ai_client_operation_duration_seconds", Kind::Histogram(GEN_AI_DURATION),
        ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type"],
        "As faregate_request_duration_seconds, for calls of a model that reached a provider; error_type is the outcome, empty for `ok`. Only with `observe.gen_ai_metrics`.";
    GEN_AI_TTFT_SECONDS = "gen_ai_server_time_to_first_token_seconds", Kind::Histogram(GEN_AI_TTFT),
        ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"],
        "As faregate_time_to_first_token_seconds. Only with `observe.gen_ai_metrics`.";
    GEN_AI_TPOT_SECONDS = "gen_ai_server_time_per_output_token_seconds", Kind::Histogram(GEN_AI_TPOT),
        ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"],
        "As faregate_time_per_output_token_seconds. Only with `observe.gen_ai_metrics`.";
    PROCESS_CPU = "process_cpu_seconds_total", Kind::Counter, [],
        "User and system CPU time of this process.";
    PROCESS_RSS = "process_resident_memory_bytes", Kind::Gauge, [],
        "Resident memory.";
    PROCESS_VIRTUAL = "process_virtual_memory_bytes", Kind::Gauge, [],
        "Virtual memory.";
    PROCESS_FDS = "process_open_fds", Kind::Gauge, [],
        "Open file descriptors.";
    PROCESS_MAX_FDS = "process_max_fds", Kind::Gauge, [],
        "Soft limit of open file descriptors.";
    PROCESS_THREADS = "process_threads", Kind::Gauge, [],
        "Threads of this process.";
    PROCESS_START = "process_start_time_seconds", Kind::Gauge, [],
        "When this process started, Unix time.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_follow_the_conventions() {
        let mut seen = std::collections::BTreeSet::new();
        for metric in TABLE {
            assert!(seen.insert(metric.name), "{} stands twice", metric.name);
            let prefixes = ["faregate_", "process_", "gen_ai_"];
            assert!(prefixes.iter().any(|prefix| metric.name.starts_with(prefix)), "{}", metric.name);
            let counter = metric.kind == Kind::Counter;
            assert_eq!(counter, metric.name.ends_with("_total"), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            if let Kind::Histogram(bounds) = metric.kind {
                assert!(metric.name.ends_with("_seconds"), "{}", metric.name);
                assert!(bounds.is_sorted() && bounds.first() > Some(&0.0), "{}", metric.name);
            }
        }
    }
}
