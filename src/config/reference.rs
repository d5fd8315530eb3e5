//! The reference of all keys as Markdown, made from the JSON Schema.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value as Json;

use super::schema::schema;

/// Every key of a configuration file: what it is, what it takes, what holds without it.
pub fn reference() -> String {
    let schema = schema();
    let mut book = Book { defs: &schema["$defs"], out: String::new(), seen: BTreeMap::new() };
    // Writing to a string cannot fail.
    let _infallible = book.section("", &schema);
    book.out
}

struct Book<'s> {
    defs: &'s Json,
    out: String,
    /// Sections by what they describe, so that a mapping that stands in several places is told once.
    seen: BTreeMap<String, String>,
}

impl<'s> Book<'s> {
    /// A table of the keys of one mapping, then the sections of the mappings within.
    fn section(&mut self, path: &str, schema: &'s Json) -> std::fmt::Result {
        let title = if path.is_empty() { "The file" } else { path };
        writeln!(self.out, "### {}{title}{}\n", tick(path), tick(path))?;
        writeln!(self.out, "{}\n", describe(schema))?;
        writeln!(self.out, "| key | value | default | |\n|---|---|---|---|")?;
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        let mut inner = Vec::new();
        for (key, field) in schema["properties"].as_object().into_iter().flatten() {
            let child = join(path, key);
            let default = match &field["default"] {
                _ if required.contains(&key.as_str()) => "required".to_owned(),
                Json::Null | Json::Object(_) => String::new(),
                Json::Array(list) if list.is_empty() => String::new(),
                value => format!("`{value}`"),
            };
            let (kind, mapping) = self.kind(field, &child);
            let text = describe(field).replace('\n', " ").replace('|', "\\|");
            writeln!(self.out, "| `{key}` | {} | {default} | {text} |", kind.replace('|', "\\|"))?;
            inner.extend(mapping);
        }
        writeln!(self.out)?;
        for (path, schema) in inner {
            self.section(&path, schema)?;
        }
        Ok(())
    }

    /// What a key takes, and the mapping that has a section of its own.
    fn kind(&mut self, schema: &'s Json, path: &str) -> (String, Option<(String, &'s Json)>) {
        let mut words = Vec::new();
        let mut mapping = None;
        self.collect(schema, path, &mut words, &mut mapping);
        words.dedup();
        (words.join(" or "), mapping)
    }

    fn collect(
        &mut self,
        schema: &'s Json,
        path: &str,
        words: &mut Vec<String>,
        mapping: &mut Option<(String, &'s Json)>,
    ) {
        if let Some(name) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
            return self.collect(&self.defs[name], path, words, mapping);
        }
        let alternatives = ["anyOf", "oneOf"].iter().filter_map(|k| schema[*k].as_array()).flatten();
        let mut any = false;
        for alternative in alternatives {
            any = true;
            self.collect(alternative, path, words, mapping);
        }
        let constants = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
        let constants: Vec<String> = constants.filter_map(Json::as_str).map(|w| format!("`{w}`")).collect();
        if any || !constants.is_empty() {
            words.extend(constants);
            return;
        }
        let range = || match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
            (Some(min), Some(max)) if max < 1e9 => format!(", {min} to {max}"),
            _ => String::new(),
        };
        let types: Vec<&str> = match &schema["type"] {
            Json::String(one) => vec![one],
            Json::Array(many) => many.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        let format = schema["format"].as_str().unwrap_or_default();
        for kind in types {
            match kind {
                "string" if format == "span" => words.push("duration".into()),
                "string" if format == "size" => words.push("size".into()),
                "string" => words.push(match format {
                    "" => "text".into(),
                    format => format.replace('-', " "),
                }),
                "integer" if matches!(format, "span" | "size") => {}
                "integer" => words.push(format!("whole number{}", range())),
                "number" => words.push(format!("number{}", range())),
                "boolean" => words.push("`true` or `false`".into()),
                "array" => {
                    let (item, inner) = self.kind(&schema["items"], &format!("{path}[]"));
                    words.push(format!("list of {item}"));
                    *mapping = mapping.take().or(inner);
                }
                "object" if schema["properties"].is_object() => match variant(schema) {
                    Some(key) => words.push(format!("`{{{key}: ...}}`")),
                    None => {
                        let what = schema["description"].to_string();
                        let told = self.seen.get(&what).cloned();
                        let at = told.as_deref().unwrap_or(path);
                        words.push(format!("[keys](#{})", anchor(at)));
                        if told.is_none() {
                            self.seen.insert(what, path.to_owned());
                            *mapping = Some((path.to_owned(), schema));
                        }
                    }
                },
                "object" => {
                    let (value, inner) = self.kind(&schema["additionalProperties"], &join(path, "NAME"));
                    words.push(format!("names with {value}"));
                    *mapping = mapping.take().or(inner);
                }
                _ => {}
            }
        }
    }
}

/// The key of a variant that carries a value, such as `{header: x-user}`.
fn variant(schema: &Json) -> Option<&String> {
    let fields = schema["properties"].as_object().filter(|fields| fields.len() == 1)?;
    let required = schema["required"].as_array().is_some_and(|required| required.len() == 1);
    fields.keys().next().filter(|_| required)
}

fn describe(schema: &Json) -> String {
    schema["description"].as_str().unwrap_or_default().to_owned()
}

fn tick(path: &str) -> &'static str {
    if path.is_empty() { "" } else { "`" }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// As Markdown renderers name the anchor of a heading.
fn anchor(path: &str) -> String {
    path.to_lowercase().chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}
