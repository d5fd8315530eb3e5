//! What a call tells the developer of its own cost and time: headers where the answer is whole before its head goes
//! out, trailers where the client takes them, a comment at the end of an event stream where that is asked for.

use bytes::Bytes;
use smallvec::SmallVec;

use super::answer::Answer;
use crate::http1::Headers;
use crate::metering::{Exchange, SoFar};

const COST: &str = "x-faregate-cost";
const LIST_COST: &str = "x-faregate-list-cost";
const TTFT: &str = "x-faregate-ttft-ms";
const OVERHEAD: &str = "x-faregate-overhead-us";

/// Announces the trailers (RFC 9110 section 6.6.2).
pub(super) const ANNOUNCED: &[u8] =
    b"x-faregate-cost, x-faregate-list-cost, x-faregate-ttft-ms, x-faregate-overhead-us";

/// Adds what is known to the answer's head.
pub(super) fn add_headers(answer: &mut Answer, exchange: &mut Exchange) {
    each_field(exchange.so_far(), |name, value| answer.header(name, value));
}

/// The provider's trailers, and ours after them.
pub(super) fn trailers(provider: Option<&Headers>, exchange: &mut Exchange) -> Headers {
    let mut ours: SmallVec<[(&str, Vec<u8>); 4]> = SmallVec::new();
    each_field(exchange.so_far(), |name, value| ours.push((name, value.to_vec())));
    let theirs = provider.into_iter().flat_map(Headers::iter).filter(|(name, _)| !is_ours(name));
    Headers::from_pairs(theirs.chain(ours.iter().map(|(name, value)| (name.as_bytes(), &**value))))
}

/// The same as a comment, which parsers of event streams pass over (WHATWG HTML, 9.2.6).
pub(super) fn comment(exchange: &mut Exchange) -> Bytes {
    let mut text = vec![b':'];
    each_field(exchange.so_far(), |name, value| {
        text.push(b' ');
        text.extend_from_slice(name.as_bytes());
        text.push(b'=');
        text.extend_from_slice(value);
    });
    text.extend_from_slice(b"\n\n");
    text.into()
}

fn is_ours(name: &[u8]) -> bool {
    name.len() > 11 && name[..11].eq_ignore_ascii_case(b"x-faregate-")
}

fn each_field(it: SoFar, mut field: impl FnMut(&'static str, &[u8])) {
    let mut amount = Vec::new();
    for (name, cost) in [(COST, it.cost), (LIST_COST, it.list_cost)] {
        match cost {
            Some(Some(cost)) => {
                amount.clear();
                cost.write_to(&mut amount);
                field(name, &amount);
            }
            Some(None) => field(name, b"unknown"),
            None => {}
        }
    }
    let mut whole = itoa::Buffer::new();
    if let Some(ttft) = it.ttft {
        field(TTFT, whole.format(ttft.as_millis()).as_bytes());
    }
    field(OVERHEAD, whole.format(it.overhead.as_micros()).as_bytes());
}
