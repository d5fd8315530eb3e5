//! Reading a source file as the rules need it: without comments, without test code, with or without the contents of
//! string literals. Positions stay, so that a finding names its line.

use std::fs;
use std::path::Path;

/// One file of `src/`.
pub struct Source {
    /// From `src/`, with forward slashes.
    pub path: String,
    /// As it stands on disk.
    pub text: String,
    /// Comments, test code and the contents of literals replaced by spaces.
    pub code: String,
    /// The same with the contents of string literals kept.
    pub code_and_strings: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let (mut code, mut code_and_strings) = blank(text);
        if is_test_file(path) {
            code = spaces(&code);
            code_and_strings = spaces(&code_and_strings);
        }
        for (start, end) in test_items(&code) {
            for view in [&mut code, &mut code_and_strings] {
                let blanked = spaces(&view[start..end]);
                view.replace_range(start..end, &blanked);
            }
        }
        Self { path: path.to_owned(), text: text.to_owned(), code, code_and_strings }
    }

    pub fn read_all(root: &Path) -> Vec<Self> {
        let mut found = Vec::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("src/ can be read") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    let name = path.strip_prefix(root).expect("below src/").to_str().expect("UTF-8");
                    found.push(Self::new(name, &fs::read_to_string(&path).expect("a readable file")));
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// The module that the file belongs to: the first part of its path.
    pub fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many names deep the file's module lies under the crate: 1 for `gateway/mod.rs`, 2 for `gateway/call.rs`.
    pub fn depth(&self) -> usize {
        self.path.split('/').filter(|part| !matches!(*part, "mod.rs" | "lib.rs" | "main.rs")).count()
    }

    pub fn line_of(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }
}

/// Files that are compiled for tests only, by the names that they have in this project.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// Everything but newlines turned to spaces, byte by byte.
fn spaces(text: &str) -> String {
    text.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }).collect()
}

/// Where `#[cfg(test)]` items begin and end.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    let mut from = 0;
    while let Some(at) = code[from..].find("#[cfg(test)]").map(|i| i + from) {
        let mut depth = 0_usize;
        let mut end = code.len();
        for (i, b) in code.bytes().enumerate().skip(at) {
            match b {
                b'{' => depth += 1,
                b'}' if depth == 1 => {
                    end = i + 1;
                    break;
                }
                b'}' => depth = depth.saturating_sub(1),
                b';' if depth == 0 => {
                    end = i + 1;
                    break;
                }
                _ => {}
            }
        }
        items.push((at, end));
        from = end;
    }
    items
}

/// The text without comments and contents of literals, and without comments only.
fn blank(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let (mut code, mut strings) = (bytes.to_vec(), bytes.to_vec());
    let mut clear = |range: std::ops::Range<usize>, keep_in_strings: bool| {
        for i in range {
            if bytes[i] != b'\n' {
                code[i] = b' ';
                if !keep_in_strings {
                    strings[i] = b' ';
                }
            }
        }
    };
    let mut i = 0;
    while i < bytes.len() {
        let rest = &bytes[i..];
        if rest.starts_with(b"//") {
            let end = rest.iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| i + n);
            clear(i..end, false);
            i = end;
        } else if rest.starts_with(b"/*") {
            let end = end_of_block_comment(bytes, i);
            clear(i..end, false);
            i = end;
        } else if let Some(hashes) = raw_string(bytes, i) {
            let open = i + 2 + hashes;
            let closing = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            let end = find(bytes, open, &closing).unwrap_or(bytes.len());
            clear(open..end, true);
            i = (end + closing.len()).min(bytes.len());
        } else if rest[0] == b'"' {
            let mut end = i + 1;
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            let end = end.min(bytes.len());
            clear(i + 1..end, true);
            i = end + 1;
        } else if rest[0] == b'\'' && (rest.get(1) == Some(&b'\\') || rest.get(2) == Some(&b'\'')) {
            // A character; a quote with neither form is a lifetime (or one character beyond ASCII, which hides nothing).
            let from = if rest[1] == b'\\' { i + 3 } else { i + 2 };
            let end = find(bytes, from, b"'").unwrap_or(bytes.len());
            clear(i + 1..end, true);
            i = end + 1;
        } else {
            i += 1;
        }
    }
    let text = |view: Vec<u8>| String::from_utf8_lossy(&view).into_owned();
    (text(code), text(strings))
}

fn end_of_block_comment(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i + 1 < bytes.len() {
        match &bytes[i..i + 2] {
            b"/*" => (depth, i) = (depth + 1, i + 2),
            b"*/" if depth == 1 => return i + 2,
            b"*/" => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
    }
    bytes.len()
}

/// How many hashes a raw string that opens here has.
fn raw_string(bytes: &[u8], i: usize) -> Option<usize> {
    if bytes[i] != b'r'
        || (i > 0 && (bytes[i - 1].is_ascii_alphanumeric() || bytes[i - 1] == b'_') && bytes[i - 1] != b'b')
    {
        return None;
    }
    let hashes = bytes[i + 1..].iter().take_while(|b| **b == b'#').count();
    (bytes.get(i + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    (from..bytes.len().saturating_sub(what.len() - 1)).find(|i| bytes[*i..].starts_with(what))
}
