//! The built-in provider: deterministic text in every dialect, with the delay, speed, failures and price that the
//! configuration asks for. For first steps, demos, load tests and fire drills.
//!
//! It is a provider like any other: calls reach it over a real connection. What its answers look like on the wire is
//! `dialect`'s affair. Start with [`serve`].

mod request;
mod text;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::config::file::Simulate;
use crate::dialect::{self, DialectId, Operation, Sample};
use crate::error::{ClientError, Kind};
use crate::gateway::{Answer, BodyBudget, BodyLength, Downstream, End};
use crate::http1::RequestHead;
use request::Asked;

/// Largest request that it reads.
const MAX_BODY: usize = 64 << 20;

/// Says that an answer is not a real provider's.
pub const SIMULATED_HEADER: &str = "x-faregate-simulated";

/// Counts calls, so that failures come in the same order in every run.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Answers one call. `rest` is the path at the provider.
pub async fn serve<D: Downstream>(settings: &Simulate, head: &RequestHead, rest: &str, down: &mut D) {
    let Some(api) = dialect::recognise(&head.method, rest) else {
        let error = ClientError::new(Kind::NotFound, format!("the simulated provider has no {rest}"));
        return fail(DialectId::OpenAi, 404, &error, down).await;
    };
    let Ok((body, _held)) = down.read_body(MAX_BODY, &BodyBudget::new(MAX_BODY)).await else { return };
    let asked = Asked::read(&body, api.path_model);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(settings.delay.0).await;
    if text::chance(settings.seed, call) < settings.error_rate {
        let error = ClientError::new(Kind::UpstreamBroken, "a simulated failure, as the configuration asks for");
        return fail(api.dialect, settings.error_status, &error, down).await;
    }
    let most = asked.max_tokens.unwrap_or(u64::MAX).min(settings.output_tokens.into());
    let embeds = matches!(api.operation, Operation::Embeddings | Operation::CountTokens | Operation::Models);
    let words = text::words(settings.seed, &body, if embeds { 0 } else { most });
    let sample = Sample {
        id: &format!("sim{:012x}", text::fingerprint(settings.seed, &body)),
        created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        model: &asked.model,
        cut: asked.max_tokens.is_some_and(|max| max < settings.output_tokens.into()),
        input_tokens: asked.input_tokens,
        inputs: asked.inputs,
        include_usage: asked.include_usage,
        cost: text::cost(settings, asked.input_tokens, words.len() as u64),
        words: &words,
    };
    let events = if asked.stream { dialect::sample_events(api.operation, &sample) } else { None };
    match events {
        Some(events) => stream(settings, events, down).await,
        None => match dialect::sample_body(api.operation, &sample) {
            Some(body) => send(200, body, down).await,
            None => {
                let error = ClientError::new(Kind::NotFound, format!("the simulated provider has no {rest}"));
                fail(api.dialect, 404, &error, down).await;
            }
        },
    }
}

async fn stream<D: Downstream>(
    settings: &Simulate,
    (opening, words, closing): (Vec<Bytes>, Vec<Bytes>, Vec<Bytes>),
    down: &mut D,
) {
    let mut answer = Answer::new(200, BodyLength::Unknown);
    answer.header("content-type", b"text/event-stream; charset=utf-8");
    answer.header("cache-control", b"no-cache");
    answer.header(SIMULATED_HEADER, b"true");
    down.start(&answer);
    if down.send(&opening, End::NotYet).await.is_err() {
        return;
    }
    let pause = 1_000_000u64.checked_div(settings.tokens_per_second.into()).map(Duration::from_micros);
    for word in words {
        if let Some(pause) = pause {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = down.closed() => return,
            }
        }
        if down.send(&[word], End::NotYet).await.is_err() {
            return;
        }
    }
    let _gone = down.send(&closing, End::Now(None)).await;
}

async fn send<D: Downstream>(status: u16, body: Bytes, down: &mut D) {
    let mut answer = Answer::json(status, &body);
    answer.header(SIMULATED_HEADER, b"true");
    down.start(&answer);
    let _gone = down.send(&[body], End::Now(None)).await;
}

async fn fail<D: Downstream>(dialect: DialectId, status: u16, error: &ClientError, down: &mut D) {
    send(status, dialect::encode_error(dialect, error, "simulated"), down).await;
}
