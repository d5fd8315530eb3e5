//! Finding what a file takes from other modules of the crate: `use` lines, grouped ones too, and paths in the middle
//! of code, whether they start at `crate::` or climb there by `super::`.

use super::source::Source;

/// One path into a module of the crate.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    pub line: usize,
    /// `["gateway", "Downstream"]`; a module taken whole ends in `self` or `*` or has one name only.
    pub path: Vec<String>,
}

pub fn imports(source: &Source) -> Vec<Import> {
    let code = &source.code;
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::").chain(code.match_indices("faregate::")) {
        let before = code[..at].chars().next_back();
        if !before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            let start = at + code[at..].find("::").unwrap_or(0) + 2;
            collect(source, &code[start..], start, &mut found);
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") || code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let climbs = code[at..].split("::").take_while(|part| part.trim() == "super").count();
        if climbs >= source.depth() {
            let start = at + climbs * "super::".len();
            collect(source, &code[start..], start, &mut found);
        }
    }
    found.sort_by_key(|import| import.line);
    found
}

fn collect(source: &Source, rest: &str, offset: usize, found: &mut Vec<Import>) {
    let line = source.line_of(offset);
    for path in expand(rest).0 {
        found.push(Import { line, path });
    }
}

/// Every path of a use tree, and how long the tree is.
fn expand(text: &str) -> (Vec<Vec<String>>, usize) {
    let start = text.len() - text.trim_start().len();
    let tree = &text[start..];
    if tree.starts_with('{') {
        let (mut paths, mut at) = (Vec::new(), 1);
        while at < tree.len() && !tree[at..].trim_start().starts_with('}') {
            let (mut inner, length) = expand(&tree[at..]);
            paths.append(&mut inner);
            at += length;
            // On to the next branch: over `as name`, the comma, white space.
            at += tree[at..].find([',', '}']).unwrap_or(tree.len() - at);
            at += usize::from(tree[at..].starts_with(','));
        }
        let closing = tree.get(at..).and_then(|t| t.find('}')).map_or(tree.len(), |i| at + i + 1);
        return (paths, start + closing);
    }
    let name: String = tree.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '*')).collect();
    if name.is_empty() {
        return (Vec::new(), start);
    }
    let end = start + name.len();
    match tree[name.len()..].strip_prefix("::") {
        Some(below)
            if below.trim_start().starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '*' | '{')) =>
        {
            let (paths, length) = expand(below);
            (paths.into_iter().map(|path| [vec![name.clone()], path].concat()).collect(), end + 2 + length)
        }
        _ => (vec![vec![name]], end),
    }
}
