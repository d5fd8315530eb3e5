//! `observe`: logs, usage records, traces, and what answers tell.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::formats::{BaseUrl, FilePath, HeaderName, Name};
use super::secret::SecretSource;

/// Logs, usage records, traces, attribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Observe {
    /// Log lines on standard error.
    pub log: Log,
    /// One JSON line per call.
    pub usage_records: Option<UsageRecords>,
    /// The same records as OpenTelemetry log records, to a collector.
    pub usage_logs: Option<UsageLogs>,
    /// OpenTelemetry traces.
    pub traces: Option<Traces>,
    /// The `app` label of calls that name none. Default: the environment variable FAREGATE_APP, else `unknown`.
    #[schemars(with = "Option<Name>")]
    pub app: Option<String>,
    /// Request header that names the calling app. It is removed before the call goes upstream.
    #[schemars(with = "HeaderName")]
    pub app_header: String,
    /// Distinct values of the `app` label; further ones count as `other`.
    pub max_apps: usize,
    /// Send `x-faregate-*` headers to the client, and trailers where it takes them (`TE: trailers`).
    pub response_headers: bool,
    /// End event streams with a comment (`: x-faregate-cost=0.0012 ...`) that says what the call cost and how long it
    /// took, which parsers of event streams pass over. The only bytes that are ever added to a provider's stream.
    pub stream_comments: bool,
    /// Expose times under OpenTelemetry's names for generative AI (`gen_ai_client_operation_duration_seconds`, ...) too.
    pub gen_ai_metrics: bool,
}

/// Log lines on standard error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Text for people or JSON for machines.
    pub format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`) or a tracing filter such as `info,faregate::upstream=debug`.
    /// Default `info`; RUST_LOG wins.
    pub level: Option<String>,
    /// One line per call at level `info`.
    pub calls: bool,
}

/// Text for people or JSON for machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text.
    #[default]
    Text,
    /// JSON lines.
    Json,
}

/// One JSON line per call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageRecords {
    /// A file to append to, or `-` for standard output.
    #[schemars(with = "FilePath")]
    pub path: PathBuf,
}

/// Usage records as OpenTelemetry log records over OTLP/HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageLogs {
    /// The collector, such as `http://otel-collector:4318`.
    #[schemars(with = "BaseUrl")]
    pub endpoint: String,
    /// Headers sent to the collector, such as the one that holds its key; those of the environment variable
    /// OTEL_EXPORTER_OTLP_HEADERS are sent too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = { "format": "header-name" }))]
    pub headers: BTreeMap<String, SecretSource>,
}

/// OpenTelemetry traces over OTLP/HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// The collector, such as `http://otel-collector:4318`.
    #[schemars(with = "BaseUrl")]
    pub endpoint: String,
    /// Share of new traces that are kept, 0 to 1. A caller's own decision (`traceparent`) wins.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample: f64,
    /// Headers sent to the collector, such as the one that holds its key; those of the environment variable
    /// OTEL_EXPORTER_OTLP_HEADERS are sent too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = { "format": "header-name" }))]
    pub headers: BTreeMap<String, SecretSource>,
}

fn one() -> f64 {
    1.0
}

impl Default for Observe {
    fn default() -> Self {
        Self {
            log: Log::default(),
            usage_records: None,
            usage_logs: None,
            traces: None,
            app: None,
            app_header: "x-faregate-app".into(),
            max_apps: 200,
            response_headers: true,
            stream_comments: false,
            gen_ai_metrics: false,
        }
    }
}
