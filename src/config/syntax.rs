//! The YAML parser's complaints in words that help.

use saphyr_parser::ScanError;

use super::tree::{Fault, Mark};

/// What the parser says (a part of it) -> what it means, and what to do.
const WORDS: &[(&str, &str, &str)] = &[
    ("tab", "a tab where YAML wants spaces", "indent with spaces"),
    (
        "mapping values are not allowed",
        "a `key: value` where none can stand",
        "check the indentation, and quote values that contain `: `",
    ),
    ("simple key expect", "a key without its `:`", "check the indentation, and that a space follows every `:`"),
    (
        "did not find expected key",
        "the indentation does not fit the lines above",
        "align the keys of one mapping in one column",
    ),
    (
        "did not find expected '-' indicator",
        "the indentation does not fit the list above",
        "align the `-` of one list in one column",
    ),
    ("quoted scalar, found unexpected end", "a quote is opened and never closed", "close it"),
    ("unknown escape", "an unknown escape in double quotes", "write `\\\\` for a backslash, or use single quotes"),
    ("flow sequence, expected", "a list in `[...]` is not closed or lacks a comma", "close it with `]`"),
    ("flow mapping, did not find", "a mapping in `{...}` is not closed or lacks a comma", "close it with `}`"),
    (
        "found unknown anchor",
        "an alias (`*name`) without its anchor (`&name`)",
        "quote the value if it is a glob: \"*\"",
    ),
    (
        "anchor or alias, did not find",
        "`*` or `&` begins an alias or an anchor in YAML",
        "quote the value if it is a glob: \"*\"",
    ),
    ("unexpected character", "a character that cannot begin a value", "put the value in quotes"),
    ("misplaced bracket", "a closing bracket without its opening one", "check the brackets"),
    ("recursion limit", "nested too deep", "no key needs that"),
];

/// Makes a fault of the parser's error.
pub(super) fn explain(error: &ScanError, text: &str) -> Fault {
    let mut at = Mark::from(*error.marker());
    // The parser points past the end where something is missing there; an editor cannot go there.
    let lines = u32::try_from(text.lines().count().max(1)).unwrap_or(u32::MAX);
    if at.line > lines {
        at = Mark { line: lines, column: 1 };
    }
    let known = WORDS.iter().find(|(part, _, _)| error.info().contains(part));
    let (message, advice) = match known {
        Some((_, message, advice)) => ((*message).to_owned(), Some((*advice).to_owned())),
        None => (format!("not valid YAML: {}", error.info()), None),
    };
    Fault { at, key: String::new(), message, advice }
}
