//! Ollama's own API: one object, or one a line. The last one counts both halves: `prompt_eval_count`, `eval_count`.

use super::super::DialectId;
use super::super::json;
use super::super::tap::Seen;
use super::super::walk::{Picks, Walker};

pub(super) const PICKS: Picks = Picks {
    keys: &["model", "prompt_eval_count", "eval_count", "done", "error", "message", "response", "thinking"],
    inside: &[],
};

pub(super) fn read(object: &Walker, seen: &mut Seen) {
    if let Some(model) = object.value("model") {
        seen.note_model(model);
    }
    if let Some(error) = object.value("error").filter(|value| json::says_something(value)) {
        seen.note_error(DialectId::Opaque, &[b"{\"error\":", error, b"}"].concat());
    }
    let count = |key| object.value(key).and_then(json::count);
    seen.halves.note(count("prompt_eval_count"), count("eval_count"));
    for key in ["message", "response", "thinking"] {
        seen.content |= object.value(key).map_or_else(|| object.has(key), json::made);
    }
    seen.ended |= object.value("done") == Some(b"true");
}
