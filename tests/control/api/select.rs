//! Selectors by labels and fields, as lists and watches carry them and as webhook configurations hold them.

use serde_json::Value;

/// Whether labels fit a selector such as `a=b,c!=d`.
pub fn labels(object: &Value, selector: &str) -> bool {
    let of = |key: &str| object["metadata"]["labels"][key].as_str();
    terms(selector).all(|term| match term {
        Term::Is(key, value) => of(key) == Some(value),
        Term::Not(key, value) => of(key) != Some(value),
    })
}

/// Whether fields fit a selector such as `metadata.name=x`.
pub fn fields(object: &Value, selector: &str) -> bool {
    let of = |path: &str| {
        let value = path.split('.').try_fold(object, |at, key| at.get(key));
        match value {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(truth)) => truth.to_string(),
            // A flag that is not set is false, a text empty.
            _ if path == "spec.hostNetwork" => "false".into(),
            _ => String::new(),
        }
    };
    terms(selector).all(|term| match term {
        Term::Is(path, value) => of(path) == value,
        Term::Not(path, value) => of(path) != value,
    })
}

/// The name that a field selector picks, if it picks one.
pub fn name(selector: &str) -> Option<&str> {
    terms(selector).find_map(|term| match term {
        Term::Is("metadata.name", name) => Some(name),
        _ => None,
    })
}

enum Term<'t> {
    Is(&'t str, &'t str),
    Not(&'t str, &'t str),
}

fn terms(selector: &str) -> impl Iterator<Item = Term<'_>> {
    selector.split(',').filter(|term| !term.is_empty()).map(|term| match term.split_once("!=") {
        Some((key, value)) => Term::Not(key, value),
        None => {
            let (key, value) = term.split_once('=').unwrap_or_else(|| panic!("a selector of another kind: {term}"));
            Term::Is(key, value.trim_start_matches('='))
        }
    })
}

/// Whether an object's labels fit a selector of `matchLabels` and `matchExpressions`.
pub fn matches(object: &Value, selector: &Value) -> bool {
    let of = |key: &str| object["metadata"]["labels"][key].as_str();
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    equal.clone().all(|(key, value)| of(key) == value.as_str())
        && expressions.clone().all(|expression| {
            let key = expression["key"].as_str().unwrap();
            let among = |value: &str| expression["values"].as_array().unwrap().iter().any(|known| known == value);
            match expression["operator"].as_str().unwrap() {
                "In" => of(key).is_some_and(among),
                "NotIn" => !of(key).is_some_and(among),
                "Exists" => of(key).is_some(),
                "DoesNotExist" => of(key).is_none(),
                other => panic!("{other}"),
            }
        })
}
