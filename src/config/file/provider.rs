//! `providers`: where calls can go, how the key is sent, and what the connection needs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::formats::{BaseUrl, FilePath, Glob, HeaderName, HeaderValue, ProxyUrl};
use super::defaults::Timeouts;
use super::dialect::DialectName;
use super::secret::SecretSource;
use super::simulate::Simulate;

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
    /// Ask a router what it did: who served the call, from where, and how long that took. What it adds to answers for
    /// this is taken out again unless the client asked for it itself. Default: on where the preset knows how to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_metadata: Option<bool>,
    /// Models that this provider serves, as globs; used where no route matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Glob>>")]
    pub models: Option<Vec<String>>,
    /// Settings of the built-in simulated provider (`preset: simulated`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulate: Option<Simulate>,
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
