//! The start of a call: who calls, what is asked, where it may go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;

use super::auth::KEY_HEADERS;
use super::budget::Held;
use super::downstream::Downstream;
use super::forward::Marks;
use super::live::{Gateway, Live};
use super::{attempts, passthrough, paths, rescue};
use crate::dialect::{self, ApiCall, DialectId, NativeCall, Operation, RequestFacts};
use crate::error::{ClientError, Kind};
use crate::http1::{Headers, RequestHead};
use crate::metering::{Exchange, Opened, RequestId, TraceParent};
use crate::routing::{CallFacts, HeaderLookup, Permit, Provider, Route, Selection};

/// What a call is, from its head on.
pub(super) struct Call<'a> {
    pub(super) gateway: &'a Arc<Gateway>,
    /// The table that this call began with.
    pub(super) live: Arc<Live>,
    pub(super) head: &'a RequestHead,
    /// The path without the provider's prefix.
    pub(super) rest: &'a str,
    /// The provider that the path names.
    pub(super) vendor: Option<Arc<Provider>>,
    pub(super) api: Option<ApiCall<'a>>,
    pub(super) dialect: DialectId,
    pub(super) operation: Operation,
    /// What a call that is passed through asks a vendor's own API for, where its answer tells of usage.
    pub(super) native: Option<NativeCall<'a>>,
    pub(super) accepted: Instant,
    /// Differs from call to call; all that is random in a call derives from it.
    pub(super) seed: u64,
}

/// A request whose body is here.
pub(super) struct Request {
    pub(super) body: Bytes,
    pub(super) facts: RequestFacts,
    /// The model that the client named.
    pub(super) model: Option<Arc<str>>,
    /// The body's share of the budget.
    pub(super) _held: Held,
}

struct HeaderMap<'a>(&'a Headers);

impl HeaderLookup for HeaderMap<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name)
    }
}

/// Serves one call, whatever becomes of it. Leaves exactly one record, also when this future is dropped.
pub async fn serve<D: Downstream>(gateway: &Arc<Gateway>, head: &RequestHead, down: &mut D, accepted: Instant) {
    let live = gateway.live.load_full();
    let (vendor, rest) = live.table.split_prefix(head.path());
    let vendor = vendor.cloned();
    let api = dialect::recognise(&head.method, rest);
    let (dialect, operation) = dialect_and_operation(api.as_ref(), vendor.as_deref(), &head.headers);
    let passed = matches!(operation, Operation::Models | Operation::Other);
    let native = if passed { dialect::native(&head.method, rest) } else { None };
    let trace = head.headers.get("traceparent").and_then(TraceParent::parse);
    let opened = Opened {
        request_id: RequestId::from_client(head.headers.get("x-request-id")),
        dialect,
        operation: native.map_or(operation, |native| native.operation),
        accepted,
        trace,
        trace_state: trace.and_then(|_| trace_state(&head.headers)),
    };
    let seed = crate::routing::stable_hash(opened.request_id.as_str().as_bytes());
    let mut exchange = gateway.meter.open(opened);
    let call = Call { gateway, live, head, rest, vendor, api, dialect, operation, native, accepted, seed };
    if let Err(error) = call.run(down, &mut exchange).await {
        Box::pin(rescue::answer(&call, &error, &Marks::default(), down, &mut exchange)).await;
    }
}

impl<'a> Call<'a> {
    /// Ends well, or with an error that nobody has been told yet.
    async fn run<D: Downstream>(&self, down: &mut D, exchange: &mut Exchange) -> Result<(), ClientError> {
        let Some(_counted) = self.gateway.enter() else {
            let error = ClientError::new(Kind::Overloaded, "too many calls are in flight here; try again");
            return Err(error.with_retry_after(Duration::from_secs(1)));
        };
        self.identify(exchange)?;
        if self.vendor.is_none() && is_admin_page(self.rest) {
            return Err(ClientError::new(Kind::NotFound, "no such page here: it stands on the admin port"));
        }
        if self.reads_body() {
            self.serve_read(down, exchange).await
        } else {
            Box::pin(passthrough::serve(self, down, exchange)).await
        }
    }

    /// Who calls: by inbound key, else by header.
    fn identify(&self, exchange: &mut Exchange) -> Result<(), ClientError> {
        let keys = &self.gateway.keys;
        if !keys.is_open() {
            let Some(name) = keys.identify(&self.head.headers) else {
                let offered = KEY_HEADERS.iter().any(|name| self.head.headers.get(name).is_some());
                let message = if offered {
                    "this key is not known here"
                } else {
                    "a key is needed here: send it as `Authorization: Bearer KEY`, `x-api-key` or `api-key`"
                };
                return Err(ClientError::new(Kind::Unauthorized, message));
            };
            exchange.set_app(&name);
            return Ok(());
        }
        // A page that somebody looks at on this machine could have their browser spend here (Fetch Metadata, 2.1.2).
        if self.head.headers.get("sec-fetch-site").is_some_and(|site| site.eq_ignore_ascii_case(b"cross-site")) {
            let message = "a web page of another site asks, without a key; browsers need an inbound key (server.keys)";
            return Err(ClientError::new(Kind::Unauthorized, message));
        }
        let header = self.head.headers.get(&self.gateway.settings.app_header);
        let named = header.and_then(|value| std::str::from_utf8(value).ok()).map(str::trim);
        if let Some(app) = named.filter(|app| !app.is_empty()) {
            exchange.set_app(app);
        }
        Ok(())
    }

    /// Calls of a known API are read whole, so that they can be routed and tried again; all else streams through.
    fn reads_body(&self) -> bool {
        let read = matches!(
            self.operation,
            Operation::Chat
                | Operation::Responses
                | Operation::Completions
                | Operation::Embeddings
                | Operation::Messages
                | Operation::CountTokens
        );
        read && self.head.method == Method::POST
    }

    async fn serve_read<D: Downstream>(&self, down: &mut D, exchange: &mut Exchange) -> Result<(), ClientError> {
        if let Some(encoding) = self.head.headers.get("content-encoding")
            && !encoding.eq_ignore_ascii_case(b"identity")
        {
            let message = "a compressed request body cannot be routed; send it without content-encoding";
            return Err(ClientError::new(Kind::BadRequest, message));
        }
        let read = down.read_body(self.gateway.settings.max_body, &self.gateway.bodies).await;
        let (body, held) = match read {
            Ok(read) => read,
            // Nobody is left to be told when the client is gone.
            Err(error) => return rescue::of_read(error).map_or(Ok(()), Err),
        };
        let complete = exchange.body_complete();
        let facts = dialect::scan(self.operation, &body)
            .map_err(|error| ClientError::new(Kind::BadRequest, error.to_string()))?;
        // Where the path names a model (a deployment), providers do not look at the body's.
        let in_path = self.api.as_ref().and_then(paths::model);
        let model: Option<Arc<str>> = in_path.as_deref().or(facts.model()).map(Arc::from);
        exchange.set_request(model.clone(), facts.stream(), body.len());
        let selection = self.select(model.as_ref(), complete, exchange, &|| {
            crate::routing::stable_hash(&body[..dialect::conversation_prefix(&body).min(body.len())])
        })?;
        exchange.set_route(&selection.route.name);
        if let Some(renamed) = selection.model.as_ref().filter(|renamed| model.as_ref() != Some(renamed)) {
            exchange.set_model_sent(renamed);
        }
        if let Some(limit) = selection.route.max_body.filter(|limit| body.len() > *limit) {
            let message = format!("the request body is larger than {limit} bytes, the limit of this route");
            return Err(ClientError::new(Kind::PayloadTooLarge, message));
        }
        let _running = self.admit(&selection.route)?;
        let request = Request { body, facts, model, _held: held };
        attempts::run(self, request, selection, complete, down, exchange).await
    }

    /// Counts the call in where its route limits how many run at a time.
    pub(super) fn admit(&self, route: &Route) -> Result<Option<Permit>, ClientError> {
        let Some(limit) = &route.calls else { return Ok(None) };
        let message = || format!("more than {} calls at a time on this route; try again", limit.most());
        let refused = || ClientError::new(Kind::RateLimited, message()).with_retry_after(Duration::from_secs(1));
        limit.try_acquire().map(Some).ok_or_else(refused)
    }

    /// Where the call may go.
    pub(super) fn select(
        &self,
        model: Option<&Arc<str>>,
        now: Instant,
        exchange: &Exchange,
        conversation: &dyn Fn() -> u64,
    ) -> Result<Selection, ClientError> {
        let app = exchange.app();
        let facts = CallFacts {
            dialect: self.dialect,
            operation: self.operation,
            model,
            path: self.head.path(),
            vendor: self.vendor.as_ref(),
            app: &app,
            headers: &HeaderMap(&self.head.headers),
            conversation,
            seed: self.seed,
            now,
        };
        self.live.table.select(&facts).map_err(|error| ClientError::new(Kind::NoRoute, error.to_string()))
    }

    /// Whether the client addressed this provider itself.
    pub(super) fn addresses(&self, provider: &Arc<Provider>) -> bool {
        self.vendor.as_ref().is_some_and(|vendor| vendor.index == provider.index)
    }
}

/// The client's `tracestate`, which may come in several lines.
fn trace_state(headers: &Headers) -> Option<Box<str>> {
    let lines: Vec<&str> = headers.get_all("tracestate").filter_map(|line| std::str::from_utf8(line).ok()).collect();
    (!lines.is_empty()).then(|| lines.join(",").into())
}

/// In which dialect the client speaks, and what it asks for. `vendor` is the provider that the path names.
pub fn dialect_and_operation(
    api: Option<&ApiCall<'_>>,
    vendor: Option<&Provider>,
    headers: &Headers,
) -> (DialectId, Operation) {
    match api {
        Some(api) => (shared_dialect(api, vendor, headers), api.operation),
        None => (guess_dialect(vendor, headers), Operation::Other),
    }
}

/// The dialect of a recognised call. Lists of models, files and the like stand under the same paths in several: there
/// the provider that the path names decides, else the client's headers.
fn shared_dialect(api: &ApiCall<'_>, vendor: Option<&Provider>, headers: &Headers) -> DialectId {
    if !matches!(api.operation, Operation::Models | Operation::Other) {
        return api.dialect;
    }
    match vendor {
        Some(vendor) if vendor.main_dialect() == DialectId::Anthropic => DialectId::Anthropic,
        None if by_header(headers) == DialectId::Anthropic => DialectId::Anthropic,
        _ => api.dialect,
    }
}

fn by_header(headers: &Headers) -> DialectId {
    dialect::spoken_by(|name| headers.get(name).is_some())
}

/// Pages of the admin port. No provider is asked for them either, which might show its own.
fn is_admin_page(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics") || path == "/admin" || path.starts_with("/admin/")
}

/// In which dialect to speak to a client of whom the path tells nothing.
fn guess_dialect(vendor: Option<&Provider>, headers: &Headers) -> DialectId {
    if let Some(vendor) = vendor {
        let opaque = vendor.endpoint(DialectId::Opaque).map(|_| DialectId::Opaque);
        let first = || vendor.endpoints().map(|(dialect, _)| dialect).next();
        return opaque.or_else(first).unwrap_or(DialectId::Opaque);
    }
    by_header(headers)
}
