//! One call, from accepted to its last byte. The gateway reports what happens; `Drop` settles it (see `settle`).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::attempt::Attempt;
use super::cost::Charge;
use super::meter::Meter;
use super::outcome::Outcome;
use super::paired::Pairing;
use super::request_id::RequestId;
use super::target::TargetMeter;
use super::trace::{CallTrace, TraceParent};
use crate::chat::{Money, ServiceTier, StatedCost, UsageReport};
use crate::dialect::{DialectId, Operation};
use crate::pricing::Assessment;
use crate::telemetry::names::{self, NameId};

/// What is known when a call is accepted.
#[derive(Debug, Clone)]
pub struct Opened {
    /// See [`RequestId::from_client`].
    pub request_id: RequestId,
    /// The client's dialect.
    pub dialect: DialectId,
    /// What it asks for.
    pub operation: Operation,
    /// When its head was complete.
    pub accepted: Instant,
    /// The client's `traceparent`, where it sent a valid one.
    pub trace: Option<TraceParent>,
    /// Its `tracestate`, which means something only beside a valid `traceparent`.
    pub trace_state: Option<Box<str>>,
}

/// What a call has cost so far, in money and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoFar {
    /// Billed, and fees on top; the inner `None` where it is not known, the outer one where the call costs nothing by
    /// its nature.
    pub cost: Option<Option<Money>>,
    /// At the list price; `None` as for `cost`.
    pub list_cost: Option<Option<Money>>,
    /// Streams: from the request sent to the first content.
    pub ttft: Option<Duration>,
    /// Time inside Faregate.
    pub overhead: Duration,
}

/// The record of one call. Reported exactly once, when it is dropped: a call that was dropped without an outcome is
/// one whose client went away.
pub struct Exchange {
    pub(super) call: Box<Call>,
}

pub(super) struct Call {
    pub(super) meter: Arc<Meter>,
    pub(super) opened: Opened,
    pub(super) trace: Option<CallTrace>,
    pub(super) app: NameId,
    /// The app's own name, where it is not the label's.
    pub(super) app_name: Option<Box<str>>,
    pub(super) asked: Option<Arc<str>>,
    /// The model that targets without one of their own are sent, where it is not the asked one.
    pub(super) renamed: Option<Arc<str>>,
    pub(super) served: Option<Box<str>>,
    pub(super) stream: bool,
    pub(super) passed_through: bool,
    pub(super) bytes_in: usize,
    pub(super) bytes_out: usize,
    pub(super) route: Option<Arc<str>>,
    pub(super) body_complete: Option<Instant>,
    pub(super) attempts: SmallVec<[Attempt; 2]>,
    /// Body complete to request sent, over all attempts; `None` until the body is complete and an attempt begun.
    pub(super) request_overhead: Option<Duration>,
    pub(super) response_overhead: Option<Duration>,
    pub(super) first_content: Option<Instant>,
    pub(super) last_content: Option<Instant>,
    pub(super) usage: UsageReport,
    pub(super) charge: Charge,
    pub(super) router: super::router::RouterPart,
    /// The provider's last byte arrived.
    pub(super) answer_complete: Option<Instant>,
    /// Its part in a comparison with a direct target.
    pub(super) pairing: Option<Pairing>,
    /// What the call costs, once somebody has asked.
    pub(super) assessed: Option<Option<(Assessment, Option<u64>)>>,
    pub(super) ended: Option<(Outcome, u16)>,
    pub(super) last_sent: Option<Instant>,
}

impl Exchange {
    pub(super) fn new(meter: Arc<Meter>, opened: Opened) -> Self {
        let call = Call {
            trace: CallTrace::begin(opened.trace, meter.sample()),
            app: meter.default_app,
            app_name: None,
            asked: None,
            renamed: None,
            served: None,
            stream: false,
            passed_through: false,
            bytes_in: 0,
            bytes_out: 0,
            route: None,
            body_complete: None,
            attempts: SmallVec::new(),
            request_overhead: None,
            response_overhead: None,
            first_content: None,
            last_content: None,
            usage: UsageReport::Unknown,
            charge: Charge::default(),
            router: Default::default(),
            answer_complete: None,
            pairing: None,
            assessed: None,
            ended: None,
            last_sent: None,
            opened,
            meter,
        };
        Self { call: Box::new(call) }
    }

    /// The id to send to client and provider.
    pub fn request_id(&self) -> &str {
        self.call.opened.request_id.as_str()
    }

    /// The `traceparent` to send with the attempt that runs; `None` when the client sent none and no traces are
    /// recorded here.
    pub fn traceparent(&self) -> Option<[u8; 55]> {
        let attempt = self.call.attempts.last().map(|attempt| attempt.span_id);
        self.call.trace.map(|trace| trace.outgoing(attempt).to_header())
    }

    /// [`Exchange::traceparent`] as text.
    pub fn traceparent_out(&self) -> Option<String> {
        self.traceparent().and_then(|header| String::from_utf8(header.into()).ok())
    }

    /// Attempts begun so far.
    pub fn attempts(&self) -> usize {
        self.call.attempts.len()
    }

    /// Who calls, as routes and metrics see it.
    pub fn app(&self) -> Arc<str> {
        self.call.meter.apps.name(self.call.app)
    }

    /// Who calls, where the client or its key says so.
    pub fn set_app(&mut self, app: &str) {
        let call = &mut *self.call;
        call.app = call.meter.apps.admit(app);
        call.app_name = (call.app == NameId::OTHER).then(|| names::clean(app).into());
    }

    /// What the request asks for: the model as the client named it, whether it wants a stream, the body's size.
    pub fn set_request(&mut self, model: Option<Arc<str>>, stream: bool, bytes: usize) {
        let call = &mut *self.call;
        call.asked = model.map(cleaned);
        call.stream = stream;
        call.bytes_in = bytes;
    }

    /// The model that goes to targets that name none, where that is not the asked one (an alias, a prefix taken off).
    /// Call it before [`Exchange::begin_attempt`].
    pub fn set_model_sent(&mut self, model: &Arc<str>) {
        self.call.renamed = Some(cleaned(Arc::clone(model)));
    }

    /// More of the request's body arrived, for bodies that stream through.
    pub fn add_received(&mut self, bytes: usize) {
        self.call.bytes_in = self.call.bytes_in.saturating_add(bytes);
    }

    /// The request's body is complete, now: the request's time inside Faregate begins.
    pub fn body_complete(&mut self) -> Instant {
        *self.call.body_complete.insert(Instant::now())
    }

    /// Whether the call goes on with a trace that the client began, so that its `tracestate` goes on too.
    pub fn continues_trace(&self) -> bool {
        self.call.opened.trace.is_some()
    }

    /// The route that was selected.
    pub fn set_route(&mut self, route: &Arc<str>) {
        self.call.route = Some(Arc::clone(route));
    }

    /// A try at a target begins, now. One that still runs ends as [`Outcome::Internal`].
    pub fn begin_attempt(&mut self, target: &Arc<TargetMeter>) -> Instant {
        let now = Instant::now();
        self.call.begin_attempt(target, now);
        now
    }

    /// Where the attempt goes, for its span.
    pub fn attempt_at(&mut self, host: &Arc<str>, port: u16) {
        if self.call.meter.spans.is_none() {
            return;
        }
        if let Some(attempt) = self.call.running() {
            attempt.server = Some((Arc::clone(host), port));
        }
    }

    /// The attempt has a connection; `connect` is the time that a new one took to set up (zero when reused).
    pub fn attempt_connected(&mut self, reused: bool, connect: Duration) {
        // A kept connection costs no time that would have to be told from our own.
        let now = if reused && connect.is_zero() { None } else { Some(Instant::now()) };
        self.call.attempt_connected(reused, connect, now);
    }

    /// The attempt's request was written to the provider to its last byte, after waiting so long for the provider to
    /// take it: the request's time inside Faregate ends.
    pub fn request_sent(&mut self, waited: Duration) {
        self.call.request_sent(waited, Instant::now());
    }

    /// The provider's response head arrived.
    pub fn response_head(&mut self, status: u16) {
        if let Some(attempt) = self.call.running() {
            attempt.status = Some(status);
        }
    }

    /// The attempt that runs has ended. Does nothing when none runs.
    pub fn end_attempt(&mut self, outcome: Outcome) {
        let now = self.call.last_sent.unwrap_or_else(Instant::now);
        self.call.end_attempt(outcome, now);
    }

    /// One chunk from the provider went to the client and spent so long inside Faregate.
    pub fn chunk_in_out(&mut self, inside: Duration) {
        let sum = &mut self.call.response_overhead;
        *sum = Some(sum.map_or(inside, |sum| sum.saturating_add(inside)));
    }

    /// Content arrived, the last so far. The first report is that of the first content.
    pub fn content(&mut self, at: Instant) {
        self.call.content(at);
    }

    /// What the provider reported of its usage; the last report counts.
    pub fn set_usage(&mut self, usage: UsageReport) {
        self.call.usage = usage;
    }

    /// What the answer says of money.
    pub fn set_charge(&mut self, stated: Option<StatedCost>, tier: ServiceTier, served_by: Option<&str>) {
        self.call.charge = Charge { stated, tier, served_by: served_by.map(|name| names::clean(name).into()) };
    }

    /// The model that the provider says it served.
    pub fn set_served_model(&mut self, model: &str) {
        self.call.served = Some(names::clean(model).into());
    }

    /// What can be told of the call before its last bytes go out. Usage, charge and model must be known by now.
    pub fn so_far(&mut self) -> SoFar {
        let call = &mut *self.call;
        let assessed = call.assessed().map(|(it, _)| (it.effective.ok(), it.list.ok()));
        let overhead = call.request_overhead.unwrap_or_default() + call.response_overhead.unwrap_or_default();
        SoFar {
            cost: assessed.map(|(effective, _)| effective),
            list_cost: assessed.map(|(_, list)| list),
            ttft: call.ttft(),
            overhead,
        }
    }

    /// Bytes of the request's body so far.
    pub fn bytes_in(&self) -> usize {
        self.call.bytes_in
    }

    /// So many bytes of the answer's body went to the client.
    pub fn add_sent(&mut self, bytes: usize) {
        self.call.bytes_out = self.call.bytes_out.saturating_add(bytes);
    }

    /// The client has been sent the last byte that it will get, at this time. Without this report, that is when the
    /// exchange is dropped.
    pub fn last_sent(&mut self, at: Instant) {
        self.call.last_sent = Some(at);
    }

    /// How the call ended, and the status that the client was sent. An attempt that still runs ends in the same way.
    pub fn set_outcome(&mut self, outcome: Outcome, status: u16) {
        self.call.ended = Some((outcome, status));
    }
}

/// [`names::clean`], of a name that nearly always stays as it is.
fn cleaned(name: Arc<str>) -> Arc<str> {
    match names::clean(&name) {
        Cow::Borrowed(whole) if whole.len() == name.len() => name,
        cut => cut.into(),
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.call.settle();
    }
}
