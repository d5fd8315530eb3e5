//! Names and globs of names. `*` stands for any characters, `/` included; `?` for one; `[ab]` and `{a,b}` as in
//! globset, which decides what a glob means. Only globs that need it cost a regular expression: a table may hold ten
//! thousand.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};

/// A name, or a glob of names. Case counts.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: Box<str>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// The text itself.
    Literal,
    /// The text without its last character, a star.
    Prefix,
    /// Stars and question marks somewhere.
    Wild,
    Glob(Box<GlobMatcher>),
}

impl Pattern {
    pub(super) fn compile(text: &str) -> Result<Self, globset::Error> {
        let special = text.find(['*', '?', '[', ']', '{', '}', '\\']);
        let kind = match special {
            None => Kind::Literal,
            Some(at) if at + 1 == text.len() && text.ends_with('*') => Kind::Prefix,
            Some(_) if !text.contains(['[', ']', '{', '}', '\\']) && !text.contains("**") => Kind::Wild,
            Some(_) => Kind::Glob(Box::new(GlobBuilder::new(text).build()?.compile_matcher())),
        };
        Ok(Self { text: text.into(), kind })
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        match &self.kind {
            Kind::Literal => *self.text == *name,
            Kind::Prefix => name.as_bytes().starts_with(&self.text.as_bytes()[..self.text.len() - 1]),
            Kind::Wild => wild(self.text.as_bytes(), name.as_bytes()),
            Kind::Glob(glob) => glob.is_match(name),
        }
    }

    /// The name, where this is one and not a glob.
    pub(super) fn literal(&self) -> Option<&str> {
        matches!(self.kind, Kind::Literal).then_some(&self.text)
    }

    /// What every matching name starts with; may be empty.
    pub(super) fn prefix(&self) -> &str {
        let end = match self.kind {
            Kind::Literal => self.text.len(),
            _ => self.text.find(['*', '?', '[', '{', '\\']).unwrap_or(0),
        };
        &self.text[..end]
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Greedy, with one place to go back to: at most pattern times name steps.
fn wild(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut back = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    p = star + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::compile(pattern).unwrap().matches(name)
    }

    #[test]
    fn names_and_globs() {
        for (pattern, name) in [
            ("gpt-4o", "gpt-4o"),
            ("gpt-*", "gpt-"),
            ("gpt-*", "gpt-4/x"),
            ("*", ""),
            ("*/llama-*", "meta/llama-3"),
            ("*-mini", "o3-mini"),
            ("gpt-4?", "gpt-4o"),
            ("{gpt,o}-[34]*", "o-3"),
            (r"a\*b", "a*b"),
            ("a**b", "a/x/b"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("gpt-4o", "GPT-4o"),
            ("gpt-4o", "gpt-4o-mini"),
            ("gpt-*", "gpt"),
            ("*-mini", "o3-mini-high"),
            ("gpt-4?", "gpt-4"),
            (r"a\*b", "axb"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        assert!(Pattern::compile("gpt-[").is_err());
        assert!(Pattern::compile("gpt-{a").is_err());
    }

    proptest! {
        #[test]
        fn the_short_cut_means_what_globset_means(pattern in "[ab*?/]{0,8}", name in "[ab/]{0,10}") {
            let glob = GlobBuilder::new(&pattern).build().unwrap().compile_matcher();
            prop_assert_eq!(matches(&pattern, &name), glob.is_match(&name));
        }

        #[test]
        fn every_match_starts_with_the_prefix(pattern in r"([ab*?]|\[ab\]|\{a,b\}|\\\*|/){0,6}", name in "[ab*/]{0,8}") {
            let pattern = Pattern::compile(&pattern).unwrap();
            if pattern.matches(&name) {
                prop_assert!(name.starts_with(pattern.prefix()));
            }
        }
    }
}
