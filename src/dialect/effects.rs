//! Whether a call does more than answer: what happens twice when it is made twice.

use super::Operation;
use super::json::{self, JsonError, Members};

/// Whether answering the request may have side effects: tools that a provider runs or a client is asked to run, a
/// search of the web, something that is stored or goes on in the background. What cannot be read may have any.
///
/// Sources: the providers' references of chat completions (`tools`, `functions`, `web_search_options`, `store`),
/// responses (`tools`, `background`, `store`, which is on unless it is turned off; `previous_response_id` and
/// `conversation` name what only one account holds), messages (`tools`, `mcp_servers`, `container`); routers add
/// `plugins`.
pub fn has_side_effects(operation: Operation, body: &[u8]) -> bool {
    find(operation, body).unwrap_or(true)
}

fn find(operation: Operation, body: &[u8]) -> Result<bool, JsonError> {
    let mut members = Members::open(body, 0)?;
    let mut stores = operation == Operation::Responses;
    let mut effects = false;
    while let Some(member) = members.next()? {
        match &*member.key() {
            b"store" => stores = json::says_something(member.value),
            b"tools"
            | b"functions"
            | b"mcp_servers"
            | b"web_search_options"
            | b"plugins"
            | b"background"
            | b"container"
            | b"conversation"
            | b"previous_response_id" => effects |= says_anything(member.value),
            _ => {}
        }
    }
    Ok(stores || effects)
}

/// An empty object turns a search on, an empty list of tools nothing.
fn says_anything(value: &[u8]) -> bool {
    value.first() == Some(&b'{') || json::says_something(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_answers_has_none() {
        for body in [
            r#"{"model":"m","messages":[{"role":"user","content":"tools, please"}],"tool_choice":"none"}"#,
            r#"{"tools":[],"functions":null,"store":false,"background":false,"metadata":{"store":true}}"#,
            "{}",
        ] {
            assert!(!has_side_effects(Operation::Chat, body.as_bytes()), "{body}");
            assert!(!has_side_effects(Operation::Messages, body.as_bytes()), "{body}");
        }
        assert!(!has_side_effects(Operation::Responses, br#"{"input":"x","store":false}"#));
    }

    #[test]
    fn what_does_more_is_found_however_it_is_written() {
        for body in [
            r#"{"tools":[{"type":"function"}]}"#,
            r#"{"to\u006fls":[{}]}"#,
            r#"{"functions":[{"name":"f"}]}"#,
            r#"{"mcp_servers":[{"url":"https://host"}]}"#,
            r#"{"web_search_options":{}}"#,
            r#"{"plugins":[{"id":"web"}]}"#,
            r#"{"container":"c_1"}"#,
            r#"{"store":true}"#,
            r#"{"background":true,"store":false}"#,
            r#"{"previous_response_id":"r_1","store":false}"#,
            r#"{"conversation":{"id":"c"},"store":false}"#,
            r#"{"store":false,"store":true}"#,
            "not json",
        ] {
            for operation in [Operation::Chat, Operation::Responses, Operation::Messages] {
                assert!(has_side_effects(operation, body.as_bytes()), "{body}");
            }
        }
        assert!(has_side_effects(Operation::Responses, br#"{"input":"x"}"#), "stored unless it is turned off");
    }
}
