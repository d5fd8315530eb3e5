//! The usage record: one JSON line per call. Its fields are a public interface, documented in docs/usage-records.md;
//! `line` writes them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use smallvec::SmallVec;

use super::attempt::Attempt;
use super::cost::CostRecord;
use super::exchange::Call;
use super::outcome::Outcome;
use super::router::RouterRecord;
use crate::chat::{Usage, UsageReport};

/// One call, as it is written. Absent facts are `null`, never zero.
#[derive(Debug)]
pub struct Record<'a> {
    /// When the call was accepted.
    pub time: SystemTime,
    /// The id that client and provider were sent.
    pub request_id: &'a str,
    /// The id of the call that this is a duplicate of; none for calls of clients.
    pub probe_of: Option<&'a str>,
    /// The trace that the call belongs to, where there is one.
    pub trace_id: Option<u128>,
    /// Who called.
    pub app: Arc<str>,
    /// The client's wire format.
    pub dialect: &'static str,
    /// What it asked for.
    pub operation: &'static str,
    /// Whether it asked for a stream.
    pub stream: bool,
    /// The route that served it.
    pub route: Option<&'a str>,
    /// The provider of the last attempt.
    pub provider: Option<&'a str>,
    /// The model as the client named it.
    pub model_asked: Option<&'a str>,
    /// The model as it was sent to the provider.
    pub model_sent: Option<&'a str>,
    /// The model that the provider says it served.
    pub model_served: Option<&'a str>,
    /// How the call ended; the same set as in metrics.
    pub outcome: &'static str,
    /// The status that the client was sent.
    pub status: Option<u16>,
    /// Every try at a target, in order.
    pub attempts: SmallVec<[AttemptRecord<'a>; 2]>,
    /// Tokens by class; `None` where the provider reported none, or the report never arrived.
    pub tokens: Option<&'a Usage>,
    /// Where the tokens come from.
    pub usage_state: UsageState,
    /// What the call cost, where it could cost anything.
    pub cost: Option<CostRecord>,
    /// Who served the call behind a router, as the answer says.
    pub served_by: Option<&'a str>,
    /// What a router told of its own part, where one did.
    pub router: Option<RouterRecord<'a>>,
    /// The tier of service, as far as it decides the price.
    pub service_tier: &'static str,
    /// Streams: from the request sent to the provider to the first content.
    pub ttft: Option<Duration>,
    /// Streams: from the call accepted to the first content.
    pub client_ttft: Option<Duration>,
    /// From accepted to the last byte.
    pub duration: Duration,
    /// Time inside Faregate.
    pub overhead: Overhead,
    /// Size of the request's body.
    pub bytes_in: usize,
    /// Size of the answer's body as sent to the client.
    pub bytes_out: usize,
}

/// One try at a target.
#[derive(Debug)]
pub struct AttemptRecord<'a> {
    /// The provider.
    pub provider: &'a str,
    /// The model as it was sent.
    pub model: Option<&'a str>,
    /// How the attempt ended.
    pub outcome: &'static str,
    /// The provider's status, where it answered.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
}

/// Where a call's token counts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageState {
    /// The provider reported them.
    Reported,
    /// The provider reported them, but they do not add up to its total.
    Inconsistent,
    /// The answer broke off before the report; see docs/usage-records.md for what is estimated from what.
    Estimated,
    /// Nothing was reported.
    Unknown,
}

impl UsageState {
    /// The word in usage records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Inconsistent => "inconsistent",
            Self::Estimated => "estimated",
            Self::Unknown => "unknown",
        }
    }
}

/// Time inside Faregate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overhead {
    /// Body complete to request sent over all attempts, without connecting, waiting for the provider, and pauses.
    pub request: Option<Duration>,
    /// Each chunk of the answer from in to out, summed.
    pub response: Option<Duration>,
}

impl<'a> Record<'a> {
    pub(super) fn of(
        call: &'a Call,
        outcome: Outcome,
        status: Option<u16>,
        duration: Duration,
        cost: Option<CostRecord>,
    ) -> Self {
        let last = call.attempts.last();
        let (tokens, usage_state) = tokens(&call.usage);
        let app = match &call.app_name {
            Some(name) => Arc::from(&**name),
            None => call.meter.apps.name(call.app),
        };
        Self {
            time: call.opened.request_id.at(),
            request_id: call.opened.request_id.as_str(),
            probe_of: call.probe_of(),
            trace_id: call.trace.map(|trace| trace.trace_id()),
            app,
            dialect: call.opened.dialect.as_str(),
            operation: call.opened.operation.as_str(),
            stream: call.stream,
            route: call.route.as_deref().or(last.map(|attempt| &*attempt.target.route)),
            provider: last.map(|attempt| &*attempt.target.provider),
            model_asked: call.asked.as_deref(),
            model_sent: last.and_then(|attempt| call.model_sent(&attempt.target)),
            model_served: call.served.as_deref(),
            outcome: outcome.as_str(),
            status,
            attempts: call.attempts.iter().map(|attempt| attempt_record(call, attempt)).collect(),
            tokens,
            usage_state,
            cost,
            served_by: call.charge.served_by.as_deref(),
            router: call.router_record(),
            service_tier: call.charge.tier.as_str(),
            ttft: call.ttft(),
            client_ttft: call.client_ttft(),
            duration,
            overhead: Overhead {
                request: call.request_overhead.filter(|_| last.is_some_and(|a| a.sent.is_some())),
                response: call.response_overhead,
            },
            bytes_in: call.bytes_in,
            bytes_out: call.bytes_out,
        }
    }
}

fn attempt_record<'a>(call: &'a Call, attempt: &'a Attempt) -> AttemptRecord<'a> {
    let (outcome, took) = attempt.ended.unwrap_or((Outcome::Internal, Duration::ZERO));
    AttemptRecord {
        provider: &attempt.target.provider,
        model: call.model_sent(&attempt.target),
        outcome: outcome.as_str(),
        status: attempt.status,
        took,
    }
}

fn tokens(report: &UsageReport) -> (Option<&Usage>, UsageState) {
    match report {
        UsageReport::Unknown => (None, UsageState::Unknown),
        UsageReport::Reported(usage) => (Some(usage), UsageState::Reported),
        UsageReport::Inconsistent(usage) => (Some(usage), UsageState::Inconsistent),
        UsageReport::Estimated(usage) => (Some(usage), UsageState::Estimated),
    }
}
