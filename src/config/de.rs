//! Takes values out of a tree: a serde `Deserializer` over [`Node`].
//!
//! The shape has been checked before (`shape`), so errors here are rare; they carry their place nevertheless.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::scalar::{self, Scalar};
use super::tree::{Entry, Mark, Node, Value};

/// Name of the newtypes that take a scalar as it was typed, whatever it looks like.
pub(super) const TEXT: &str = "$text";

/// A value that does not fit its type.
#[derive(Debug)]
pub(super) struct Error {
    pub(super) at: Option<Mark>,
    pub(super) message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { at: None, message: message.to_string() }
    }
}

/// Adds the place of the innermost value.
fn placed<T>(result: Result<T, Error>, at: Mark) -> Result<T, Error> {
    result.map_err(|e| Error { at: e.at.or(Some(at)), ..e })
}

/// A value as serde sees it.
#[derive(Clone, Copy)]
pub(super) struct De<'n, 'a>(pub(super) &'n Node<'a>);

impl<'de> serde::Deserializer<'de> for De<'_, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = match &self.0.value {
            Value::Scalar { text, plain: false } => visitor.visit_str(text),
            Value::Scalar { text, plain: true } => match scalar::read(text) {
                Scalar::Null => visitor.visit_unit(),
                Scalar::Bool(b) => visitor.visit_bool(b),
                Scalar::Int(i) => match (u64::try_from(i), i64::try_from(i)) {
                    (Ok(u), _) => visitor.visit_u64(u),
                    (_, Ok(i)) => visitor.visit_i64(i),
                    _ => visitor.visit_i128(i),
                },
                Scalar::Float(f) => visitor.visit_f64(f),
                Scalar::Text => visitor.visit_str(text),
            },
            Value::List(list) => visitor.visit_seq(Items(list.iter())),
            Value::Map(entries) => visitor.visit_map(Fields::new(entries, false)),
        };
        placed(result, self.0.at)
    }

    /// A key without a value is a key left out, so that one may comment out all that stands under it.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let result = match &self.0.value {
            Value::Map(entries) => visitor.visit_map(Fields::new(entries, true)),
            _ if self.0.is_null() => visitor.visit_map(Fields::new(&[], true)),
            _ => return self.deserialize_any(visitor),
        };
        placed(result, self.0.at)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_map(Fields::new(&[], false)) } else { self.deserialize_any(visitor) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_seq(Items([].iter())) } else { self.deserialize_any(visitor) }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Scalar { text, .. } if name == TEXT => placed(visitor.visit_str(text), self.0.at),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let result = match &self.0.value {
            Value::Scalar { text, .. } => visitor.visit_enum(Variant { name: text, content: None }),
            Value::Map(entries) => match entries.as_slice() {
                [Entry { key, value, .. }] => visitor.visit_enum(Variant { name: key, content: Some(value) }),
                _ => Err(Error::custom("exactly one key is wanted here")),
            },
            Value::List(_) => Err(Error::custom("no list is wanted here")),
        };
        placed(result, self.0.at)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for De<'_, '_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

struct Items<'n, 'a>(std::slice::Iter<'n, Node<'a>>);

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.next().map(|node| seed.deserialize(De(node))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Fields<'n, 'a> {
    entries: std::slice::Iter<'n, Entry<'a>>,
    value: Option<&'n Node<'a>>,
    skip_null: bool,
}

impl<'n, 'a> Fields<'n, 'a> {
    fn new(entries: &'n [Entry<'a>], skip_null: bool) -> Self {
        Self { entries: entries.iter(), value: None, skip_null }
    }
}

impl<'de> MapAccess<'de> for Fields<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let skip_null = self.skip_null;
        let Some(entry) = self.entries.find(|e| !(skip_null && e.value.is_null())) else { return Ok(None) };
        self.value = Some(&entry.value);
        let key: StrDeserializer<'_, Error> = (&*entry.key).into_deserializer();
        placed(seed.deserialize(key), entry.at).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        match self.value.take() {
            Some(node) => seed.deserialize(De(node)),
            None => Err(Error::custom("a value was asked for before its key")),
        }
    }
}

struct Variant<'n, 'a> {
    name: &'n Cow<'a, str>,
    content: Option<&'n Node<'a>>,
}

impl<'de, 'n, 'a> EnumAccess<'de> for Variant<'n, 'a> {
    type Error = Error;
    type Variant = Content<'n, 'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'n, 'a>), Error> {
        let name: StrDeserializer<'_, Error> = (&**self.name).into_deserializer();
        Ok((seed.deserialize(name)?, Content(self.content)))
    }
}

struct Content<'n, 'a>(Option<&'n Node<'a>>);

impl<'de> VariantAccess<'de> for Content<'_, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.0 {
            None => Ok(()),
            Some(_) => Err(Error::custom("this word takes no value")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        match self.0 {
            Some(node) => seed.deserialize(De(node)),
            None => Err(Error::custom("this word needs a value")),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Some(node) => serde::Deserializer::deserialize_any(De(node), visitor),
            None => Err(Error::custom("this word needs a value")),
        }
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.tuple_variant(0, visitor)
    }
}
