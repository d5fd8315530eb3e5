//! The JSON Schema, compiled to what a tree can be held against in one walk that finds every fault.
//!
//! Only the keywords that `file` produces are known. A schema says of each kind of value (scalar, list, mapping)
//! whether it may stand in a place and what it must look like there; alternatives (`anyOf`) are merged by kind, so
//! that a fault is reported for the alternative that its author meant. Start with [`Shape::check`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value as Json;

use super::formats;

/// What may stand in a place.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) null: bool,
    pub(super) scalar: Option<ScalarShape>,
    pub(super) list: Option<Box<Shape>>,
    pub(super) map: Option<MapShape>,
    /// The value may be a secret: never show it.
    pub(super) secret: bool,
}

/// What a scalar may be; any one of these.
#[derive(Debug, Default)]
pub(super) struct ScalarShape {
    pub(super) words: Vec<String>,
    pub(super) text: bool,
    pub(super) truth: bool,
    pub(super) integer: bool,
    pub(super) number: bool,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) format: Option<&'static formats::Format>,
}

/// What a mapping may hold.
#[derive(Debug, Default)]
pub(super) struct MapShape {
    /// Known keys; with `others`, any further ones.
    pub(super) fields: BTreeMap<String, Shape>,
    pub(super) required: Vec<String>,
    pub(super) others: Option<Box<Shape>>,
    /// What `others` may be called.
    pub(super) names: Option<ScalarShape>,
}

/// The shape of a whole configuration file.
pub(super) fn config() -> &'static Shape {
    static SHAPE: LazyLock<Shape> = LazyLock::new(|| {
        let schema = super::schema::schema();
        compile(&schema, &schema["$defs"])
    });
    &SHAPE
}

/// The shape of another kind of file.
pub(super) fn of<T: schemars::JsonSchema>() -> Shape {
    let schema = schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let schema = Json::from(schema);
    compile(&schema, &schema["$defs"])
}

fn compile(schema: &Json, defs: &Json) -> Shape {
    let mut shape = Shape::default();
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/$defs/").unwrap_or(name);
        shape.merge(compile(&defs[name], defs));
    }
    for alternative in ["anyOf", "oneOf", "allOf"].iter().filter_map(|k| schema[*k].as_array()).flatten() {
        shape.merge(compile(alternative, defs));
    }
    let types: Vec<&str> = match &schema["type"] {
        Json::String(one) => vec![one],
        Json::Array(many) => many.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    let words = words(schema);
    let mut scalar =
        ScalarShape { min: schema["minimum"].as_f64(), max: schema["maximum"].as_f64(), ..Default::default() };
    scalar.format = schema["format"].as_str().and_then(formats::find);
    for kind in types {
        match kind {
            "null" => shape.null = true,
            "string" => scalar.text = words.is_empty(),
            "boolean" => scalar.truth = true,
            "integer" => scalar.integer = true,
            "number" => scalar.number = true,
            "array" => shape.list = Some(Box::new(compile(&schema["items"], defs))),
            "object" => shape.map = Some(MapShape::compile(schema, defs)),
            _ => {}
        }
    }
    scalar.words = words;
    if scalar.text || scalar.truth || scalar.integer || scalar.number || !scalar.words.is_empty() {
        shape.merge(Shape { scalar: Some(scalar), ..Default::default() });
    }
    shape.secret |= schema["writeOnly"] == true;
    shape
}

fn words(schema: &Json) -> Vec<String> {
    let many = schema["enum"].as_array().into_iter().flatten();
    many.chain(schema.get("const")).filter_map(Json::as_str).map(str::to_owned).collect()
}

impl Shape {
    /// Takes another alternative in.
    fn merge(&mut self, other: Self) {
        self.null |= other.null;
        self.secret |= other.secret;
        self.list = self.list.take().or(other.list);
        self.map = self.map.take().or(other.map);
        match (&mut self.scalar, other.scalar) {
            (Some(a), Some(b)) => {
                a.words.extend(b.words);
                a.text |= b.text;
                a.truth |= b.truth;
                a.integer |= b.integer;
                a.number |= b.number;
                a.format = a.format.or(b.format);
            }
            (none, b) => *none = none.take().or(b),
        }
    }
}

impl MapShape {
    fn compile(schema: &Json, defs: &Json) -> Self {
        let fields = schema["properties"].as_object().into_iter().flatten();
        let required = schema["required"].as_array().into_iter().flatten();
        let others = &schema["additionalProperties"];
        Self {
            fields: fields.map(|(key, value)| (key.clone(), compile(value, defs))).collect(),
            required: required.filter_map(Json::as_str).map(str::to_owned).collect(),
            others: others.is_object().then(|| Box::new(compile(others, defs))),
            names: schema.get("propertyNames").and_then(|names| compile(&with_type(names), defs).scalar),
        }
    }
}

/// Property names are strings without saying so.
fn with_type(names: &Json) -> Json {
    let mut names = names.clone();
    if let Json::Object(fields) = &mut names {
        fields.entry("type").or_insert_with(|| "string".into());
    }
    names
}
