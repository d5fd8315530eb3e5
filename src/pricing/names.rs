//! The forms in which the same model is named: as asked, with a date, a vendor's prefix, a region, a version.

use std::borrow::Cow;

use smallvec::SmallVec;

/// The forms of a name, from the most to the least particular, in lower case. The first is the name itself.
///
/// - `models/x`, `publishers/v/models/x`, `arn:...:inference-profile/x`: the last part.
/// - `x@20250514`: also `x-20250514` and `x`. `x-20250514`: also `x-2025-05-14`, and both also `x`.
/// - `x:nitro` (a router's wish): also `x`. Not `x:free`, which has a price of its own, nor versions such as `v1:0`.
/// - `us.vendor.x-v1:0`: also without the region, the version, the vendor.
/// - `vendor/x`: also `x`.
pub fn normal_forms(name: &str) -> SmallVec<[String; 8]> {
    let mut forms = Forms(SmallVec::new());
    let name = name.trim().to_lowercase();
    forms.add(&name);
    let name = resource(&name);
    forms.add(name);
    let name = without_wish(name);
    forms.add(name);
    undated(name, &mut forms);
    let plain = unregioned(name);
    if plain != name {
        forms.add(plain);
        forms.add(&unversioned(plain));
    } else if unversioned(name) != name {
        forms.add(&unversioned(name));
    }
    // What the vendor itself calls it.
    let bare = unversioned(plain);
    let bare = bare.rsplit_once('/').map_or(&*bare, |(_, last)| last);
    forms.add(bare);
    undated(bare, &mut forms);
    if let Some((vendor, rest)) = bare.split_once('.')
        && !vendor.is_empty()
        && vendor.bytes().all(|b| b.is_ascii_lowercase())
        && rest.contains('-')
    {
        forms.add(rest);
        undated(rest, &mut forms);
    }
    forms.0
}

struct Forms(SmallVec<[String; 8]>);

impl Forms {
    fn add(&mut self, form: &str) {
        if !form.is_empty() && !self.0.iter().any(|have| have == form) {
            self.0.push(form.to_owned());
        }
    }
}

/// `publishers/google/models/x` -> `x`; `arn:aws:...:foundation-model/x` -> `x`.
fn resource(name: &str) -> &str {
    if name.starts_with("arn:") {
        return name.rsplit_once('/').map_or(name, |(_, last)| last);
    }
    match name.rfind("models/") {
        Some(at) if at == 0 || name.as_bytes().get(at - 1) == Some(&b'/') => name.get(at + 7..).unwrap_or(name),
        _ => name,
    }
}

/// Takes a router's wish off: `:nitro`, `:online`. What begins with a digit is a version or a size.
fn without_wish(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((model, wish)) if wish != "free" && wish.starts_with(|c: char| c.is_ascii_alphabetic()) => model,
        _ => name,
    }
}

/// Adds the forms with another date or none.
fn undated(name: &str, forms: &mut Forms) {
    if let Some((model, version)) = name.split_once('@') {
        if !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()) {
            forms.add(&format!("{model}-{version}"));
        }
        forms.add(model);
        return;
    }
    let digits = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    let Some((model, day)) = name.rsplit_once('-') else { return };
    if digits(day, 8) && day.starts_with("20") {
        if let (Some(y), Some(m), Some(d)) = (day.get(..4), day.get(4..6), day.get(6..)) {
            forms.add(&format!("{model}-{y}-{m}-{d}"));
        }
        forms.add(model);
    } else if digits(day, 2)
        && let Some((rest, month)) = model.rsplit_once('-')
        && let Some((model, year)) = rest.rsplit_once('-')
        && digits(month, 2)
        && digits(year, 4)
    {
        forms.add(model);
    }
}

/// `us.vendor.x` -> `vendor.x`.
fn unregioned(name: &str) -> &str {
    const REGIONS: [&str; 9] = ["us", "eu", "apac", "global", "us-gov", "au", "jp", "ca", "sa"];
    match name.split_once('.') {
        Some((region, rest)) if REGIONS.contains(&region) && rest.contains('.') => rest,
        _ => name,
    }
}

/// `x-v1:0` -> `x`.
fn unversioned(name: &str) -> Cow<'_, str> {
    let Some((rest, patch)) = name.rsplit_once(':') else { return name.into() };
    let Some((model, version)) = rest.rsplit_once("-v") else { return name.into() };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits(patch) && digits(version) { model.to_owned().into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(name: &str) -> Vec<String> {
        normal_forms(name).into_vec()
    }

    #[test]
    fn every_form_in_which_a_model_is_named_leads_to_the_plain_one() {
        assert_eq!(forms("GPT-4o"), ["gpt-4o"]);
        assert_eq!(forms("gpt-4o-2024-08-06"), ["gpt-4o-2024-08-06", "gpt-4o"]);
        assert_eq!(forms("openai/gpt-4o:nitro"), ["openai/gpt-4o:nitro", "openai/gpt-4o", "gpt-4o"]);
        assert_eq!(forms("z/m:free"), ["z/m:free", "m:free"], "free is no wish");
        assert_eq!(forms("claude-sonnet-4@20250514")[1..], ["claude-sonnet-4-20250514", "claude-sonnet-4"]);
        assert_eq!(forms("gpt-5.2-20251211")[1..], ["gpt-5.2-2025-12-11", "gpt-5.2"]);
        assert_eq!(forms("models/gemini-2.5-pro")[1..], ["gemini-2.5-pro"]);
        assert_eq!(forms("publishers/google/models/gemini-2.5-pro")[1..], ["gemini-2.5-pro"]);
        assert_eq!(forms("accounts/fireworks/models/kimi-k2")[1..], ["kimi-k2"]);
        assert_eq!(
            forms("us.anthropic.claude-haiku-4-5-20251001-v1:0"),
            [
                "us.anthropic.claude-haiku-4-5-20251001-v1:0",
                "anthropic.claude-haiku-4-5-20251001-v1:0",
                "anthropic.claude-haiku-4-5-20251001",
                "anthropic.claude-haiku-4-5-2025-10-01",
                "anthropic.claude-haiku-4-5",
                "claude-haiku-4-5-20251001",
                "claude-haiku-4-5-2025-10-01",
                "claude-haiku-4-5"
            ]
        );
        let arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.meta.llama3-1-8b-instruct-v1:0";
        assert_eq!(forms(arn).last().map(String::as_str), Some("llama3-1-8b-instruct"));
        assert_eq!(forms("qwen3:1.7b"), ["qwen3:1.7b"], "a size");
        assert_eq!(forms("gpt-4.1-mini"), ["gpt-4.1-mini"], "a dot is no vendor");
        assert_eq!(forms("@cf/meta/llama-3").last().map(String::as_str), Some("llama-3"));
        assert!(forms("").is_empty() && !forms("@").is_empty());
    }
}
