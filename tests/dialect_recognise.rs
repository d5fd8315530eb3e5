//! What `recognise` makes of every recorded URL, as a table; each API that is read must be found, and no other.

mod traffic;

use std::collections::BTreeMap;

use faregate::dialect::{DialectId, Operation, recognise};
use http::Method;

/// What a recorded API is: the dialect and operation that its calls must be recognised as. `None`: passed through.
fn expected(api: &str, method: &str) -> Option<(DialectId, Operation)> {
    if method != "POST" {
        return None;
    }
    Some(match api {
        "chat_completions" => (DialectId::OpenAi, Operation::Chat),
        "responses" | "responses_compact" => (DialectId::OpenAi, Operation::Responses),
        "completions" => (DialectId::OpenAi, Operation::Completions),
        "embeddings" => (DialectId::OpenAi, Operation::Embeddings),
        "messages" => (DialectId::Anthropic, Operation::Messages),
        "messages_count_tokens" => (DialectId::Anthropic, Operation::CountTokens),
        _ => return None,
    })
}

/// APIs that only share a name with one that is read.
fn is_another_api(path: &str) -> bool {
    let native = ["/api/embeddings", "/embed", ":batchEmbedContents", ":embedContent", ":predict"];
    native.iter().any(|end| path.ends_with(end))
}

#[test]
fn every_recorded_url() {
    let Some(exchanges) = traffic::exchanges("every_recorded_url") else { return };
    let mut table: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for exchange in &exchanges {
        let method = Method::from_bytes(exchange.method.as_bytes()).unwrap();
        let path = exchange.path();
        let found = recognise(&method, path);
        let line = match &found {
            Some(call) => format!(
                "{:<17}{:<26}{} {} -> {} {} {}{}",
                exchange.provider,
                exchange.api,
                method,
                path,
                call.dialect.as_str(),
                call.operation.as_str(),
                call.suffix,
                call.path_model.map_or(String::new(), |model| format!(" (model {model})")),
            ),
            None => {
                format!("{:<17}{:<26}{method} {path} -> passed through", exchange.provider, exchange.api)
            }
        };
        let want = expected(&exchange.api, &exchange.method).filter(|_| !is_another_api(path));
        let got = found
            .map(|call| (call.dialect, call.operation))
            .filter(|(_, operation)| !matches!(operation, Operation::Other | Operation::Models));
        if got != want {
            wrong.push(format!("{line}   WANTED {want:?}"));
        }
        if let Some(call) = &found {
            assert!(path.contains(call.suffix), "{line}: the suffix is a part of the path");
        }
        *table.entry(line).or_default() += 1;
    }
    let lines: Vec<String> = table.iter().map(|(line, n)| format!("{n:>5}  {line}")).collect();
    println!("{}", lines.join("\n"));
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), exchanges.len(), wrong.join("\n"));
}

#[test]
fn native_apis_are_not_taken_for_the_compatible_one_beside_them() {
    let at = |method: Method, path: &'static str| recognise(&method, path).map(|call| (call.dialect, call.operation));
    for path in [
        "/v1beta/models/gemini-x:generateContent",
        "/v1beta/interactions",
        "/v1/publishers/google/models/x:predict",
        "/v2/chat",
        "/v2/rerank",
        "/v1/chat",
        "/v1/generate",
        "/v1/complete",
        "/model/m/converse",
        "/api/chat",
        "/models/owner/name",
        "/",
        "",
        "//",
    ] {
        assert_eq!(at(Method::POST, path), None, "{path}");
    }
    assert_eq!(at(Method::GET, "/v1beta/models"), None);
    let models = Some((DialectId::OpenAi, Operation::Models));
    assert_eq!(at(Method::GET, "/v1beta/openai/models"), models);
    assert_eq!(at(Method::GET, "/api/paas/v4/models/x"), models);
    assert_eq!(at(Method::HEAD, "/models"), models);
    let other = Some((DialectId::OpenAi, Operation::Other));
    assert_eq!(at(Method::DELETE, "/v1/models/ft:x"), other);
    assert_eq!(at(Method::GET, "/v1/chat/completions/id"), other);
    assert_eq!(at(Method::POST, "/v1/threads/t/messages"), other);
    assert_eq!(at(Method::POST, "/v1/messages/batches"), Some((DialectId::Anthropic, Operation::Other)));
    assert_eq!(at(Method::GET, "/v1/responses/id"), other);
}
