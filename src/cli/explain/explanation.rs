//! What is to be said of a call, as plain data: printed as text or as JSON.

use serde::Serialize;

use crate::config::file::{AuthScheme, Credentials, CredentialsWord, HttpVersion, RetryOn, Sticky, Strategy};
use crate::config::units::Span;
use crate::config::{Config, Presets, ResolvedProvider};
use crate::dialect::DialectId;
use crate::routing::{CallFacts, Candidate, Place, Route, RoutingTable, Selection, Stuck, Timeouts};

/// The call in question.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) facts: &'a CallFacts<'a>,
    /// What is joined to a base URL.
    pub(super) suffix: Option<&'a str>,
}

/// All that is to be said of it.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    pub(super) call: CallShown,
    /// The chain of aliases, where the model is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) alias: Vec<String>,
    /// Earlier routes, and what of them the call does not meet.
    pub(super) not_matched: Vec<NotMatched>,
    pub(super) route: Option<RouteShown>,
    /// In the order in which they are tried.
    pub(super) targets: Vec<TargetShown>,
    /// Targets of the route that do not speak the call's dialect.
    pub(super) passed_over: Vec<String>,
    /// Why the call has nowhere to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct CallShown {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) api: &'static str,
    pub(super) dialect: &'static str,
    pub(super) model: Option<String>,
    pub(super) app: String,
    /// The provider that the path names.
    pub(super) addressed_to: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct NotMatched {
    pub(super) route: String,
    pub(super) because: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct RouteShown {
    pub(super) name: String,
    pub(super) implicit: bool,
    pub(super) strategy: Strategy,
    pub(super) sticky: Option<Sticky>,
    /// Chance decides anew for each call.
    pub(super) drawn: bool,
    pub(super) total_timeout: String,
    pub(super) retry_on: Vec<RetryOn>,
    pub(super) max_attempts: u32,
    pub(super) attempts_per_target: u32,
    pub(super) backoff: String,
    pub(super) max_backoff: String,
    pub(super) retry_budget: f64,
    pub(super) max_body: usize,
    pub(super) max_calls: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) probe: Option<ProbeShown>,
}

/// Duplicates of calls to compare with.
#[derive(Debug, Serialize)]
pub(super) struct ProbeShown {
    pub(super) provider: String,
    pub(super) model: Option<String>,
    pub(super) share: f64,
    pub(super) budget_usd_per_day: String,
    pub(super) tools: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct TargetShown {
    pub(super) provider: String,
    pub(super) preset: Option<String>,
    pub(super) model: Option<String>,
    pub(super) url: String,
    pub(super) reason: String,
    /// The chance, among targets of its priority, to be tried first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) share: Option<f64>,
    pub(super) key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) http: Option<HttpVersion>,
    pub(super) connect_timeout: String,
    pub(super) first_byte_timeout: String,
    pub(super) idle_timeout: String,
}

impl Explanation {
    pub(super) fn new(
        config: &Config,
        providers: &[ResolvedProvider],
        table: &RoutingTable,
        asked: &Asked<'_>,
    ) -> Self {
        let facts = asked.facts;
        let selected = table.select(facts);
        let reached = selected.as_ref().map_or(usize::MAX, |s| s.route.index);
        let not_matched = table.mismatches(facts, reached).filter(|(_, because)| !because.is_empty());
        let mut this = Self {
            call: CallShown {
                method: asked.method.into(),
                path: facts.path.into(),
                api: facts.operation.as_str(),
                dialect: facts.dialect.as_str(),
                model: facts.model.map(|model| (**model).into()),
                app: facts.app.into(),
                addressed_to: facts.vendor.map(|v| v.name.to_string()),
            },
            alias: chain(config, facts.model.map(|model| &**model)),
            not_matched: not_matched
                .map(|(route, because)| NotMatched {
                    route: route.name.to_string(),
                    because: because.iter().map(ToString::to_string).collect(),
                })
                .collect(),
            route: None,
            targets: Vec::new(),
            passed_over: Vec::new(),
            error: None,
        };
        match selected {
            Ok(selection) => this.fill(config, providers, &selection, asked),
            Err(error) => this.error = Some(error.to_string()),
        }
        this
    }

    pub(super) fn is_served(&self) -> bool {
        !self.targets.is_empty()
    }

    fn fill(&mut self, config: &Config, providers: &[ResolvedProvider], selection: &Selection, asked: &Asked<'_>) {
        let dialect = asked.facts.dialect;
        let chosen = &selection.candidates;
        self.route = Some(RouteShown::new(config, &selection.route, chosen));
        let missing = |index| chosen.iter().all(|c| c.target.index != index);
        let over = selection.route.targets.iter().filter(|t| missing(t.index));
        self.passed_over =
            over.map(|t| format!("{} does not speak the {} dialect", t.provider.name, dialect.as_str())).collect();
        self.targets = chosen.iter().map(|c| TargetShown::new(selection, c, providers, asked)).collect();
    }
}

impl RouteShown {
    fn new(config: &Config, route: &Route, candidates: &[Candidate]) -> Self {
        let loose = |c: &Candidate| matches!(c.reason.place, Place::Weighted { sticky: Stuck::No, .. });
        Self {
            name: route.name.to_string(),
            implicit: route.implicit,
            strategy: route.strategy,
            sticky: route.sticky.clone(),
            drawn: candidates.len() > 1 && candidates.iter().any(loose),
            total_timeout: Span(route.timeouts.total).to_string(),
            retry_on: route.retry.on().collect(),
            max_attempts: route.retry.max_attempts,
            attempts_per_target: route.retry.attempts_per_target,
            backoff: Span(route.retry.backoff).to_string(),
            max_backoff: Span(route.retry.max_backoff).to_string(),
            retry_budget: route.retry.budget,
            max_body: route.max_body.unwrap_or(usize::MAX).min(config.server.limits.body.0),
            max_calls: route.calls.as_ref().map(|calls| calls.most()),
            probe: route.probe.as_ref().map(|probe| ProbeShown {
                provider: probe.target.provider.name.to_string(),
                model: probe.target.model.as_deref().map(Into::into),
                share: probe.share,
                budget_usd_per_day: probe.spending.limit().to_string(),
                tools: probe.tools,
            }),
        }
    }
}

impl TargetShown {
    fn new(selection: &Selection, candidate: &Candidate, providers: &[ResolvedProvider], asked: &Asked<'_>) -> Self {
        let provider = &candidate.target.provider;
        let dialect = asked.facts.dialect;
        let resolved = providers.iter().find(|p| *p.name == *provider.name);
        let url = match (&provider.simulated, provider.endpoint(dialect)) {
            (Some(_), _) => "in this process".to_owned(),
            (None, None) => "unknown".to_owned(),
            (None, Some(endpoint)) => {
                let scheme = if endpoint.tls { "https" } else { "http" };
                let suffix = asked.suffix.filter(|_| provider.speaks(dialect) && dialect != DialectId::Opaque);
                format!("{scheme}://{}{}{}", endpoint.authority, endpoint.base_path, suffix.unwrap_or_default())
            }
        };
        let share = match candidate.reason.place {
            Place::Weighted { weight, of, .. } if of > 0 => Some(f64::from(weight) / of as f64),
            _ => None,
        };
        let Timeouts { connect, first_byte, idle, .. } = candidate.target.timeouts;
        let addressed = asked.facts.vendor.is_some_and(|v| v.index == provider.index);
        Self {
            provider: provider.name.to_string(),
            preset: resolved.and_then(|p| p.preset.clone()),
            model: selection.model_for(candidate).map(Into::into),
            url,
            reason: candidate.reason.to_string(),
            share,
            key: match (&provider.config.credentials, resolved.and_then(|p| p.preset.as_deref())) {
                (None, Some(preset)) if !addressed => absent(preset),
                (credentials, _) => key(credentials.as_ref(), provider.auth(dialect), addressed),
            },
            http: provider.config.http,
            connect_timeout: Span(connect).to_string(),
            first_byte_timeout: Span(first_byte).to_string(),
            idle_timeout: Span(idle).to_string(),
        }
    }
}

/// Where the key comes from and in which header it goes; never the key.
fn key(credentials: Option<&Credentials>, auth: &AuthScheme, addressed: bool) -> String {
    let header = match auth {
        AuthScheme::Bearer => "authorization: Bearer",
        AuthScheme::Header(name) => name,
    };
    match credentials {
        None if addressed => "the client's own".into(),
        None | Some(Credentials::Word(CredentialsWord::None)) => "none".into(),
        Some(Credentials::Word(CredentialsWord::Client)) => "the client's own".into(),
        Some(Credentials::Secret(source)) => match (&source.env, &source.file) {
            (Some(name), _) => format!("{name}, as {header}"),
            (_, Some(file)) => format!("file {}, as {header}", file.display()),
            (None, None) => format!("inline, as {header}"),
        },
    }
}

/// A preset's key that is not in the environment here.
fn absent(preset: &str) -> String {
    match Presets::builtin().find(preset).map(|(_, preset)| preset.env.as_slice()) {
        Some([first, ..]) => format!("none: {first} is not set here"),
        _ => "none".into(),
    }
}

fn chain(config: &Config, model: Option<&str>) -> Vec<String> {
    let Some(model) = model.filter(|model| config.aliases.contains_key(*model)) else { return Vec::new() };
    let next = |name: &&str| config.aliases.get(*name).map(String::as_str);
    std::iter::successors(Some(model), next).take(config.aliases.len() + 1).map(Into::into).collect()
}
