//! Where the part of a request ends that all turns of one conversation have in common.

use super::json::{self, Members};

/// Bytes of `body` up to the end of the first user message: the part that stays the same from turn to turn, to be
/// hashed for routing that keeps a conversation on one target (and so on its prompt cache).
///
/// Looks at `messages`, or at `input` of the responses API (a string counts as the message). The whole body where
/// there is neither, or no message of the user, or the body cannot be read.
pub fn conversation_prefix(body: &[u8]) -> usize {
    first_user_message(body).unwrap_or(body.len())
}

fn first_user_message(body: &[u8]) -> Option<usize> {
    let mut members = Members::open(body, 0).ok()?;
    while let Some(member) = members.next().ok()? {
        if !matches!(&*member.key(), b"messages" | b"input") {
            continue;
        }
        if member.value.first() == Some(&b'"') {
            return Some(member.span.end);
        }
        let user = json::items(member.value).find(|item| {
            let role = json::field(&member.value[item.clone()], "role");
            role.and_then(json::text).is_some_and(|role| role == "user")
        });
        return user.map(|item| member.span.start + item.end);
    }
    None
}
