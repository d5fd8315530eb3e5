//! What Bedrock itself measured of a call to a model with a format of its own: in headers of a whole answer, in the
//! last event of a stream. It counts where the model's own report does not.

use super::super::json;
use crate::chat::{Usage, UsageReport};

/// `amazon-bedrock-invocationMetrics` of a stream's last event.
pub(super) fn by_metrics(metrics: &[u8], input_only: bool) -> UsageReport {
    let count = |name| json::field(metrics, name).and_then(json::count);
    report(
        count("inputTokenCount"),
        count("outputTokenCount"),
        count("cacheReadInputTokenCount"),
        count("cacheWriteInputTokenCount"),
        input_only,
    )
}

/// The headers of an answer.
pub(in super::super) fn by_headers<'h>(header: impl Fn(&str) -> Option<&'h [u8]>, input_only: bool) -> UsageReport {
    let count = |name: &str| header(name).and_then(json::count);
    report(
        count("x-amzn-bedrock-input-token-count"),
        count("x-amzn-bedrock-output-token-count"),
        count("x-amzn-bedrock-cache-read-input-token-count"),
        count("x-amzn-bedrock-cache-write-input-token-count"),
        input_only,
    )
}

fn report(
    input: Option<u64>,
    output: Option<u64>,
    read: Option<u64>,
    written: Option<u64>,
    input_only: bool,
) -> UsageReport {
    match input.zip(output.or(input_only.then_some(0))) {
        None => UsageReport::Unknown,
        Some((input, output)) => UsageReport::Reported(Usage {
            input,
            cache_read: read.unwrap_or(0),
            cache_write_5m: written.unwrap_or(0),
            output,
            ..Usage::default()
        }),
    }
}
