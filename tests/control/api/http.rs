//! Requests to the API server.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::rbac::Call;
use super::store::{Event, Kind, Refusal};
use super::{KINDS, Shared, TABLES, TOKEN_REVIEWS, select};

/// An idle watch is told so often where it stands.
const BOOKMARKS: Duration = Duration::from_millis(300);

/// Who shows this may do everything, and webhooks are asked about what they create: the tests that come by HTTP.
const OPERATOR: &str = "Bearer operator";

/// A body: whole, or lines as they come.
enum Reply {
    Whole(Option<Bytes>),
    Lines(mpsc::Receiver<Bytes>),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Lines(lines) => lines.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(line)))),
        }
    }
}

/// What a request is about.
struct Asked {
    kind: Kind,
    namespace: String,
    name: String,
    sub: String,
    query: HashMap<String, String>,
    /// Metadata alone is wanted.
    metadata: bool,
}

/// Serves on a thread of its own, to the end of the test's process.
pub fn serve(shared: Arc<Shared>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                let mut up = shared.up.subscribe();
                if !*up.borrow() {
                    continue;
                }
                let service = hyper::service::service_fn(move |request| {
                    let shared = Arc::clone(&shared);
                    async move { Ok::<_, Infallible>(answer(shared, request).await) }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move {
                    tokio::select! {
                        _ = connection => {}
                        _ = async { drop(up.wait_for(|up| !*up).await) } => {}
                    }
                });
            }
        });
    });
    address
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Reply> {
    let (head, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap_or_default());
    }
    let done = {
        let shared = Arc::clone(&shared);
        // A webhook may be asked meanwhile.
        tokio::task::spawn_blocking(move || act(&shared, &head, &bytes)).await.unwrap()
    };
    match done {
        Ok(Done::Json(value)) => reply(200, &value),
        Ok(Done::Watch(asked)) => {
            let (lines, body) = mpsc::channel(64);
            tokio::spawn(watch(shared, asked, lines));
            Response::new(Reply::Lines(body))
        }
        Err(Refusal(code, reason, message)) => {
            let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": message, "reason": reason, "code": code });
            reply(code, &status)
        }
    }
}

fn reply(code: u16, value: &Value) -> Response<Reply> {
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(Reply::Whole(Some(value.to_string().into())))
        .unwrap()
}

enum Done {
    Json(Value),
    Watch(Asked),
}

fn act(shared: &Shared, head: &hyper::http::request::Parts, body: &[u8]) -> Result<Done, Refusal> {
    let asked = parse(head)?;
    let Asked { kind, namespace, name, sub, query, .. } = &asked;
    let watches = query.get("watch").is_some_and(|watch| watch == "true" || watch == "1");
    let verb = match (&head.method, name.is_empty()) {
        (&Method::GET, false) => "get",
        (&Method::GET, true) if watches => "watch",
        (&Method::GET, true) => "list",
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        _ => "delete",
    };
    let operator = head.headers.get("authorization").is_some_and(|shown| shown == OPERATOR);
    if !operator {
        permit(shared, verb, &asked)?;
    }
    if shared.absent.lock().unwrap().contains(kind) {
        return Err(Refusal(404, "NotFound", "the server could not find the requested resource".into()));
    }
    let object = || -> Result<Value, Refusal> {
        let mut object: Value = serde_json::from_slice(body)
            .map_err(|error| Refusal(400, "BadRequest", format!("the object is no JSON: {error}")))?;
        if kind.namespaced {
            object["metadata"]["namespace"] = json!(namespace);
        }
        Ok(object)
    };
    if *kind == TOKEN_REVIEWS {
        return Ok(Done::Json(token_review(object()?)));
    }
    let created = match verb {
        "create" if operator => Some(shared.admitted(*kind, &object()?)?),
        "create" => Some(object()?),
        _ => None,
    };
    let mut store = shared.store.lock().unwrap();
    let status = sub == "status";
    let done = match verb {
        "get" => {
            let missing = || Refusal(404, "NotFound", format!("{} \"{name}\" not found", kind.plural));
            store.get(*kind, namespace, name).cloned().ok_or_else(missing)?
        }
        "list" => {
            shared.lists.fetch_add(1, Ordering::SeqCst);
            let items = store.all(*kind, namespace).into_iter().filter(|object| asked.wants(object));
            let items: Vec<Value> = items.map(|object| asked.shown(object)).collect();
            return Ok(Done::Json(asked.list(items, store.version())));
        }
        "watch" => {
            drop(store);
            return Ok(Done::Watch(asked));
        }
        "create" => store.create(*kind, created.unwrap_or_default())?,
        "update" => store.update(*kind, object()?, status)?,
        "patch" => {
            let kind_of_patch =
                head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
            if kind_of_patch != "application/apply-patch+yaml" || !query.contains_key("fieldManager") {
                return Err(Refusal(
                    415,
                    "UnsupportedMediaType",
                    format!("only server-side apply here, not {kind_of_patch}"),
                ));
            }
            store.apply(*kind, namespace, name, &object()?, status)?
        }
        "delete" if head.method == Method::DELETE => {
            store.delete(*kind, namespace, name)?;
            shared.news.send_replace(store.version());
            return Ok(Done::Json(json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" })));
        }
        _ => return Err(Refusal(405, "MethodNotAllowed", "not here".into())),
    };
    shared.news.send_replace(store.version());
    Ok(Done::Json(asked.shown(done)))
}

/// A token is good when it says of which namespace and pod it is: `NAMESPACE/POD`.
fn token_review(mut review: Value) -> Value {
    let token = review["spec"]["token"].as_str().unwrap_or_default().to_owned();
    review["status"] = match token.trim().split_once('/') {
        Some((namespace, pod)) => json!({
            "authenticated": true,
            "audiences": review["spec"]["audiences"],
            "user": {
                "username": format!("system:serviceaccount:{namespace}:default"),
                "extra": { "authentication.kubernetes.io/pod-name": [pod] },
            },
        }),
        None => json!({ "authenticated": false, "error": "invalid bearer token" }),
    };
    review
}

fn permit(shared: &Shared, verb: &'static str, asked: &Asked) -> Result<(), Refusal> {
    let sub = if asked.sub.is_empty() { String::new() } else { format!("/{}", asked.sub) };
    let picked = asked.query.get("fieldSelector").and_then(|selector| select::name(selector));
    let call = Call {
        verb,
        group: asked.kind.group.into(),
        resource: format!("{}{sub}", asked.kind.plural),
        namespace: asked.namespace.clone(),
        // Of what is created, RBAC knows no name.
        name: if verb == "create" { String::new() } else { picked.map_or_else(|| asked.name.clone(), str::to_owned) },
    };
    let allowed = shared.rules.allow(&call);
    let message = format!("{call:?} is forbidden");
    shared.calls.lock().unwrap().push((call, allowed));
    if allowed { Ok(()) } else { Err(Refusal(403, "Forbidden", message)) }
}

fn parse(head: &hyper::http::request::Parts) -> Result<Asked, Refusal> {
    let unknown = || Refusal(404, "NotFound", format!("the server could not find {}", head.uri));
    let parts: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
    let (group, rest) = match parts.as_slice() {
        ["api", "v1", rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => return Err(unknown()),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let (plural, name, sub) = match rest {
        [plural] => (*plural, "", ""),
        [plural, name] => (*plural, *name, ""),
        [plural, name, sub] => (*plural, *name, *sub),
        _ => return Err(unknown()),
    };
    let kind = KINDS.iter().find(|kind| kind.group == group && kind.plural == plural).ok_or_else(unknown)?;
    if !(sub.is_empty() || sub == "status" && *kind == TABLES) {
        return Err(unknown());
    }
    let decoded =
        |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let query = pairs.map(|(key, value)| (decoded(key), decoded(value))).collect();
    let accept = head.headers.get("accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let metadata = accept.contains("as=PartialObjectMetadata");
    let [namespace, name, sub] = [namespace, name, sub].map(str::to_owned);
    Ok(Asked { kind: *kind, namespace, name, sub, query, metadata })
}

impl Asked {
    fn wants(&self, object: &Value) -> bool {
        let selector = |key: &str| self.query.get(key).map(String::as_str).unwrap_or_default();
        select::labels(object, selector("labelSelector"))
            && select::fields(object, selector("fieldSelector"))
            && (self.namespace.is_empty() || Kind::namespace_of(object) == self.namespace)
    }

    fn shown(&self, object: Value) -> Value {
        if !self.metadata {
            return object;
        }
        json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"] })
    }

    fn list(&self, items: Vec<Value>, version: u64) -> Value {
        let (api_version, kind) = if self.metadata {
            ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned())
        } else {
            (self.kind.api_version(), format!("{}List", self.kind.kind))
        };
        json!({ "apiVersion": api_version, "kind": kind,
            "metadata": { "resourceVersion": version.to_string() }, "items": items })
    }

    /// An event as this watch sees it: what comes to fit its selectors is added, what ceases to is deleted.
    fn event(&self, event: &Event) -> Option<Value> {
        if event.kind != self.kind {
            return None;
        }
        let before = event.before.clone().filter(|object| self.wants(object));
        let after = event.after.clone().filter(|object| self.wants(object));
        let (kind, mut object) = match (before, after) {
            (None, Some(after)) => ("ADDED", after),
            (Some(_), Some(after)) => ("MODIFIED", after),
            (Some(before), None) => ("DELETED", before),
            (None, None) => return None,
        };
        object["metadata"]["resourceVersion"] = json!(event.version.to_string());
        Some(json!({ "type": kind, "object": self.shown(object) }))
    }
}

async fn watch(shared: Arc<Shared>, asked: Asked, lines: mpsc::Sender<Bytes>) {
    let mut news = shared.news.subscribe();
    let mut version: u64 = asked.query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
    let seconds = asked.query.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(300);
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    loop {
        let _mark = *news.borrow_and_update();
        let (events, newest) = {
            let store = shared.store.lock().unwrap();
            (store.since(version), store.version())
        };
        let Some(events) = events else {
            let gone = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired",
                "message": "too old resource version", "code": 410 });
            let _closed = lines.send(line(&json!({ "type": "ERROR", "object": gone }))).await;
            return;
        };
        for event in events.iter().filter_map(|event| asked.event(event)) {
            if lines.send(line(&event)).await.is_err() {
                return;
            }
        }
        version = newest;
        tokio::select! {
            _ = news.changed() => {}
            () = tokio::time::sleep_until(end) => return,
            () = lines.closed() => return,
            () = tokio::time::sleep(BOOKMARKS) => {
                let (api_version, kind) = if asked.metadata {
                    ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata")
                } else {
                    (asked.kind.api_version(), asked.kind.kind)
                };
                let metadata = json!({ "resourceVersion": version.to_string() });
                let object = json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata });
                if lines.send(line(&json!({ "type": "BOOKMARK", "object": object }))).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}
