//! One text cut into its documents, at the lines that begin with `---`.

use serde_json::Value;

use super::read::{self, Node, Unreadable};

/// One document of a text.
pub(super) struct Document<'t> {
    /// All of it, with the `---` before it, where there is one.
    pub(super) text: &'t str,
    /// The line of the text that it begins in, from 1.
    line: usize,
}

/// A document's value, and how it was laid out.
pub(super) struct Read {
    pub(super) value: Value,
    /// Missing where the document was JSON that is no YAML.
    pub(super) layout: Option<Node>,
}

/// The documents of a text; put together they are the text.
pub(super) fn split(text: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let (mut start, mut first, mut at) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        // No content line can begin so: YAML 1.2, 9.1.2 and 9.2.
        if at > start && after_marker(line).is_some() {
            documents.push(Document { text: &text[start..at], line: first });
            (start, first) = (at, index + 1);
        }
        at += line.len();
    }
    documents.push(Document { text: &text[start..], line: first });
    documents
}

/// What follows `---` in a line that begins a document.
fn after_marker(line: &str) -> Option<&str> {
    line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

impl<'t> Document<'t> {
    /// Whether it begins with `---`.
    pub(super) fn is_marked(&self) -> bool {
        after_marker(self.text).is_some()
    }

    /// The comments and empty lines before anything else, `---` left out.
    pub(super) fn head(&self) -> &'t str {
        let lines = self.text.split_inclusive('\n');
        let marker = if self.is_marked() { lines.clone().next().map_or(0, str::len) } else { 0 };
        let body = &self.text[marker..];
        let head = body.split_inclusive('\n').take_while(|line| is_silent(line)).map(str::len).sum();
        &body[..head]
    }

    /// Its value; `None` where it holds nothing but comments and directives.
    pub(super) fn read(&self) -> Result<Option<Read>, Unreadable> {
        let text = self.text.trim_start_matches('\u{feff}');
        let body = after_marker(text).unwrap_or(text);
        if body.split_inclusive('\n').all(|line| is_silent(line) || line.starts_with('%')) {
            return Ok(None);
        }
        match read::node(text) {
            Ok(layout) => Ok(Some(Read { value: layout.to_value(), layout: Some(layout) })),
            // Nearly all JSON is YAML; not where it is indented with tabs.
            Err(unreadable) => match serde_json::from_str(body) {
                Ok(value @ Value::Object(_)) => Ok(Some(Read { value, layout: None })),
                _ => Err(unreadable.below(self.line - 1)),
            },
        }
    }
}

fn is_silent(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        split(text).iter().map(|document| document.text).collect()
    }

    #[test]
    fn documents_begin_at_their_markers_and_nowhere_else() {
        assert_eq!(
            texts("a: 1\n---\nb: |\n  x\n  ---\n--- # why\nc: 3"),
            ["a: 1\n", "---\nb: |\n  x\n  ---\n", "--- # why\nc: 3"]
        );
        assert_eq!(texts("---\n----\n"), ["---\n----\n"]);
        assert_eq!(texts(""), [""]);
    }

    #[test]
    fn comments_at_the_head_are_kept_apart_from_the_rest() {
        let text = "---\n# Source: chart\n\n# b\na: 1 # c\n# d\n";
        assert_eq!(split(text)[0].head(), "# Source: chart\n\n# b\n");
    }

    #[test]
    fn a_fault_names_its_line_in_the_whole_text() {
        let documents = split("a: 1\n---\nb: [\n");
        let Err(unreadable) = documents[1].read() else { panic!("read") };
        assert!(unreadable.line >= 3, "{unreadable}");
    }

    #[test]
    fn comments_alone_are_nothing() {
        assert!(split("---\n# a\n\n")[0].read().unwrap().is_none());
    }
}
