//! The difference of two JSON values as a JSON Patch (RFC 6902), which an admission webhook answers with.
//!
//! Knows nothing of pods but one habit of theirs: the members of a list are told apart by their `name`, so that a
//! container that is put before others is one `add`, not a list written anew.

use serde_json::{Value, json};

/// The operations that make `after` of `before`; none where they are equal.
pub fn diff(before: &Value, after: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    compare(before, after, &mut String::new(), &mut operations);
    operations
}

fn compare(before: &Value, after: &Value, path: &mut String, operations: &mut Vec<Value>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(old), Value::Object(new)) => {
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                below(path, key, |path| operations.push(json!({ "op": "remove", "path": path })));
            }
            for (key, value) in new {
                below(path, key, |path| match old.get(key) {
                    Some(was) => compare(was, value, path, operations),
                    None => operations.push(json!({ "op": "add", "path": path, "value": value })),
                });
            }
        }
        (Value::Array(old), Value::Array(new)) if keeps_all(old, new) => {
            let mut rest = old.iter().peekable();
            // Everything before `index` is as it will be when this operation's turn comes.
            for (index, value) in new.iter().enumerate() {
                let was = rest.next_if(|was| same(was, value));
                below(path, &index.to_string(), |path| match was {
                    Some(was) => compare(was, value, path, operations),
                    None => operations.push(json!({ "op": "add", "path": path, "value": value })),
                });
            }
        }
        _ => operations.push(json!({ "op": "replace", "path": path, "value": after })),
    }
}

/// Whether all of `old` are in `new`, in their order.
fn keeps_all(old: &[Value], new: &[Value]) -> bool {
    let mut new = new.iter();
    old.iter().all(|was| new.any(|value| same(was, value)))
}

/// Whether two members of a list are the same thing: by name, else by value.
fn same(a: &Value, b: &Value) -> bool {
    match (a.get("name"), b.get("name")) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Calls `then` with the pointer of a member (RFC 6901).
fn below(path: &mut String, key: &str, then: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push('/');
    path.push_str(&key.replace('~', "~0").replace('/', "~1"));
    then(path);
    path.truncate(length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_need_nothing() {
        assert_eq!(diff(&json!({ "a": [1] }), &json!({ "a": [1] })), Vec::<Value>::new());
    }

    #[test]
    fn members_of_lists_are_added_where_they_stand() {
        let before = json!({ "list": [{ "name": "app", "env": [] }], "gone": 1 });
        let after =
            json!({ "list": [{ "name": "first" }, { "name": "app", "env": [{ "name": "A" }] }, { "name": "last" }] });
        assert_eq!(
            diff(&before, &after),
            [
                json!({ "op": "remove", "path": "/gone" }),
                json!({ "op": "add", "path": "/list/0", "value": { "name": "first" } }),
                json!({ "op": "add", "path": "/list/1/env/0", "value": { "name": "A" } }),
                json!({ "op": "add", "path": "/list/2", "value": { "name": "last" } }),
            ]
        );
    }

    #[test]
    fn a_list_that_loses_a_member_is_written_anew() {
        assert_eq!(
            diff(&json!({ "l": [1, 2, 3] }), &json!({ "l": [1, 3] })),
            [json!({ "op": "replace", "path": "/l", "value": [1, 3] })]
        );
    }

    #[test]
    fn names_are_escaped_as_pointers_are() {
        let patch = diff(&json!({ "a": {} }), &json!({ "a": { "x.dev/y~z": 1 } }));
        assert_eq!(patch, [json!({ "op": "add", "path": "/a/x.dev~1y~0z", "value": 1 })]);
    }
}
