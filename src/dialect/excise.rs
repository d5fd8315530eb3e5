//! Taking one member out of a JSON object, and no other byte: the places that go, found without building a tree.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use super::json::{JsonError, Members};
use super::router::{INSIDE, MEMBER};

/// Places to leave out, in order; none overlaps another.
pub(super) type Cuts = SmallVec<[Range<usize>; 2]>;

/// Where the router's member stands in the object `bytes`, or in the one right inside it, each with the comma that it
/// brought. None where the object cannot be read.
pub(super) fn cuts(bytes: &[u8]) -> Cuts {
    let mut cuts = Cuts::new();
    if find(bytes, 0, true, &mut cuts).is_err() {
        cuts.clear();
    }
    cuts
}

/// `base`: where `bytes` stands in what is cut.
fn find(bytes: &[u8], base: usize, enter: bool, cuts: &mut Cuts) -> Result<(), JsonError> {
    let mut members = Members::open(bytes, base)?;
    // Where the member before ends, once one stays; until then, what goes at the front.
    let mut before: Option<usize> = None;
    let mut front: Option<Range<usize>> = None;
    while let Some(member) = members.next()? {
        if let Some(front) = &mut front {
            front.end = member.start;
        }
        let goes = *member.key() == *MEMBER.as_bytes();
        match (goes, before) {
            // With what stands between it and the member before: a comma, and white space.
            (true, Some(before)) => cuts.push(before..member.span.end),
            // With what stands between it and the next one.
            (true, None) => front = Some(front.map_or(member.start, |front| front.start)..member.span.end),
            (false, _) => {
                cuts.extend(front.take());
                if enter && *member.key() == *INSIDE.as_bytes() && member.value.starts_with(b"{") {
                    find(bytes, member.span.start, false, cuts)?;
                }
            }
        }
        if !goes || before.is_some() {
            before = Some(member.span.end);
        }
    }
    cuts.extend(front);
    Ok(())
}

/// Hands on `pieces`, which belong together, without what is cut; nothing is copied.
pub(super) fn without(pieces: impl IntoIterator<Item = Bytes>, cuts: &[Range<usize>], out: &mut SmallVec<[Bytes; 4]>) {
    let mut base = 0;
    for piece in pieces {
        let end = base + piece.len();
        let mut from = base;
        for cut in cuts.iter().filter(|cut| cut.end > base && cut.start < end) {
            let to = cut.start.max(base);
            if from < to {
                out.push(piece.slice(from - base..to - base));
            }
            from = cut.end.min(end);
        }
        if from < end {
            out.push(piece.slice(from - base..));
        }
        base = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> String {
        let cuts = cuts(text.as_bytes());
        // However the bytes are split.
        let mut whole = SmallVec::new();
        without([Bytes::copy_from_slice(text.as_bytes())], &cuts, &mut whole);
        let mut single = SmallVec::new();
        let bytes = text.bytes().map(|byte| Bytes::copy_from_slice(&[byte]));
        without(bytes, &cuts, &mut single);
        assert_eq!(whole.concat(), single.concat());
        String::from_utf8(whole.concat()).expect("text")
    }

    #[test]
    fn the_member_goes_with_one_comma_wherever_it_stands() {
        for (text, left) in [
            (r#"{"a":1,"openrouter_metadata":{"x":[1,"}"]},"b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":1,"openrouter_metadata":null}"#, r#"{"a":1}"#),
            (r#"{"openrouter_metadata":{},"a":1}"#, r#"{"a":1}"#),
            (r#"{"openrouter_metadata":{}}"#, "{}"),
            ("{\n  \"a\": 1,\n  \"openrouter_metadata\": {}\n}\n", "{\n  \"a\": 1\n}\n"),
            ("{\n  \"openrouter_metadata\" : {} ,\n  \"a\": 1\n}", "{\n  \"a\": 1\n}"),
            (r#" {"a":1 , "openrouter_metadata":7 , "b":2} "#, r#" {"a":1 , "b":2} "#),
            (
                r#"{"openrouter_metadata":1,"openrouter_metadata":2,"a":3,"openrouter_metadata":4,"b":5}"#,
                r#"{"a":3,"b":5}"#,
            ),
            (r#"{"a":1,"openrouter_metadata":2,"openrouter_metadata":3}"#, r#"{"a":1}"#),
            (r#"{"a":1,"openrouter\u005fmetadata":2}"#, r#"{"a":1}"#),
        ] {
            assert_eq!(cut(text), left, "{text}");
        }
    }

    #[test]
    fn the_one_inside_a_response_goes_too_and_no_deeper_one() {
        let text =
            r#"{"type":"response.completed","response":{"id":"r","openrouter_metadata":{"region":"iad"}},"n":1}"#;
        assert_eq!(cut(text), r#"{"type":"response.completed","response":{"id":"r"},"n":1}"#);
        let both = r#"{"openrouter_metadata":1,"response":{"openrouter_metadata":2,"id":"r"},"openrouter_metadata":3}"#;
        assert_eq!(cut(both), r#"{"response":{"id":"r"}}"#);
        for text in [
            r#"{"choices":[{"message":{"content":"\"openrouter_metadata\":1","openrouter_metadata":{}}}]}"#,
            r#"{"other":{"openrouter_metadata":1},"response":{"response":{"openrouter_metadata":1}}}"#,
        ] {
            assert_eq!(cut(text), text);
        }
    }

    #[test]
    fn what_cannot_be_read_stays_as_it_is() {
        for text in
            ["", "[]", "[DONE]", r#"{"a":1,"openrouter_metadata":{}"#, r#"{"openrouter_metadata":{},"a""#, "{,}"]
        {
            assert_eq!(cut(text), text);
        }
    }
}
