//! Every key that a configuration file may hold. Unknown keys are errors. Doc comments become the JSON Schema's
//! descriptions, so they speak to the file's author.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::formats::{
    BaseUrl, Decimal, EnvName, FilePath, Glob, HeaderName, HeaderValue, Name, PathPrefix, ProxyUrl, SocketAddress,
};
use super::prices::{Amount, Prices};
use super::units::{Size, Span};

/// A Faregate configuration file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Listeners, limits and inbound keys. Changes here and in `observe` need a restart; all else reloads.
    pub server: Server,
    /// Logs, usage records, traces, attribution.
    pub observe: Observe,
    /// What routes and providers inherit.
    pub defaults: Defaults,
    /// Where calls can go, by a name of your choice.
    pub providers: BTreeMap<String, Provider>,
    /// Prices of your own, and how credit is bought.
    pub prices: Prices,
    /// Model aliases: the name that clients ask for -> the name that routes see.
    pub aliases: BTreeMap<String, String>,
    /// Tried in order; the first that matches a call serves it. Calls that no route matches go to the provider that
    /// the path or a `provider/model` name names, else to the first provider whose `models` match.
    pub routes: Vec<Route>,
}

/// Listeners, limits and inbound keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address of the API.
    #[schemars(with = "SocketAddress")]
    pub listen: SocketAddr,
    /// Address of health, metrics and admin pages. Keep it private.
    #[schemars(with = "SocketAddress")]
    pub admin: SocketAddr,
    /// Serve the API over TLS (HTTP/1.1, and HTTP/2 by ALPN).
    pub tls: Option<ServerTls>,
    /// Inbound keys. Without any, the API is open and may listen on loopback only.
    pub keys: Vec<InboundKey>,
    /// Allow a public address without inbound keys.
    pub allow_open: bool,
    /// Worker threads; 0 means one per core.
    pub workers: usize,
    /// Limits that protect this process.
    pub limits: Limits,
    /// How long a slow client may take.
    pub client_timeouts: ClientTimeouts,
    /// How long calls in flight may go on after SIGTERM.
    pub grace: Span,
    /// What it means when a client closes its sending side while it waits for the answer.
    pub half_close: HalfClose,
    /// Unix socket over which a new process takes over the listeners: `faregate run --upgrade`, or SIGUSR2 to the
    /// running process. No call is dropped.
    #[schemars(with = "Option<FilePath>")]
    pub upgrade_socket: Option<PathBuf>,
}

/// What a client's half-close means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HalfClose {
    /// The client is gone: cancel the upstream call (and its cost).
    #[default]
    Cancel,
    /// The client may still read: finish the call.
    Serve,
}

/// Certificate and key of the API listener, PEM files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// Certificate chain.
    #[schemars(with = "FilePath")]
    pub certificate: PathBuf,
    /// Private key.
    #[schemars(with = "FilePath")]
    pub key: PathBuf,
}

/// A key that clients must present as `Authorization: Bearer`, `x-api-key` or `api-key`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InboundKey {
    /// Becomes the `app` label of calls made with this key.
    #[schemars(with = "Name")]
    pub name: String,
    /// Where the key itself stands.
    pub key: SecretSource,
}

/// Where a secret stands. Exactly one of the keys is given.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("writeOnly" = true))]
pub struct SecretSource {
    /// An environment variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<EnvName>")]
    pub env: Option<String>,
    /// A file, read again when it changes; surrounding white space is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<FilePath>")]
    pub file: Option<PathBuf>,
    /// The secret itself, in the open. For tests and throw-away keys only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("writeOnly" = true))]
    pub insecure_inline: Option<String>,
}

impl SecretSource {
    /// The secret, without surrounding white space; `None` when it cannot be read or is empty.
    pub fn read(&self, env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let text = match self {
            Self { file: Some(path), .. } => std::fs::read_to_string(path).ok(),
            Self { env: Some(name), .. } => env(name),
            Self { insecure_inline, .. } => insecure_inline.clone(),
        }?;
        let secret = text.trim();
        (!secret.is_empty()).then(|| secret.to_owned())
    }
}

/// Shows where the secret stands, never the secret.
impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretSource")
            .field("env", &self.env)
            .field("file", &self.file)
            .field("insecure_inline", &self.insecure_inline.as_ref().map(|_| "[secret]"))
            .finish()
    }
}

/// Limits that protect this process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Request line and headers: 431 beyond.
    pub head: Size,
    /// A request body that is read whole: 413 beyond. Uploads that stream through are not held and not limited.
    pub body: Size,
    /// All request bodies held at one time: 503 beyond.
    pub bodies_in_flight: Size,
    /// Calls at one time; 0 means no limit: 503 beyond.
    pub calls: usize,
    /// Client connections at one time; 0 means no limit.
    pub connections: usize,
}

/// How long a slow client may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientTimeouts {
    /// From a request's first byte to the end of its headers. A TLS handshake may take as long.
    pub head: Span,
    /// Between two reads of a request body.
    pub body: Span,
    /// Between requests on a kept connection.
    pub idle: Span,
    /// A client that does not take its answer: how long one write may wait.
    pub write: Span,
}

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

/// What routes and providers inherit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// Timeouts of upstream calls.
    pub timeouts: Timeouts,
    /// Retries and fallback.
    pub retry: Retry,
    /// When a target is taken out of service.
    pub health: Health,
}

/// Timeouts of upstream calls. What is left out is inherited: route, then provider, then defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// TCP and TLS connect. Default 5s.
    pub connect: Option<Span>,
    /// From the request sent to the response's first byte. Default 120s.
    pub first_byte: Option<Span>,
    /// Between two chunks of a response. Default 120s.
    pub idle: Option<Span>,
    /// The whole call with all its attempts. Calls that are passed through unread (uploads, downloads, tunnels) may take as
    /// long as they go on: `idle` bounds them. Default 600s.
    pub total: Option<Span>,
}

/// Retries and fallback.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Outcomes after which the next attempt is made. Default: all.
    pub on: Option<Vec<RetryOn>>,
    /// Attempts at one target before the next target is tried. Default 1.
    #[schemars(range(min = 1, max = 100))]
    pub attempts_per_target: Option<u32>,
    /// Attempts in all. Default 4.
    #[schemars(range(min = 1, max = 1000))]
    pub max_attempts: Option<u32>,
    /// Wait before a further attempt at the same target, doubled each time, with full jitter. Default 200ms.
    pub backoff: Option<Span>,
    /// No wait is longer. Also the longest `Retry-After` that is honoured; a longer one moves on to the next target.
    /// Default 2s.
    pub max_backoff: Option<Span>,
    /// Further attempts at a provider that has just failed the same call, as a share of calls in the last ten seconds,
    /// before they stop. Default 0.2; at least 10 are always allowed. Falling back to another provider is not counted.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub budget: Option<f64>,
}

/// An outcome after which the next attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// No connection.
    Connect,
    /// No first byte in time.
    Timeout,
    /// 429.
    RateLimited,
    /// 500 to 599, 529 included.
    ServerError,
    /// The connection broke, or the answer was garbage, or an error event came in the stream, before any content.
    Broken,
    /// 401 or 403: the provider refuses our key.
    Unauthorized,
    /// 404: the provider does not know the model.
    NotFound,
}

/// When a target is taken out of service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// Failures in a row that eject a target. 0 turns this off. Default 5.
    pub consecutive_failures: Option<u32>,
    /// Share of failed calls, over the last minute and at least 20 calls, that ejects a target. Default 0.5.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub error_rate: Option<f64>,
    /// First ejection; doubled with each further one in a row. Default 5s.
    pub eject: Option<Span>,
    /// No ejection is longer. Default 300s.
    pub max_eject: Option<Span>,
}

/// A place that calls can go to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Provider {
    /// Start from a preset (`faregate presets` lists them). Default: the preset of the provider's own name, where there
    /// is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Base URL of the API, with its version: `https://api.example.com/v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BaseUrl>")]
    pub base_url: Option<String>,
    /// What `base_url` speaks. Default: as the preset, else `openai`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<DialectName>,
    /// Base URLs by dialect, for providers that speak several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<DialectName, BaseUrl>", extend("propertyNames" = { "$ref": "#/$defs/DialectName" }))]
    pub endpoints: BTreeMap<DialectName, String>,
    /// The key. Default: the preset's environment variable. Without any, the client's own key goes through when the
    /// call was addressed to this provider by its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// How the key is sent. Default: as the preset, else `bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthScheme>,
    /// Headers set on every call; they replace the client's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, HeaderValue>", extend("propertyNames" = { "format": "header-name" }))]
    pub headers: BTreeMap<String, String>,
    /// Trust and client certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,
    /// HTTP version towards the provider. Default `1.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpVersion>,
    /// Egress HTTP proxy, `http://[user:password@]host:port`, or `none`. Default: HTTPS_PROXY / HTTP_PROXY and NO_PROXY.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ProxyUrl>")]
    pub proxy: Option<String>,
    /// Timeouts of calls to this provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// Connections at one time; further calls count as `upstream_connect` failures and fall back. 0 means no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<usize>,
    /// Idle connections kept. Default 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_idle: Option<usize>,
    /// Whether streams report usage. Default: as the preset, else `ask`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_usage: Option<StreamUsage>,
    /// Models that this provider serves, as globs; used where no route matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Glob>>")]
    pub models: Option<Vec<String>>,
    /// Settings of the built-in simulated provider (`preset: simulated`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulate: Option<Simulate>,
}

/// A wire format of an LLM API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DialectName {
    /// OpenAI: chat completions, responses, completions, embeddings.
    Openai,
    /// Anthropic: messages.
    Anthropic,
    /// Anything else: passed through unread under the provider's path prefix.
    Opaque,
}

impl DialectName {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::Opaque => "opaque",
        }
    }
}

/// A provider's key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", untagged)]
#[schemars(extend("writeOnly" = true))]
pub enum Credentials {
    /// `none`: send no key.
    Word(CredentialsWord),
    /// Where the key stands.
    Secret(SecretSource),
}

/// A credential that is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialsWord {
    /// Send no key.
    None,
    /// Send the client's own key on, whichever provider the call was addressed to. Never across providers by default.
    Client,
}

/// How a key is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthScheme {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// The bare key in a header of this name.
    Header(#[schemars(with = "HeaderName")] String),
}

/// Trust and client certificate towards a provider; PEM files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientTls {
    /// CA certificates to trust instead of the system's.
    #[schemars(with = "Option<FilePath>")]
    pub ca: Option<PathBuf>,
    /// Client certificate chain.
    #[schemars(with = "Option<FilePath>")]
    pub certificate: Option<PathBuf>,
    /// Client key.
    #[schemars(with = "Option<FilePath>")]
    pub key: Option<PathBuf>,
    /// Name to expect in the provider's certificate (and SNI) instead of the URL's host.
    pub server_name: Option<String>,
}

/// HTTP version towards a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2 over TLS.
    #[serde(rename = "2")]
    Http2,
}

/// Whether an OpenAI chat stream reports usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamUsage {
    /// Only when asked (`stream_options.include_usage`): ask for it, and strip what the client did not ask for.
    Ask,
    /// Always.
    Always,
    /// Never, or the provider refuses the question.
    Never,
}

/// Settings of the built-in simulated provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Simulate {
    /// Time to the first byte.
    pub delay: Span,
    /// Speed of streams; 0 means as fast as it goes.
    pub tokens_per_second: u32,
    /// Length of an answer, in tokens.
    pub output_tokens: u32,
    /// Share of calls that fail, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub error_rate: f64,
    /// Status of failed calls.
    #[schemars(range(min = 400, max = 599))]
    pub error_status: u16,
    /// Price per million input tokens in dollars, stated in `usage.cost`, as a decimal such as "0.15".
    #[schemars(with = "Option<Decimal>")]
    pub input_price: Option<String>,
    /// Price per million output tokens in dollars.
    #[schemars(with = "Option<Decimal>")]
    pub output_price: Option<String>,
    /// Seed of the text and of failures.
    pub seed: u64,
}

/// Which calls go where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Shown in metrics, logs and `x-faregate-route`.
    #[schemars(with = "Name")]
    pub name: String,
    /// Conditions; all that are given must hold. Left out: matches every call.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// How targets are chosen.
    #[serde(default)]
    pub strategy: Strategy,
    /// Keeps a conversation at one target (`weighted` only).
    #[serde(default)]
    pub sticky: Option<Sticky>,
    /// Where the call may go.
    #[schemars(length(min = 1))]
    pub targets: Vec<Target>,
    /// Retries of this route.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// Timeouts of this route.
    #[serde(default)]
    pub timeouts: Option<Timeouts>,
    /// Largest request body of this route.
    #[serde(default)]
    pub max_body: Option<Size>,
    /// Calls of this route at one time: 429 beyond.
    #[serde(default)]
    pub max_calls: Option<usize>,
    /// What becomes of a stream whose client goes away.
    #[serde(default)]
    pub on_disconnect: OnDisconnect,
    /// Sends duplicates of some calls to a direct target, to measure what the route adds in time and money. The answers
    /// are read and thrown away. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
}

/// Duplicates of some calls, sent to a direct target to compare with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Where duplicates go: the name of a provider, or `provider/model`. Without a model: as asked (after aliases).
    #[schemars(with = "Name")]
    pub target: String,
    /// Share of the route's calls that are duplicated, above 0 and at most 1. Default 0.01.
    #[serde(default = "Probe::share")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f64,
    /// Dollars that duplicates may cost a day (UTC), by this process. Default 1.00.
    #[serde(default = "Probe::budget")]
    pub budget_usd_per_day: Amount,
    /// Duplicate calls that have side effects too: tools, functions, MCP servers, web search, stored and background
    /// responses. They then happen twice.
    #[serde(default)]
    pub tools: bool,
}

impl Probe {
    fn share() -> f64 {
        0.01
    }

    fn budget() -> Amount {
        Amount("1.00".into())
    }

    /// The provider and the model that the target names. A provider's name may hold a `/` itself.
    pub fn provider_and_model<'p>(&'p self, providers: &BTreeMap<String, Provider>) -> (&'p str, Option<&'p str>) {
        let target = self.target.as_str();
        if providers.contains_key(target) {
            return (target, None);
        }
        let known = target.match_indices('/').find(|(at, _)| providers.contains_key(&target[..*at]));
        let cut = known.map(|(at, _)| at).or_else(|| target.find('/'));
        cut.map_or((target, None), |at| (&target[..at], Some(&target[at + 1..]).filter(|model| !model.is_empty())))
    }
}

/// What becomes of a stream whose client goes away before its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// The provider is told to stop, which most of them honour; the call's usage is estimated from what had come.
    #[default]
    Cancel,
    /// The rest is read for its usage, for at most 30 seconds, and thrown away. Costs what the whole answer costs.
    Drain,
}

/// Conditions of a route; all that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Model names or globs (`gpt-4*`), any of them; seen after aliases.
    pub model: OneOrMany,
    /// APIs, any of them.
    pub api: Vec<Api>,
    /// Request headers: name -> value or glob.
    #[schemars(with = "BTreeMap<String, Glob>", extend("propertyNames" = { "format": "header-name" }))]
    pub headers: BTreeMap<String, String>,
    /// Calling apps, or globs, any of them.
    pub app: OneOrMany,
    /// Start of the request's path.
    #[schemars(with = "Option<PathPrefix>")]
    pub path_prefix: Option<String>,
}

/// One string or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "OneOrManyForm")]
pub struct OneOrMany(pub Vec<String>);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrManyForm {
    One(#[schemars(with = "Glob")] String),
    Many(#[schemars(with = "Vec<Glob>")] Vec<String>),
}

impl From<OneOrManyForm> for OneOrMany {
    fn from(form: OneOrManyForm) -> Self {
        match form {
            OneOrManyForm::One(one) => Self(vec![one]),
            OneOrManyForm::Many(many) => Self(many),
        }
    }
}

/// An API as routes tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// OpenAI chat completions.
    Chat,
    /// OpenAI responses.
    Responses,
    /// OpenAI legacy completions.
    Completions,
    /// OpenAI embeddings.
    Embeddings,
    /// Anthropic messages.
    Messages,
    /// Anything else.
    Other,
}

/// How targets are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The lowest priority number first, in order of the file among equals.
    #[default]
    Fallback,
    /// Among targets of the lowest priority number, at random by weight; the others are fallbacks.
    Weighted,
}

/// Keeps a conversation at one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sticky {
    /// By the value of this request header.
    Header(#[schemars(with = "HeaderName")] String),
    /// By the start of the conversation (model, and the body up to and including the first user message).
    Conversation,
}

/// Where a call may go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name of a provider.
    #[schemars(with = "Name")]
    pub provider: String,
    /// The model's name at that provider. Default: as asked (after aliases).
    #[serde(default)]
    #[schemars(with = "Option<Name>")]
    pub model: Option<String>,
    /// Share under `weighted`. 0: never chosen first, still a fallback. Default 1.
    #[serde(default = "one_u32")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: u32,
    /// Lower comes first. Default: all equal.
    #[serde(default)]
    pub priority: u32,
}

fn one_u32() -> u32 {
    1
}

/// What holds where no layer says anything; the doc comments of the fields repeat it for the file's author.
impl Timeouts {
    /// `connect`
    pub const CONNECT: Span = Span::secs(5);
    /// `first_byte`
    pub const FIRST_BYTE: Span = Span::secs(120);
    /// `idle`
    pub const IDLE: Span = Span::secs(120);
    /// `total`
    pub const TOTAL: Span = Span::secs(600);
}

/// As for [`Timeouts`].
impl Retry {
    /// `attempts_per_target`
    pub const ATTEMPTS_PER_TARGET: u32 = 1;
    /// `max_attempts`
    pub const MAX_ATTEMPTS: u32 = 4;
    /// `backoff`
    pub const BACKOFF: Span = Span::millis(200);
    /// `max_backoff`
    pub const MAX_BACKOFF: Span = Span::secs(2);
}

/// As for [`Timeouts`].
impl Health {
    /// `eject`
    pub const EJECT: Span = Span::secs(5);
    /// `max_eject`
    pub const MAX_EJECT: Span = Span::secs(300);
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4000)),
            admin: SocketAddr::from(([127, 0, 0, 1], 4001)),
            tls: None,
            keys: Vec::new(),
            allow_open: false,
            workers: 0,
            limits: Limits::default(),
            client_timeouts: ClientTimeouts::default(),
            grace: Span::secs(30),
            half_close: HalfClose::default(),
            upgrade_socket: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: Size(64 << 10), body: Size(32 << 20), bodies_in_flight: Size(256 << 20), calls: 0, connections: 0 }
    }
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self { head: Span::secs(10), body: Span::secs(30), idle: Span::secs(120), write: Span::secs(60) }
    }
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

impl Default for Simulate {
    fn default() -> Self {
        Self {
            delay: Span::millis(0),
            tokens_per_second: 0,
            output_tokens: 50,
            error_rate: 0.0,
            error_status: 500,
            input_price: None,
            output_price: None,
            seed: 0,
        }
    }
}
