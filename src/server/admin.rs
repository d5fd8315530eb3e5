//! Health, metrics, the state of the table and a page for people, on a port of its own.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::h1::Handler;
use super::inbound::Inbound;
use super::paired;
use super::reload::Reloader;
use super::status;
use crate::gateway::{Answer, BodyLength, Downstream, End};
use crate::http1::RequestHead;
use crate::routing::{HealthState, Target};
use crate::runbooks;
use crate::telemetry::{CONTENT_TYPE, TargetUp};

/// Serves one connection to the admin port.
pub(super) struct Admin {
    reloader: Arc<Reloader>,
    /// Whether it comes from this machine; in Kubernetes from this pod.
    local: bool,
}

/// Of what people read as it is.
const PLAIN: &str = "text/plain; charset=utf-8";

struct Page {
    status: u16,
    content_type: &'static str,
    body: Bytes,
}

impl Page {
    fn text(status: u16, text: impl Into<String>) -> Self {
        Self { status, content_type: PLAIN, body: text.into().into() }
    }

    fn json(status: u16, value: &Value) -> Self {
        Self { status, content_type: "application/json", body: format!("{value:#}\n").into() }
    }
}

impl Handler for Admin {
    async fn call<D: Downstream>(&self, head: &RequestHead, down: &mut D, _: Instant) {
        let page = self.page(head).await;
        let mut answer = Answer::new(page.status, BodyLength::Known(page.body.len() as u64));
        answer.header("content-type", page.content_type.as_bytes());
        answer.header("cache-control", b"no-store");
        for (name, value) in status::POLICY {
            answer.header(name, value);
        }
        if page.status == 405 {
            answer.header("allow", if head.path() == "/admin/reload" { b"POST" } else { b"GET, HEAD" });
        }
        down.start(&answer);
        let _gone = down.send(&[page.body], End::Now(None)).await;
    }
}

impl Admin {
    /// For this connection.
    pub(super) fn new(reloader: Arc<Reloader>, stream: &Inbound) -> Self {
        let peer = if let Inbound::Plain(socket) = stream { socket.peer_addr().ok() } else { None };
        let local = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
        Self { reloader, local }
    }

    async fn page(&self, head: &RequestHead) -> Page {
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        match head.path() {
            "/admin/reload" if head.method == Method::POST => match self.reload_is_refused() {
                Some(refusal) => refusal,
                None => self.reload().await,
            },
            "/admin/reload" => Page::text(405, "POST reloads the configuration\n"),
            "/healthz" | "/readyz" | "/metrics" | "/admin/table" | "/admin/targets" | "/admin/paired"
            | "/admin/status"
                if !reads =>
            {
                Page::text(405, "only GET here\n")
            }
            "/healthz" => Page::text(200, "ok\n"),
            "/readyz" if self.reloader.gateway.is_stopping() => Page::text(503, "stopping\n"),
            "/readyz" => self.ready(),
            "/metrics" => self.metrics(),
            "/admin/table" => Page::json(200, &self.table()),
            "/admin/targets" => Page::json(200, &self.targets()),
            "/admin/paired" => Page::json(200, &paired::page(&self.reloader.gateway)),
            // Asked for every two seconds, by a program: without the spaces.
            "/admin/status" => {
                let body = status::snapshot(&self.reloader, health).to_string().into();
                Page { status: 200, content_type: "application/json", body }
            }
            path => match status::file(path).or_else(|| runbooks::at(path).map(|page| (PLAIN, page))) {
                Some(_) if !reads => Page::text(405, "only GET here\n"),
                Some((content_type, body)) => {
                    Page { status: 200, content_type, body: Bytes::from_static(body.as_bytes()) }
                }
                None => Page::text(
                    404,
                    "here are /, /healthz, /readyz, /metrics, /admin/status, /admin/table, /admin/targets, /admin/paired, \
                     /runbooks/ and POST /admin/reload\n",
                ),
            },
        }
    }

    fn ready(&self) -> Page {
        let live = self.reloader.gateway.live.load();
        Page::text(200, format!("ready\ntable {} from {}\n", live.table.hash, self.reloader.source().shown()))
    }

    /// Why nothing is reloaded: whoever reaches the port from elsewhere may look, and no more; and what a control plane
    /// says is not this process's to say again.
    fn reload_is_refused(&self) -> Option<Page> {
        if !self.local && !self.reloader.server.allow_remote_admin {
            let why =
                "changes are taken from this machine's loopback alone; `server.allow_remote_admin` says otherwise\n";
            return Some(Page::text(403, why));
        }
        let source = self.reloader.source();
        source.version().map(|hash| {
            let why = format!(
                "the table comes from {}: change it there, and it is here within seconds; a local file has no say \
                 while there is one",
                source.shown()
            );
            let table = json!({ "generation": self.reloader.gateway.live.load().table.generation, "hash": **hash });
            Page::json(409, &json!({ "result": "failure", "errors": [why], "table": table }))
        })
    }

    async fn reload(&self) -> Page {
        let done = self.reloader.reload("admin request").await;
        let table = || {
            let live = self.reloader.gateway.live.load();
            json!({ "generation": live.table.generation, "hash": live.table.hash })
        };
        match done {
            Ok(()) => Page::json(200, &json!({ "result": "success", "table": table() })),
            Err(errors) => Page::json(422, &json!({ "result": "failure", "errors": errors, "table": table() })),
        }
    }

    fn metrics(&self) -> Page {
        let live = self.reloader.gateway.live.load();
        let now = Instant::now();
        let serving = live.table.targets().iter().filter(|target| !target.probe);
        self.reloader.telemetry.set_targets(serving.map(|target| TargetUp {
            provider: &target.provider.name,
            model: target.model.as_deref().unwrap_or_default(),
            up: !matches!(target.health.state(now), HealthState::Ejected { .. }),
        }));
        let body = self.reloader.telemetry.exposition().into();
        Page { status: 200, content_type: CONTENT_TYPE, body }
    }

    fn table(&self) -> Value {
        let live = self.reloader.gateway.live.load();
        let last = self.reloader.last();
        let providers: Vec<Value> = live
            .table
            .providers()
            .iter()
            .map(|provider| {
                let endpoints: serde_json::Map<String, Value> = provider
                    .endpoints()
                    .map(|(dialect, e)| {
                        let scheme = if e.tls { "https" } else { "http" };
                        (dialect.as_str().into(), format!("{scheme}://{}{}", e.authority, e.base_path).into())
                    })
                    .collect();
                json!({ "name": &*provider.name, "prefixes": provider.prefixes, "endpoints": endpoints })
            })
            .collect();
        let routes: Vec<Value> = live
            .table
            .routes()
            .iter()
            .map(|route| {
                let targets: Vec<Value> = route
                    .targets
                    .iter()
                    .map(|target| {
                        json!({
                            "provider": &*target.provider.name,
                            "model": target.model.as_deref(),
                            "priority": target.priority,
                            "weight": target.weight,
                        })
                    })
                    .collect();
                json!({ "name": &*route.name, "implicit": route.implicit, "targets": targets })
            })
            .collect();
        json!({
            "generation": live.table.generation,
            "hash": live.table.hash,
            "source": self.reloader.source().shown(),
            "control": self.reloader.control.as_ref().map(|control| {
                let stood = control.standing.now();
                json!({
                    "address": control.address.authority,
                    "connected": stood.connected,
                    "last_contact": stood.contact,
                    "trouble": stood.trouble,
                })
            }),
            "last_reload": {
                "at": last.at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
                "result": if last.errors.is_empty() { "success" } else { "failure" },
                "errors": last.errors,
            },
            "providers": providers,
            "routes": routes,
        })
    }

    fn targets(&self) -> Value {
        let live = self.reloader.gateway.live.load();
        let targets: Vec<Value> = live
            .table
            .targets()
            .iter()
            .map(|target| {
                let (idle, open) = live.upstreams.link(&target.provider).map_or((0, 0), |link| link.connections());
                json!({
                    "route": &*target.route,
                    "provider": &*target.provider.name,
                    "model": target.model.as_deref(),
                    "probe": target.probe,
                    "health": health(target),
                    "connections": { "open": open, "idle": idle },
                })
            })
            .collect();
        json!({ "generation": live.table.generation, "targets": targets })
    }
}

fn health(target: &Target) -> Value {
    let now = Instant::now();
    match target.health.state(now) {
        HealthState::Up => json!({ "state": "up" }),
        HealthState::Ejected { until } => {
            let left = until.saturating_duration_since(now);
            let until = (SystemTime::now() + left).duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            json!({ "state": "ejected", "until": until })
        }
        HealthState::Probing => json!({ "state": "probing" }),
    }
}
