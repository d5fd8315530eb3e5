//! The admission webhooks: pods get their sidecar when they are made, a bad routing table is refused when it is applied.
//!
//! The API server asks over HTTPS and waits; nothing here asks back, so that no answer depends on anything but this
//! process. The same [`Injector`] answers as in `faregate inject`, the same checks as in `faregate check`.
//!
//! Namespaces' labels do not come with a question: which of the two webhook entries asks (one selects by namespace, one by
//! pod) tells by its path. Namespaces' annotations come from what [`Namespaces`] has seen.
//!
//! What is no AdmissionReview of ours is answered with an HTTP error, which the API server shows to who configured it; a
//! pod or table that is wrong is denied, with what to change. Start with [`Webhook`].

mod inject;
mod review;
mod validate;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::http::{Bodies, Handler, Whole, content_type, page, text};
use super::inject::Injector;
use super::namespaces::Namespaces;
use super::tables::Known;
use crate::telemetry::Telemetry;
use review::{Answer, Review};

/// Where the entry that selects by namespace asks.
pub const INJECT_BY_NAMESPACE: &str = "/inject/namespace";
/// Where the entry that selects by pod asks.
pub const INJECT_BY_OBJECT: &str = "/inject/object";
/// Where tables are validated.
pub const VALIDATE: &str = "/validate";

/// Largest review: the API server takes requests of 3 MiB.
const LARGEST: usize = 3 << 20;
/// All bodies in flight, in KiB.
const BUDGET_KIB: usize = 96 << 10;
/// For a body to come. The API server itself gives up after the webhook's `timeoutSeconds`.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers admission reviews.
pub struct Webhook {
    /// Renewed when certificates are, since pods carry the trust in them.
    injector: Arc<ArcSwap<Injector>>,
    namespaces: Arc<Namespaces>,
    tables: Arc<Known>,
    telemetry: Telemetry,
    bodies: Bodies,
}

/// What became of a review, as the metric says it.
type Fate = &'static str;

impl Webhook {
    /// Answers by what these know at the time.
    pub fn new(
        injector: Arc<ArcSwap<Injector>>,
        namespaces: Arc<Namespaces>,
        tables: Arc<Known>,
        telemetry: Telemetry,
    ) -> Self {
        Self { injector, namespaces, tables, telemetry, bodies: Bodies::new(LARGEST, BUDGET_KIB, PATIENCE) }
    }

    async fn review(&self, path: &str, request: Request<Incoming>) -> (Response<Whole>, Fate) {
        if content_type(&request) != "application/json" {
            let said = "the body must be an AdmissionReview, as application/json\n";
            return (text(StatusCode::UNSUPPORTED_MEDIA_TYPE, said), "malformed");
        }
        let body = match self.bodies.read(request).await {
            Ok(body) => body,
            Err(response) => return (response, "malformed"),
        };
        let answered = match Review::read(&body.bytes) {
            Err(what) => Err(what),
            Ok(review) if path == VALIDATE => self.validate(&review).map(|answer| (review.uid, answer)),
            Ok(review) => self.inject(&review, path == INJECT_BY_NAMESPACE).await.map(|answer| (review.uid, answer)),
        };
        match answered {
            Ok((uid, (answer, result))) => (page(StatusCode::OK, "application/json", answer.body(&uid)), result),
            Err(what) => (text(StatusCode::BAD_REQUEST, format!("{what}\n")), "malformed"),
        }
    }
}

impl Handler for Webhook {
    async fn answer(&self, request: Request<Incoming>) -> Response<Whole> {
        let began = Instant::now();
        let path = match request.uri().path() {
            INJECT_BY_NAMESPACE => INJECT_BY_NAMESPACE,
            INJECT_BY_OBJECT => INJECT_BY_OBJECT,
            VALIDATE => VALIDATE,
            _ => {
                let said = format!("here are POST {INJECT_BY_NAMESPACE}, {INJECT_BY_OBJECT} and {VALIDATE}\n");
                return text(StatusCode::NOT_FOUND, said);
            }
        };
        if request.method() != Method::POST {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only POST here\n");
            response.headers_mut().insert(http::header::ALLOW, http::HeaderValue::from_static("POST"));
            return response;
        }
        let (response, result) = self.review(path, request).await;
        let webhook = if path == VALIDATE { "validate" } else { "inject" };
        let metrics = self.telemetry.metrics();
        metrics.control_admissions.with([webhook, result]).inc();
        metrics.control_admission_seconds.with([webhook]).observe(began.elapsed());
        response
    }
}

/// A denial of something, with all that is wrong, or what was asked with what to mind.
fn denied(problems: &[String]) -> Answer {
    /// More than this nobody reads in one answer.
    const MOST: usize = 30;
    let mut message = problems.iter().take(MOST).cloned().collect::<Vec<_>>().join("\n");
    if problems.len() > MOST {
        message.push_str(&format!("\nand {} more", problems.len() - MOST));
    }
    Answer { denied: Some(message), ..Answer::default() }
}
