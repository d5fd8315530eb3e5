//! Why a call can go nowhere, in words that its sender can act on.

use std::fmt;
use std::sync::Arc;

use crate::dialect::{DialectId, Operation};

/// Characters of a model's name that an error repeats.
const SHOWN: usize = 80;

/// No target for a call. The message names what was asked and what exists; it is bounded and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRoute {
    /// No route matches, and no provider claims the model.
    Model {
        /// The model after aliases, shortened and made printable.
        asked: Option<Box<str>>,
        /// What the call asks for.
        operation: Operation,
        /// What providers exist, and the models that they claim.
        known: Arc<str>,
    },
    /// A route or provider was found, but none of its targets speaks the client's dialect.
    Dialect {
        /// Name of the route.
        route: Arc<str>,
        /// The client's dialect.
        dialect: DialectId,
        /// The route's providers and what they speak.
        speak: Box<str>,
    },
}

impl std::error::Error for NoRoute {}

impl fmt::Display for NoRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model { asked: Some(model), operation, known } => {
                write!(f, "no route matches model `{model}` for the {} API; {known}", operation.as_str())
            }
            Self::Model { asked: None, operation, known } => {
                write!(f, "no route matches this call of the {} API, which names no model; {known}", operation.as_str())
            }
            Self::Dialect { route, dialect, speak } => {
                write!(f, "no target of route `{route}` speaks the {} API; {speak}", dialect.as_str())
            }
        }
    }
}

/// A name from outside, fit for a message: one line, and not long.
pub(super) fn printable(name: &str) -> Box<str> {
    let mut out: String = name.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if name.chars().nth(SHOWN).is_some() {
        out.push_str("...");
    }
    out.into()
}

/// Joins what fits into a message and counts the rest.
pub(super) fn joined(items: impl Iterator<Item = String>, most: usize) -> String {
    let mut items = items.peekable();
    let mut out: Vec<String> = items.by_ref().take(most).collect();
    match items.count() {
        0 => {}
        more => out.push(format!("and {more} more")),
    }
    out.join(", ")
}
