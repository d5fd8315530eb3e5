//! Cohere's own counts.
//!
//! `billed_units` is what is charged, `tokens` what was processed (the vendor's templates included): the first counts.
//! Reasoning and images are parts of the billed tokens and told apart in `tokens` alone; what a cache served is not
//! charged apart. Search units, classifications and images by the piece are no tokens.

use super::super::json;
use crate::chat::{Usage, UsageReport};

/// Reads an object with `billed_units` in it (`usage` in v2, `meta` in v1). `input_only`: nothing is generated.
pub(super) fn report(usage: &[u8], input_only: bool) -> UsageReport {
    let Some(billed) = json::field(usage, "billed_units") else { return UsageReport::Unknown };
    let count = |of: &[u8], name| json::field(of, name).and_then(json::count);
    let images = count(billed, "image_tokens");
    let input = count(billed, "input_tokens");
    let output = count(billed, "output_tokens").or(input_only.then_some(0));
    let Some((input, output)) = input.or(images.map(|_| 0)).zip(output) else { return UsageReport::Unknown };
    if let Some(images) = images {
        return UsageReport::Reported(Usage { input, output, image_input: images, ..Usage::default() });
    }
    let tokens = json::field(usage, "tokens").unwrap_or_default();
    let part = |name| count(tokens, name).unwrap_or(0);
    let (images, reasoning) = (part("image_tokens"), part("reasoning_tokens"));
    let (plain, spoken) = (input.checked_sub(images), output.checked_sub(reasoning));
    let usage = Usage {
        input: plain.unwrap_or(input),
        output: spoken.unwrap_or(output),
        reasoning,
        image_input: images,
        ..Usage::default()
    };
    if plain.is_some() && spoken.is_some() { UsageReport::Reported(usage) } else { UsageReport::Inconsistent(usage) }
}
