//! Reading JSON in place: the members of an object, whole values skipped at memory speed, no tree.
//!
//! What is skipped is checked for strings that end and brackets that match, not token by token. Whatever is looked
//! at (keys, the punctuation between members, scalars) is checked. For JSON that arrives in pieces see `walk`.

use std::borrow::Cow;
use std::ops::Range;

use super::words;

/// Deepest nesting that is read. Common JSON parsers stop at the same depth.
pub(super) const MAX_DEPTH: u32 = 128;

/// Why JSON could not be read, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JsonError {
    pub(super) offset: usize,
    pub(super) problem: JsonProblem,
}

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonProblem {
    NotAnObject,
    Truncated,
    Unexpected,
    Mismatched,
    TooDeep,
    Trailing,
}

fn fail<T>(offset: usize, problem: JsonProblem) -> Result<T, JsonError> {
    Err(JsonError { offset, problem })
}

/// One member of an object.
#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    /// The key as it was written, without its quotes.
    key: &'a [u8],
    /// A backslash stands in the key.
    escaped: bool,
    /// Where the key's opening quote stands.
    pub(super) start: usize,
    /// Where the value stands, quotes and brackets included.
    pub(super) span: Range<usize>,
    /// The value's bytes.
    pub(super) value: &'a [u8],
}

impl<'a> Member<'a> {
    /// The key as it was written: escapes and all, without its quotes.
    pub(super) fn written_key(&self) -> &'a [u8] {
        self.key
    }

    /// The key with its escapes undone; one that is no text at all matches nothing.
    pub(super) fn key(&self) -> Cow<'a, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(self.key);
        }
        let mut quoted = Vec::with_capacity(self.key.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(self.key);
        quoted.push(b'"');
        Cow::Owned(serde_json::from_slice::<String>(&quoted).unwrap_or_default().into_bytes())
    }
}

/// The members of one object, in order.
#[derive(Debug, Clone)]
pub(super) struct Members<'a> {
    bytes: &'a [u8],
    at: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    First,
    Later,
    Done,
}

impl<'a> Members<'a> {
    /// The object that starts at `at`, after white space.
    pub(super) fn open(bytes: &'a [u8], at: usize) -> Result<Self, JsonError> {
        let at = skip_space(bytes, at);
        match bytes.get(at) {
            Some(b'{') => Ok(Self { bytes, at: at + 1, state: State::First }),
            Some(_) => fail(at, JsonProblem::NotAnObject),
            None => fail(at, JsonProblem::Truncated),
        }
    }

    /// The next member, or `None` after the closing bracket.
    pub(super) fn next(&mut self) -> Result<Option<Member<'a>>, JsonError> {
        if self.state == State::Done {
            return Ok(None);
        }
        self.at = skip_space(self.bytes, self.at);
        match (self.bytes.get(self.at), self.state) {
            (Some(b'}'), _) => {
                self.at += 1;
                self.state = State::Done;
                return Ok(None);
            }
            (Some(b','), State::Later) => self.at = skip_space(self.bytes, self.at + 1),
            (Some(_), State::First) => {}
            (Some(_), _) => return fail(self.at, JsonProblem::Unexpected),
            (None, _) => return fail(self.at, JsonProblem::Truncated),
        }
        self.state = State::Later;
        let place = self.at;
        let (key, escaped) = self.key()?;
        self.at = skip_space(self.bytes, self.at);
        match self.bytes.get(self.at) {
            Some(b':') => self.at = skip_space(self.bytes, self.at + 1),
            Some(_) => return fail(self.at, JsonProblem::Unexpected),
            None => return fail(self.at, JsonProblem::Truncated),
        }
        let start = self.at;
        self.at = skip_value(self.bytes, start)?;
        Ok(Some(Member { key, escaped, start: place, span: start..self.at, value: &self.bytes[start..self.at] }))
    }

    /// The first byte after the object, once `next` has answered `None`.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    /// The key, and whether a backslash stands in it.
    fn key(&mut self) -> Result<(&'a [u8], bool), JsonError> {
        match self.bytes.get(self.at) {
            Some(b'"') => {
                let (end, escaped) = string_end(self.bytes, self.at)?;
                let key = &self.bytes[self.at + 1..end - 1];
                self.at = end;
                Ok((key, escaped))
            }
            Some(_) => fail(self.at, JsonProblem::Unexpected),
            None => fail(self.at, JsonProblem::Truncated),
        }
    }
}

/// The value of `name` in the object `bytes`, the last one where it is repeated; `None` too when it cannot be read.
pub(super) fn field<'a>(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut members = Members::open(bytes, 0).ok()?;
    let mut found = None;
    while let Some(member) = members.next().ok()? {
        if *member.key() == *name.as_bytes() {
            found = Some(member.value);
        }
    }
    found
}

/// The items of the array `bytes`; ends early where it cannot be read.
pub(super) fn items(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let start = skip_space(bytes, 0);
    let mut at = if bytes.get(start) == Some(&b'[') { start + 1 } else { bytes.len() };
    std::iter::from_fn(move || {
        at = skip_space(bytes, at);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        let start = at;
        at = skip_value(bytes, start).ok()?;
        Some(start..at)
    })
}

/// Text of a JSON string; `None` for any other value and for broken escapes.
pub(super) fn text(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.iter().any(|&b| b == b'\\' || b < 0x20) {
        return serde_json::from_slice::<String>(value).ok().map(Cow::Owned);
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

/// A count: a whole number that is not negative. Some hosts write `12.0`.
pub(super) fn count(value: &[u8]) -> Option<u64> {
    let (digits, rest) = value.split_at(value.iter().take_while(|b| b.is_ascii_digit()).count());
    let whole = digits.iter().try_fold(0u64, |n, digit| n.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    let is_whole = match rest {
        [] => true,
        [b'.', zeros @ ..] => zeros.iter().all(|b| *b == b'0'),
        _ => false,
    };
    (is_whole && !digits.is_empty()).then_some(whole)
}

/// Whether a value says something: not null, not false, not empty.
pub(super) fn says_something(value: &[u8]) -> bool {
    match value.first() {
        Some(b'"') => value.len() > 2,
        Some(open @ (b'[' | b'{')) => {
            let close = if *open == b'[' { b']' } else { b'}' };
            value.get(skip_space(value, 1)) != Some(&close)
        }
        Some(b'n' | b'f') | None => false,
        Some(_) => true,
    }
}

/// Whether a value holds anything that a model made: text that is not empty, a number, at any depth; roles, types,
/// places and signatures are none of it.
pub(super) fn made(value: &[u8]) -> bool {
    holds(value, 0)
}

fn holds(value: &[u8], depth: u32) -> bool {
    /// Deeper ones hold something, or they would not be there.
    const DEEPEST: u32 = 8;
    match value.first() {
        Some(b'{') if depth < DEEPEST => {
            let Ok(mut members) = Members::open(value, 0) else { return false };
            while let Ok(Some(member)) = members.next() {
                let around = matches!(
                    &*member.key(),
                    b"type" | b"role" | b"index" | b"id" | b"contentBlockIndex" | b"signature" | b"thoughtSignature"
                );
                if !around && holds(member.value, depth + 1) {
                    return true;
                }
            }
            false
        }
        Some(b'[') if depth < DEEPEST => items(value).any(|item| holds(&value[item], depth + 1)),
        Some(b't' | b'f' | b'n') | None => false,
        Some(_) => says_something(value),
    }
}

/// The first byte at or after `at` that is no white space.
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The first byte after the value that starts at `at`.
fn skip_value(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    match bytes.get(at) {
        None => fail(at, JsonProblem::Truncated),
        Some(b'"') => string_end(bytes, at).map(|(end, _)| end),
        Some(b'{' | b'[') => container_end(bytes, at),
        Some(b't') => word_end(bytes, at, b"true"),
        Some(b'f') => word_end(bytes, at, b"false"),
        Some(b'n') => word_end(bytes, at, b"null"),
        Some(b'-' | b'0'..=b'9') => {
            let rest = &bytes[at + 1..];
            let len = rest.iter().position(|b| !matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
            Ok(at + 1 + len.unwrap_or(rest.len()))
        }
        Some(_) => fail(at, JsonProblem::Unexpected),
    }
}

fn word_end(bytes: &[u8], at: usize, word: &[u8]) -> Result<usize, JsonError> {
    let have = &bytes[at..bytes.len().min(at + word.len())];
    if have == word {
        Ok(at + word.len())
    } else if word.starts_with(have) {
        fail(bytes.len(), JsonProblem::Truncated)
    } else {
        fail(at, JsonProblem::Unexpected)
    }
}

/// The first byte after the string that starts with the quote at `at`, and whether a backslash stands in it.
fn string_end(bytes: &[u8], at: usize) -> Result<(usize, bool), JsonError> {
    let start = at + 1;
    let hits = |word| words::equal(word, b'"') | words::equal(word, b'\\');
    match words::find_near(bytes, start, hits) {
        Ok(end) if bytes[end] == b'"' => Ok((end + 1, false)),
        Ok(from) | Err(from) => far_string_end(bytes, from),
    }
}

/// The same, from the byte `from` of the string on.
fn far_string_end(bytes: &[u8], mut from: usize) -> Result<(usize, bool), JsonError> {
    let mut escaped = false;
    loop {
        match memchr::memchr2(b'"', b'\\', &bytes[from.min(bytes.len())..]) {
            Some(n) if bytes[from + n] == b'"' => return Ok((from + n + 1, escaped)),
            Some(n) => from += n + 2,
            None => return fail(bytes.len(), JsonProblem::Truncated),
        }
        escaped = true;
    }
}

/// The first byte after the object or array that starts at `at`.
fn container_end(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    let mut kinds: u128 = 0; // one bit a level, the innermost lowest: 1 for an object
    let mut depth = 0;
    let mut from = at;
    while let Some(n) = structural(&bytes[from..]) {
        let here = from + n;
        from = here + 1;
        match bytes[here] {
            b'"' => from = string_end(bytes, here)?.0,
            open @ (b'{' | b'[') => {
                if depth == MAX_DEPTH - 1 {
                    return fail(here, JsonProblem::TooDeep);
                }
                depth += 1;
                kinds = kinds << 1 | u128::from(open == b'{');
            }
            close => {
                if (kinds & 1 == 1) != (close == b'}') {
                    return fail(here, JsonProblem::Mismatched);
                }
                kinds >>= 1;
                depth -= 1;
                if depth == 0 {
                    return Ok(from);
                }
            }
        }
    }
    fail(bytes.len(), JsonProblem::Truncated)
}

/// Where the next quote or bracket of any kind stands.
pub(super) fn structural(bytes: &[u8]) -> Option<usize> {
    // `[` and `{`, and `]` and `}`, differ in the bit 0x20 alone.
    let is = |b: u8| b == b'"' || b | 0x20 == b'{' || b | 0x20 == b'}';
    let hits = |word: u64| {
        let folded = word | words::each(0x20);
        words::equal(word, b'"') | words::equal(folded, b'{') | words::equal(folded, b'}')
    };
    const BLOCK: usize = 64;
    let mut at = match words::find_near(bytes, 0, hits) {
        Ok(found) => return Some(found),
        Err(from) => from,
    };
    // Long runs without any (numbers of an embedding) go by in blocks, which the compiler turns into SIMD.
    while let Some(block) = bytes.get(at..at + BLOCK) {
        if block.iter().fold(false, |any, &b| any | is(b)) {
            break;
        }
        at += BLOCK;
    }
    bytes[at..].iter().position(|&b| is(b)).map(|n| at + n)
}

/// Fails when anything but white space stands at or after `at`.
pub(super) fn nothing_follows(bytes: &[u8], at: usize) -> Result<(), JsonError> {
    let at = skip_space(bytes, at);
    if at == bytes.len() { Ok(()) } else { fail(at, JsonProblem::Trailing) }
}
