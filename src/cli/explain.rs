//! `faregate explain`: what would become of a call, and why. Asks the very table that `run` would use.

mod explanation;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use http::Method;

use super::print;
use crate::config::{self, Config, Surroundings};
use crate::dialect;
use crate::gateway;
use crate::http1::Headers;
use crate::routing::{CallFacts, HeaderLookup, RoutingTable, stable_hash};
use explanation::{Asked, Explanation};

/// Tell which route a call would take, which targets in which order, and why.
#[derive(Debug, Args)]
#[command(long_about = "Tell which route a call would take and why earlier ones do not match, which targets would be \
tried in which order and why, and which timeouts, retries and limits apply. Nothing is sent.

Without --config it explains the built-in defaults, as `faregate run` does. Keys need not be there.

Exit status: 0 when the call has a target, 1 when it has none or the file has errors, 2 for a wrong command line.")]
#[command(after_help = "Examples:
  faregate explain --config faregate.yaml --model gpt-4o
  faregate explain --config faregate.yaml --model claude-sonnet-4-5 --api messages --header 'x-team: search'
  faregate explain --config faregate.yaml --path /openai/v1/files --method GET
  faregate explain --config faregate.yaml --model gpt-4o --json | jq -r '.targets[].provider'")]
pub struct ExplainArgs {
    /// Configuration file, or a directory that holds `faregate.yaml`.
    #[arg(long, short, env = "FAREGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The model that the client asks for.
    #[arg(long, short, value_name = "NAME")]
    model: Option<String>,
    /// The API that is called, at its usual path.
    #[arg(long, value_enum, default_value_t = ApiName::Chat, conflicts_with = "path")]
    api: ApiName,
    /// The request's path instead, vendor prefix included: /openai/v1/chat/completions.
    #[arg(long, value_name = "PATH", value_parser = path)]
    path: Option<String>,
    /// The request's method.
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    method: Method,
    /// A request header; may be given many times.
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// The calling app: the name of its inbound key. Default: as the headers and the configuration say.
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// How the conversation starts, for routes that are sticky by conversation.
    #[arg(long, value_name = "TEXT", default_value = "")]
    conversation: String,
    /// Decides what is left to chance under `weighted`.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// APIs by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ApiName {
    Chat,
    Responses,
    Completions,
    Embeddings,
    Messages,
}

impl ApiName {
    const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Messages => "/v1/messages",
        }
    }
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("a path starts with `/`".into()) }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once([':', '=']).ok_or("write NAME: VALUE or NAME=VALUE")?;
    let name = name.trim();
    http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is not the name of a header"))?;
    Ok((name.to_owned(), value.trim().to_owned()))
}

struct Given<'a>(&'a [(String, String)]);

impl HeaderLookup for Given<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_bytes())
    }
}

/// Explains one call.
pub fn explain(args: &ExplainArgs) -> ExitCode {
    let config = match read(args) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::FAILURE;
        }
    };
    let providers = config::resolve(&config);
    let table = match RoutingTable::compile_resolved(&config, &providers, None) {
        Ok(table) => table,
        Err(errors) => {
            errors.iter().for_each(|error| eprintln!("{error}"));
            return ExitCode::FAILURE;
        }
    };
    let whole = args.path.as_deref().unwrap_or(args.api.path());
    let path = whole.split(['?', '#']).next().unwrap_or_default();
    let (vendor, rest) = table.split_prefix(path);
    let api = dialect::recognise(&args.method, rest);
    let headers = Headers::from_pairs(args.header.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())));
    let (dialect, operation) = gateway::dialect_and_operation(api.as_ref(), vendor.map(|v| &**v), &headers);
    let given = Given(&args.header);
    let app = app(args, &config, &given);
    let conversation = || stable_hash(args.conversation.as_bytes());
    let model: Option<Arc<str>> = args.model.as_deref().map(Arc::from);
    let facts = CallFacts {
        dialect,
        operation,
        model: model.as_ref(),
        path,
        vendor,
        app: &app,
        headers: &given,
        conversation: &conversation,
        seed: args.seed,
        now: Instant::now(),
    };
    let suffix = api.as_ref().map(|api| api.suffix);
    let asked = Asked { method: args.method.as_str(), facts: &facts, suffix };
    let explanation = Explanation::new(&config, &providers, &table, &asked);
    print(&if args.json { format!("{:#}\n", serde_json::json!(explanation)) } else { text::render(&explanation) });
    if explanation.is_served() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(args: &ExplainArgs) -> Result<Config, config::Problems> {
    let surroundings = Surroundings { elsewhere: true, ..Surroundings::process() };
    match &args.config {
        None => Ok(config::embedded_default(surroundings.env).0),
        Some(path) => config::check_file(&super::config_file(path), &surroundings).into_result(),
    }
}

fn app(args: &ExplainArgs, config: &Config, headers: &Given<'_>) -> String {
    let named = headers.header(&config.observe.app_header).and_then(|app| std::str::from_utf8(app).ok());
    let from_header = named.filter(|_| config.server.keys.is_empty()).map(str::to_owned);
    let from_environment = || std::env::var("FAREGATE_APP").ok().filter(|app| !app.is_empty());
    let chosen = args.app.clone().or(from_header).or_else(|| config.observe.app.clone()).or_else(from_environment);
    chosen.unwrap_or_else(|| "unknown".into())
}
