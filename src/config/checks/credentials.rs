//! Secrets: where they stand, and whether they are there. No message ever holds one.

use std::borrow::Cow;

use super::super::file::SecretSource;
use super::super::tree::shorten;
use super::{Report, Step, at, files};

/// Checks where a secret stands; returns it, where it can be read now.
pub(super) fn source(report: &mut Report<'_, '_>, path: &[Step<'_>], source: &SecretSource) -> Option<String> {
    let SecretSource { env, file, insecure_inline } = source;
    let given = usize::from(env.is_some()) + usize::from(file.is_some()) + usize::from(insecure_inline.is_some());
    if given != 1 {
        let message = if given == 0 { "says not where the key stands" } else { "names more than one place" };
        report.error(path, message, "give exactly one of `env` and `file`, such as {env: MY_API_KEY}");
        return None;
    }
    let (key, value) = if let Some(name) = env {
        ("env", variable(report, &at![path; "env"], name)?)
    } else if let Some(file) = file {
        let path = at![path; "file"];
        let value = files::read(report, &path, file)?;
        if value.trim().is_empty() {
            let message = format!("the file {} is empty", shorten(&file.to_string_lossy()));
            report.absent(&path, message, "put the key, and nothing else, into it");
            return None;
        }
        ("file", value)
    } else {
        let path = at![path; "insecure_inline"];
        let value = insecure_inline.clone().unwrap_or_default();
        if value.trim().is_empty() {
            report.error(&path, "the key is empty", "");
            return None;
        }
        let advice = "keep it in an environment variable ({env: MY_API_KEY}) or in a file ({file: ...})";
        report.warn(&path, "a secret stands in this file in the open", advice);
        ("insecure_inline", value)
    };
    let value = value.trim().to_owned();
    content(report, &at![path; key], &value).then_some(value)
}

fn variable(report: &mut Report<'_, '_>, path: &[Step<'_>], name: &str) -> Option<String> {
    let advice = "set it in the environment that Faregate runs in, or name another";
    match (report.surroundings.env)(name) {
        None => report.absent(path, format!("the environment variable {name} is not set"), advice),
        Some(value) if value.trim().is_empty() => {
            report.absent(path, format!("the environment variable {name} is empty"), advice);
        }
        Some(value) => return Some(value),
    }
    None
}

/// Whether a key can be sent at all; also what often goes wrong on its way into a variable or a file.
fn content(report: &mut Report<'_, '_>, path: &[Step<'_>], value: &str) -> bool {
    if value.bytes().any(|b| b.is_ascii_control()) {
        report.error(path, "the key has several lines or control characters", "it must be one line of visible text");
        return false;
    }
    let quoted = |mark: char| value.len() > 1 && value.starts_with(mark) && value.ends_with(mark);
    let odd: Option<Cow<'static, str>> = if quoted('"') || quoted('\'') {
        Some("the key begins and ends with a quote, which would be sent along".into())
    } else if value.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
        Some("the key begins with `Bearer `, which is added when it is sent".into())
    } else if value.contains(char::is_whitespace) {
        Some("the key has white space inside".into())
    } else {
        None
    };
    if let Some(odd) = odd {
        report.warn(path, odd, "give the bare key");
    }
    true
}
