//! What a recorded answer costs in tokens, by each provider's documentation: written from the raw usage objects alone,
//! with a JSON tree and none of the code under test.
//!
//! Each provider's rule says how its counts overlap; `total_tokens` is the arbiter. Where rule and total disagree the
//! expectation is `inconsistent`, and the test prints it.

use std::collections::BTreeMap;

use serde_json::Value;

/// Tokens by class, without zeros.
pub type Classes = BTreeMap<&'static str, u64>;

/// What the usage record must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    Unknown,
    Reported(Classes),
    /// The parts do not add up to the total.
    Inconsistent(Classes),
}

/// Which API an answer is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    Chat,
    Completions,
    Embeddings,
    Responses,
    Messages,
    /// Passed through; see `native`.
    Other,
}

impl Api {
    pub fn of(api: &str) -> Self {
        match api {
            "chat_completions" => Self::Chat,
            "completions" => Self::Completions,
            "embeddings" => Self::Embeddings,
            "responses" | "responses_compact" => Self::Responses,
            "messages" => Self::Messages,
            _ => Self::Other,
        }
    }
}

/// The tokens of an answer that arrived whole. `documents`: the JSON of its events, or of its body.
pub fn expected(provider: &str, api: Api, documents: &[Value]) -> Expected {
    match api {
        Api::Other => Expected::Unknown,
        Api::Messages => messages(documents),
        Api::Embeddings => embeddings(documents),
        Api::Responses => {
            let holder = |document: &Value| document.get("response").unwrap_or(document).clone();
            let Some(response) = documents.iter().map(holder).rfind(|response| response["usage"].is_object()) else {
                return Expected::Unknown;
            };
            openai(provider, api, &response["usage"], &response["tool_usage"])
        }
        Api::Chat | Api::Completions => {
            let mut usages = documents.iter().filter_map(|document| {
                [&document["usage"], &document["x_groq"]["usage"]].into_iter().find(|usage| is_final(usage))
            });
            usages.next_back().map_or(Expected::Unknown, |usage| openai(provider, api, usage, &Value::Null))
        }
    }
}

/// A count of the completion stands in it: running counts of the prompt alone are no report.
fn is_final(usage: &Value) -> bool {
    usage["completion_tokens"].is_number()
}

/// A whole number under a path; some hosts write it with a decimal point.
pub fn count(usage: &Value, path: &str) -> Option<u64> {
    let number = usage.pointer(path)?;
    number.as_u64().or_else(|| number.as_f64().map(|n| n as u64))
}

/// The count under the first of the paths that holds one above zero: hosts fill fields that they do not use with 0.
pub fn any(usage: &Value, paths: &[&str]) -> u64 {
    paths.iter().filter_map(|path| count(usage, path)).find(|n| *n > 0).unwrap_or(0)
}

pub fn openai(provider: &str, api: Api, usage: &Value, tools: &Value) -> Expected {
    let prompt = any(usage, &["/prompt_tokens", "/input_tokens"]);
    let completion = any(usage, &["/completion_tokens", "/output_tokens"]);
    let total = count(usage, "/total_tokens");
    let input_detail =
        |name: &str| any(usage, &[&format!("/prompt_tokens_details/{name}"), &format!("/input_tokens_details/{name}")]);
    let output_detail = |name: &str| {
        any(usage, &[&format!("/completion_tokens_details/{name}"), &format!("/output_tokens_details/{name}")])
    };
    let cached = match provider {
        "deepseek" if api == Api::Chat => any(usage, &["/prompt_cache_hit_tokens"]),
        _ => input_detail("cached_tokens").max(any(
            usage,
            &["/cached_tokens", "/num_cached_tokens", "/cache_read_input_tokens", "/prompt_cache_hit_tokens"],
        )),
    };
    let written = input_detail("cache_write_tokens").max(any(usage, &["/cache_creation_input_tokens"]));
    let written_1h = any(usage, &["/cache_creation/ephemeral_1h_input_tokens"]);
    let reasoning = output_detail("reasoning_tokens").max(any(usage, &["/reasoning_tokens"]));
    let (audio_in, audio_out, image_in) =
        (input_detail("audio_tokens"), output_detail("audio_tokens"), input_detail("image_tokens"));
    // xAI's chat API (also where another host sells its models) counts reasoning beside the completion.
    let reasoning_beside = api == Api::Chat && (provider == "xai" || usage.get("num_sources_used").is_some());
    // Mistral counts audio beside the prompt.
    let audio_beside = provider == "mistral";
    // Gemini's compatible address counts thinking in the total alone.
    let hidden = match (provider, total) {
        ("gemini", Some(total)) => total.saturating_sub(prompt + completion),
        _ => 0,
    };
    let input = prompt.checked_sub(cached + written + image_in + if audio_beside { 0 } else { audio_in });
    let output = completion.checked_sub(audio_out + if reasoning_beside { 0 } else { reasoning });
    let searches = [
        any(usage, &["/server_tool_use/web_search_requests", "/server_tool_use_details/web_search_requests"]),
        any(usage, &["/server_side_tool_usage_details/web_search_calls", "/num_search_queries"]),
        any(tools, &["/web_search/num_requests"]),
    ];
    let classes = classes([
        ("input", input.unwrap_or(prompt)),
        ("cache_read", cached),
        ("cache_write_5m", written.saturating_sub(written_1h)),
        ("cache_write_1h", written_1h),
        ("output", output.unwrap_or(completion)),
        ("reasoning", reasoning + hidden),
        ("audio_input", audio_in),
        ("audio_output", audio_out),
        ("image_input", image_in),
        ("web_searches", searches.into_iter().max().unwrap_or(0)),
    ]);
    let fits = input.is_some() && output.is_some() && total.is_none_or(|total| total == tokens(&classes));
    if fits { Expected::Reported(classes) } else { Expected::Inconsistent(classes) }
}

/// An embedding has a prompt only. Voyage states it as the total.
pub fn embeddings(documents: &[Value]) -> Expected {
    let usage = documents.first().map_or(&Value::Null, |document| &document["usage"]);
    match count(usage, "/prompt_tokens").or_else(|| count(usage, "/total_tokens")) {
        Some(input) => Expected::Reported(classes([("input", input), ("output", any(usage, &["/completion_tokens"]))])),
        None => Expected::Unknown,
    }
}

/// `input_tokens` excludes the cache; the last value of each field counts; thinking is a part of the output. The steps
/// of a compaction are charged beside all that.
pub fn messages(documents: &[Value]) -> Expected {
    let mut fields: BTreeMap<String, u64> = BTreeMap::new();
    let mut compactions: Vec<Value> = Vec::new();
    for document in documents {
        for usage in [&document["usage"], &document["message"]["usage"]] {
            gather(usage, "", &mut fields);
            if let Some(steps) = usage["iterations"].as_array() {
                compactions = steps.iter().filter(|step| step["type"] == "compaction").cloned().collect();
            }
        }
    }
    if !fields.contains_key("/output_tokens") && !fields.contains_key("/input_tokens") {
        return Expected::Unknown;
    }
    let mut sum = step(&fields);
    for compaction in &compactions {
        let mut fields = BTreeMap::new();
        gather(compaction, "", &mut fields);
        for (class, n) in step(&fields) {
            *sum.entry(class).or_default() += n;
        }
    }
    if let Some(searches) = fields.get("/server_tool_use/web_search_requests").filter(|n| **n > 0) {
        sum.insert("web_searches", *searches);
    }
    Expected::Reported(sum)
}

fn step(fields: &BTreeMap<String, u64>) -> Classes {
    let at = |path: &str| fields.get(path).copied().unwrap_or(0);
    let (written, thinking) = (at("/cache_creation_input_tokens"), at("/output_tokens_details/thinking_tokens"));
    let written_1h = at("/cache_creation/ephemeral_1h_input_tokens");
    classes([
        ("input", at("/input_tokens")),
        ("cache_read", at("/cache_read_input_tokens")),
        ("cache_write_5m", written - written_1h),
        ("cache_write_1h", written_1h),
        ("output", at("/output_tokens") - thinking),
        ("reasoning", thinking),
    ])
}

/// Every number below `value`, by its path; later ones replace earlier ones.
fn gather(value: &Value, at: &str, into: &mut BTreeMap<String, u64>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let path = format!("{at}/{key}");
        match value.as_u64() {
            Some(n) => drop(into.insert(path, n)),
            None => gather(value, &path, into),
        }
    }
}

pub fn classes<const N: usize>(all: [(&'static str, u64); N]) -> Classes {
    all.into_iter().filter(|(_, n)| *n > 0).collect()
}

/// All tokens, searches left out.
pub fn tokens(classes: &Classes) -> u64 {
    classes.iter().filter(|(class, _)| **class != "web_searches").map(|(_, n)| n).sum()
}
