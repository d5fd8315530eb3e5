//! Where an error becomes an answer: status, headers and body in the client's own dialect, and the outcome it counts
//! as. The only place that does this.

use bytes::Bytes;

use super::answer::Answer;
use super::attempt::speaks_dialect;
use super::call::Call;
use super::downstream::{Downstream, End, ReadError};
use super::failure::Failure;
use super::forward::{self, Marks};
use crate::dialect;
use crate::error::{ClientError, Kind};
use crate::metering::{Exchange, Outcome};

/// What a failed call counts as.
pub(super) fn outcome(error: &ClientError) -> Outcome {
    match error.kind {
        Kind::BadRequest | Kind::NotFound | Kind::RequestTimeout | Kind::PayloadTooLarge | Kind::HeadTooLarge => {
            Outcome::ClientInvalid
        }
        Kind::Unauthorized => Outcome::PolicyDenied,
        Kind::NoRoute => Outcome::NoRoute,
        Kind::RateLimited | Kind::Overloaded => Outcome::PolicyRateLimited,
        Kind::UpstreamConnect => Outcome::UpstreamConnect,
        Kind::UpstreamTimeout => Outcome::UpstreamTimeout,
        Kind::UpstreamBroken => Outcome::UpstreamError,
        Kind::Internal => Outcome::Internal,
    }
}

/// What a provider's refusal is told as, where its own words cannot be handed on.
fn kind_of(status: u16) -> Kind {
    match status {
        401 | 403 => Kind::Unauthorized,
        404 => Kind::NotFound,
        408 | 504 => Kind::UpstreamTimeout,
        429 => Kind::RateLimited,
        503 | 529 => Kind::Overloaded,
        400..=499 => Kind::BadRequest,
        _ => Kind::UpstreamBroken,
    }
}

/// A body that could not be read, as an error; `None` when there is nobody left to tell.
pub(super) fn of_read(error: ReadError) -> Option<ClientError> {
    let text = error.to_string();
    Some(match error {
        ReadError::TooLarge { .. } => ClientError::new(Kind::PayloadTooLarge, text),
        ReadError::OverBudget => {
            let message = "too many request bodies are in flight; try again";
            ClientError::new(Kind::Overloaded, message).with_retry_after(std::time::Duration::from_secs(1))
        }
        ReadError::Timeout => ClientError::new(Kind::RequestTimeout, text),
        ReadError::Malformed(text) => ClientError::new(Kind::BadRequest, text),
        ReadError::Closed => return None,
    })
}

/// Answers with an error of ours and records the outcome.
pub(super) async fn answer<D: Downstream>(
    call: &Call<'_>,
    error: &ClientError,
    marks: &Marks,
    down: &mut D,
    exchange: &mut Exchange,
) {
    tell(call, error, error.status(), outcome(error), marks, down, exchange).await;
}

async fn tell<D: Downstream>(
    call: &Call<'_>,
    error: &ClientError,
    status: u16,
    outcome: Outcome,
    marks: &Marks,
    down: &mut D,
    exchange: &mut Exchange,
) {
    let body: Bytes = dialect::encode_error(call.dialect, error, exchange.request_id());
    let mut answer = Answer::json(status, &body);
    if let Some(after) = error.retry_after {
        let seconds = after.as_secs().max(1);
        answer.header("retry-after", itoa::Buffer::new().format(seconds).as_bytes());
    }
    answer.mark(call.gateway, marks, exchange.request_id());
    if let Some(source) = &error.source {
        tracing::debug!(target: "faregate::call", request_id = exchange.request_id(), cause = chain(&**source), "{error}");
    }
    exchange.set_outcome(outcome, status);
    send(answer, body, down, exchange).await;
}

/// Answers with the most meaningful of all attempts' failures: a provider's own reply where there is one.
pub(super) async fn give_up<D: Downstream>(
    call: &Call<'_>,
    failure: Box<Failure>,
    marks: &Marks,
    down: &mut D,
    exchange: &mut Exchange,
) {
    let Failure { outcome, reply, error, retry_after, .. } = *failure;
    let Some(reply) = reply else {
        let status = error.status();
        tell(call, &error, status, outcome, marks, down, exchange).await;
        return;
    };
    let status = reply.head.status;
    // Some providers send their dialect's JSON as text/plain or application/octet-stream: their words stay their own.
    if status >= 400 && !speaks_dialect(&reply.head) && !is_object(&reply.body) {
        let said = dialect::decode_error(call.dialect, status, &reply.body);
        let mut error = ClientError::new(kind_of(status), said.message);
        error.retry_after = retry_after;
        tell(call, &error, status, outcome, marks, down, exchange).await;
        return;
    }
    let mut answer = forward::answer(&reply.head, &call.head.method, reply.rewritten, Some(reply.body.len()));
    answer.mark(call.gateway, marks, exchange.request_id());
    exchange.set_outcome(outcome, answer.status);
    send(answer, reply.body, down, exchange).await;
}

async fn send<D: Downstream>(answer: Answer, body: Bytes, down: &mut D, exchange: &mut Exchange) {
    let sent = body.len();
    down.start(&answer);
    if down.send(&[body], End::Now(None)).await.is_ok() {
        exchange.add_sent(sent);
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// Whether a body is one JSON object, whatever its type is said to be.
fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}
