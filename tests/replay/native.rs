//! The oracle for vendors' own APIs: what a recorded answer costs in tokens by the vendor's documentation, from the raw
//! JSON alone.

use serde_json::Value;

use crate::oracle::{self, Api, Expected, any, classes, count, tokens};
use crate::traffic::Exchange;

/// Whose rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Native {
    Gemini,
    Interactions,
    Predict,
    Converse,
    /// Bedrock invoke, by what kind of model.
    Invoke {
        embeds: bool,
    },
    Cohere {
        embeds: bool,
    },
    Ollama,
    /// The provider counts as the OpenAI or the Anthropic API does.
    Like(Api),
    /// A total alone.
    Total,
}

impl Native {
    pub fn of(exchange: &Exchange) -> Option<Self> {
        if exchange.method != "POST" {
            return None;
        }
        let embeds = exchange.api == "embeddings";
        Some(match (exchange.provider.as_str(), exchange.api.as_str()) {
            ("gemini" | "vertex", "generate_content" | "stream_generate_content" | "embeddings") => Self::Gemini,
            (_, "interactions") => Self::Interactions,
            (_, "vertex_predict") => Self::Predict,
            (_, "vertex_raw_predict" | "vertex_stream_raw_predict") => Self::Like(Api::Messages),
            (_, "converse" | "converse_stream") => Self::Converse,
            (_, "invoke" | "invoke_stream") => {
                Self::Invoke { embeds: exchange.model.as_deref().is_some_and(|model| model.contains("embed")) }
            }
            ("cohere", "chat_v1" | "chat_v2" | "cohere_generate" | "embeddings" | "rerank") => Self::Cohere { embeds },
            (_, "ollama_chat" | "ollama_generate") => Self::Ollama,
            (_, "rerank") => Self::Total,
            ("writer", "chat") => Self::Like(Api::Chat),
            _ => return None,
        })
    }

    /// What the call asks for.
    pub fn operation(self, exchange: &Exchange) -> &'static str {
        match (self, exchange.api.as_str()) {
            // The names of models tell what they predict.
            (Self::Predict, _) if !exchange.model.as_deref().is_some_and(|model| model.contains("embed")) => "other",
            (_, "embeddings" | "vertex_predict") | (Self::Invoke { embeds: true }, _) => "embeddings",
            (_, "rerank") => "rerank",
            (_, "ollama_generate" | "cohere_generate") => "completions",
            (Self::Like(Api::Messages), _) => "messages",
            _ => "chat",
        }
    }

    pub fn expected(self, answers: &[Value], headers: &[(String, String)]) -> Expected {
        match self {
            Self::Gemini => gemini(answers),
            Self::Interactions => interactions(answers),
            Self::Predict => predict(answers),
            Self::Converse => {
                let mut usages = answers.iter().map(|answer| &answer["usage"]);
                usages.rfind(|usage| usage.is_object()).map_or(Expected::Unknown, converse)
            }
            Self::Invoke { embeds } => invoke(answers, headers, embeds),
            Self::Cohere { embeds } => cohere(answers, embeds),
            Self::Ollama => ollama(answers),
            Self::Like(api) => oracle::expected("", api, answers),
            Self::Total => match answers.first().and_then(|answer| count(answer, "/usage/total_tokens")) {
                Some(total) => Expected::Reported(classes([("input", total)])),
                None => Expected::Unknown,
            },
        }
    }
}

/// ai.google.dev, `UsageMetadata`: "promptTokenCount ... includes the number of tokens in the cached content"; the total
/// is prompt, candidates, tool use prompt and thoughts. The lists split each by modality. Grounding with Google Search is
/// charged by prompt up to Gemini 2.5, by query since Gemini 3.
fn gemini(answers: &[Value]) -> Expected {
    let mut reports = answers.iter().map(|answer| &answer["usageMetadata"]);
    let Some(usage) = reports.rfind(|usage| usage["promptTokenCount"].is_number()) else {
        return Expected::Unknown;
    };
    let of = |list: &str, modality: &[Value]| -> u64 {
        let items = usage[list].as_array().into_iter().flatten();
        items.filter(|item| modality.contains(&item["modality"])).map(|item| item["tokenCount"].as_u64().unwrap()).sum()
    };
    let (audio, image) = ([Value::from("AUDIO"), Value::from(4)], [Value::from("IMAGE"), Value::from(2)]);
    let prompts = |modality: &[Value]| of("promptTokensDetails", modality) + of("promptTokenDetails", modality);
    let uncached = |modality: &[Value]| {
        prompts(modality).saturating_sub(of("cacheTokensDetails", modality))
            + of("toolUsePromptTokensDetails", modality)
    };
    let (audio_in, image_in) = (uncached(&audio), uncached(&image));
    let n = |name: &str| usage[name].as_u64().unwrap_or(0);
    let searches: Vec<u64> = answers
        .iter()
        .flat_map(|answer| answer["candidates"].as_array().into_iter().flatten())
        .filter_map(|candidate| candidate["groundingMetadata"]["webSearchQueries"].as_array())
        .map(|queries| queries.iter().filter(|query| *query != "").count() as u64)
        .collect();
    let model = answers.iter().find_map(|answer| answer["modelVersion"].as_str()).unwrap_or_default();
    let by_prompt = model.starts_with("gemini-2") || model.starts_with("gemini-1");
    let searched = searches.into_iter().max().unwrap_or(0);
    let classes = classes([
        (
            "input",
            n("promptTokenCount") - n("cachedContentTokenCount") + n("toolUsePromptTokenCount") - audio_in - image_in,
        ),
        ("cache_read", n("cachedContentTokenCount")),
        ("audio_input", audio_in),
        ("image_input", image_in),
        ("output", n("candidatesTokenCount") - of("candidatesTokensDetails", &audio)),
        ("audio_output", of("candidatesTokensDetails", &audio)),
        ("reasoning", n("thoughtsTokenCount")),
        ("web_searches", if by_prompt { searched.min(1) } else { searched }),
    ]);
    adds_up(classes, usage["totalTokenCount"].as_u64())
}

/// Reported, unless a total contradicts.
fn adds_up(classes: oracle::Classes, total: Option<u64>) -> Expected {
    match total {
        Some(total) if total != tokens(&classes) => Expected::Inconsistent(classes),
        _ => Expected::Reported(classes),
    }
}

/// ai.google.dev, `Interaction.usage`: the same counts by other names.
fn interactions(answers: &[Value]) -> Expected {
    let mut places = answers.iter().flat_map(|answer| {
        [&answer["usage"], &answer["interaction"]["usage"], &answer["metadata"]["usage"]].into_iter()
    });
    let Some(usage) = places.rfind(|usage| usage["total_input_tokens"].is_number()) else {
        return Expected::Unknown;
    };
    let n = |name: &str| usage[name].as_u64().unwrap_or(0);
    let of = |list: &str, modality: &str| -> u64 {
        let items = usage[list].as_array().into_iter().flatten();
        items.filter(|item| item["modality"] == modality).map(|item| item["tokens"].as_u64().unwrap()).sum()
    };
    let uncached = |modality: &str| {
        of("input_tokens_by_modality", modality).saturating_sub(of("cached_tokens_by_modality", modality))
    };
    let (audio, image) = (uncached("audio"), uncached("image"));
    let classes = classes([
        ("input", n("total_input_tokens") - n("total_cached_tokens") + n("total_tool_use_tokens") - audio - image),
        ("cache_read", n("total_cached_tokens")),
        ("audio_input", audio),
        ("image_input", image),
        ("output", n("total_output_tokens")),
        ("reasoning", n("total_thought_tokens")),
    ]);
    adds_up(classes, usage["total_tokens"].as_u64())
}

/// cloud.google.com, text embeddings: each prediction's `statistics.token_count`.
fn predict(answers: &[Value]) -> Expected {
    let predictions = answers.iter().flat_map(|answer| answer["predictions"].as_array().into_iter().flatten());
    let counts: Option<Vec<u64>> =
        predictions.map(|one| one["embeddings"]["statistics"]["token_count"].as_u64()).collect();
    match counts {
        Some(counts) if !counts.is_empty() => Expected::Reported(classes([("input", counts.iter().sum())])),
        _ => Expected::Unknown,
    }
}

/// docs.aws.amazon.com, `TokenUsage`: input and output are required; cache reads and writes stand beside the input.
fn converse(usage: &Value) -> Expected {
    let (Some(input), Some(output)) = (usage["inputTokens"].as_u64(), usage["outputTokens"].as_u64()) else {
        return Expected::Unknown;
    };
    let written = any(usage, &["/cacheWriteInputTokens", "/cacheWriteInputTokenCount"]);
    let details = usage["cacheDetails"].as_array().into_iter().flatten();
    let hour: u64 = details.filter(|one| one["ttl"] == "1h").filter_map(|one| one["inputTokens"].as_u64()).sum();
    let classes = classes([
        ("input", input),
        ("cache_read", any(usage, &["/cacheReadInputTokens", "/cacheReadInputTokenCount"])),
        ("cache_write_5m", written - hour),
        ("cache_write_1h", hour),
        ("output", output),
    ]);
    adds_up(classes, usage["totalTokens"].as_u64())
}

/// Each vendor's model on Bedrock reports as its documentation says; where it does not report, what Bedrock measured
/// counts: response headers, or `amazon-bedrock-invocationMetrics` of the last chunk.
fn invoke(answers: &[Value], headers: &[(String, String)], embeds: bool) -> Expected {
    let usage = |answer: &Value| [&answer["usage"], &answer["metadata"]["usage"]].map(Value::clone);
    let all: Vec<Value> = answers.iter().flat_map(usage).filter(Value::is_object).collect();
    if let Some(last) = all.iter().rfind(|usage| usage["inputTokens"].is_number()) {
        return converse(last);
    }
    if let Some(last) = all.iter().rfind(|usage| usage["prompt_tokens"].is_number()) {
        return oracle::openai("bedrock", Api::Chat, last, &Value::Null);
    }
    if let said @ Expected::Reported(_) = oracle::expected("bedrock", Api::Messages, answers) {
        return said;
    }
    if let said @ Expected::Reported(_) = cohere(answers, embeds) {
        return said;
    }
    let plain = |input: Option<u64>, output: Option<u64>| match (input, output) {
        (Some(input), Some(output)) => Some(Expected::Reported(classes([("input", input), ("output", output)]))),
        (Some(input), None) if embeds => Some(Expected::Reported(classes([("input", input)]))),
        _ => None,
    };
    let header = |name: &str| {
        let found = headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name))?;
        found.1.parse::<u64>().ok()
    };
    let by_header = plain(header("x-amzn-bedrock-input-token-count"), header("x-amzn-bedrock-output-token-count"));
    let metrics = answers.iter().map(|answer| &answer["amazon-bedrock-invocationMetrics"]).rfind(|m| m.is_object());
    let by_metrics = metrics.and_then(|m| plain(count(m, "/inputTokenCount"), count(m, "/outputTokenCount")));
    let first = answers.first().unwrap_or(&Value::Null);
    // Titan counts each result; Llama the prompt and the generation.
    let results = first["results"].as_array().into_iter().flatten();
    let titan: Option<Vec<u64>> = results.map(|result| count(result, "/tokenCount")).collect();
    let titan = titan.filter(|counts| !counts.is_empty()).map(|counts| counts.iter().sum());
    let by_body = plain(
        count(first, "/prompt_token_count").or(count(first, "/inputTextTokenCount")),
        count(first, "/generation_token_count").or(titan),
    );
    by_header.or(by_metrics).or(by_body).unwrap_or(Expected::Unknown)
}

/// docs.cohere.com: `billed_units` is what is charged. `usage` in v2, `meta` in v1.
fn cohere(answers: &[Value], embeds: bool) -> Expected {
    let places = |answer: &Value| {
        ["/usage", "/delta/usage", "/meta", "/response/meta"].map(|path| answer.pointer(path).cloned())
    };
    let all: Vec<Value> = answers.iter().flat_map(places).flatten().collect();
    let Some(usage) = all.iter().rfind(|usage| usage["billed_units"].is_object()) else { return Expected::Unknown };
    let billed = &usage["billed_units"];
    let Some(input) = count(billed, "/input_tokens") else { return Expected::Unknown };
    let Some(output) = count(billed, "/output_tokens").or(embeds.then_some(0)) else { return Expected::Unknown };
    let (images, reasoning) = (any(usage, &["/tokens/image_tokens"]), any(usage, &["/tokens/reasoning_tokens"]));
    let images_apart = any(billed, &["/image_tokens"]);
    Expected::Reported(classes([
        ("input", input - images),
        ("image_input", images + images_apart),
        ("output", output - reasoning),
        ("reasoning", reasoning),
    ]))
}

/// Ollama's `docs/api.md`: `prompt_eval_count` tokens in the prompt, `eval_count` in the response, in the last object.
fn ollama(answers: &[Value]) -> Expected {
    let last = answers.iter().rfind(|answer| answer["done"] == true).unwrap_or(&Value::Null);
    match (count(last, "/prompt_eval_count"), count(last, "/eval_count")) {
        (Some(input), Some(output)) => Expected::Reported(classes([("input", input), ("output", output)])),
        _ => Expected::Unknown,
    }
}
