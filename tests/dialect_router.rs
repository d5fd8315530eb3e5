//! What a router adds to an answer for Faregate alone is taken out again, to the byte: recorded answers into which it is
//! put come out as they were recorded, however they are split, and tell what was put in.

mod traffic;

use std::time::Duration;

use bytes::Bytes;
use faregate::chat::RouterTold;
use faregate::dialect::{Operation, Tap};
use smallvec::SmallVec;

const MEMBER: &str = r#""openrouter_metadata": {"requested":"a/b","strategy":"direct","region":"iad","summary":"{\"x\": [}","attempt":1,"is_byok":false,"endpoints":{"total":1,"available":[{"provider":"Somebody","model":"a/b","selected":true}]},"generation_time":2016}"#;

/// Numbers that look random, the same on every machine.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

/// Places in a JSON object where a member may be put: right behind its opening bracket's white space (`true`), and
/// right behind each value. A plain scan of its own, not the one that is tested.
fn places(object: &str) -> Vec<(usize, bool)> {
    let bytes = object.as_bytes();
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut places = Vec::new();
    let mut last = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if quoted {
            (quoted, escaped) = (escaped || *byte != b'"', !escaped && *byte == b'\\');
        } else {
            let ends = depth == 1 && matches!(byte, b',' | b'}');
            if ends && places.iter().any(|(_, front)| *front) {
                places.push((last, false));
            }
            match byte {
                b'"' => quoted = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            if depth == 1 && *byte == b'"' && places.is_empty() {
                places.push((at, true));
            }
        }
        if !byte.is_ascii_whitespace() {
            last = at + 1;
        }
    }
    places
}

/// `object` with the member at one of its places.
fn with_member(object: &str, seeded: &mut Seeded) -> Option<String> {
    let places = places(object);
    let (at, front) = *places.get(seeded.below(places.len()))?;
    let put = if front { format!("{MEMBER} , ") } else { format!(" , {MEMBER}") };
    Some(format!("{}{put}{}", &object[..at], &object[at..]))
}

/// The answer as it comes out, and what it told.
fn through(mut tap: Tap, body: &[u8], seeded: &mut Seeded, cuts: usize) -> (Vec<u8>, Tap) {
    let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
    let mut at: Vec<usize> = (0..cuts).map(|_| seeded.below(body.len() + 1)).collect();
    at.sort_unstable();
    let mut from = 0;
    for to in at.into_iter().chain([body.len()]) {
        tap.feed(Bytes::copy_from_slice(&body[from..to]), &mut out);
        from = to;
    }
    tap.finish(&mut out);
    (out.concat(), tap)
}

fn operation(api: &str) -> Option<Operation> {
    Some(match api {
        "chat_completions" => Operation::Chat,
        "responses" => Operation::Responses,
        "completions" => Operation::Completions,
        "messages" => Operation::Messages,
        _ => return None,
    })
}

/// The last event of a stream whose data is an object, with the member in it; in the object right inside it where
/// that is a response's.
fn put_into_stream(body: &str, seeded: &mut Seeded) -> Option<String> {
    let start = body.rmatch_indices("data: {").map(|(at, _)| at + "data: ".len()).next()?;
    let end = start + body[start..].find('\n')?;
    let object = body[start..end].trim_end_matches('\r');
    let inner = object.find(r#""response":{"#).map(|at| at + r#""response":"#.len());
    let changed = match inner.filter(|_| seeded.below(2) == 0) {
        Some(at) => {
            let mut values = serde_json::Deserializer::from_str(&object[at..]).into_iter::<serde::de::IgnoredAny>();
            values.next()?.ok()?;
            let to = at + values.byte_offset();
            format!("{}{}{}", &object[..at], with_member(&object[at..to], seeded)?, &object[to..])
        }
        None => with_member(object, seeded)?,
    };
    Some(format!("{}{changed}{}", &body[..start], &body[start + object.len()..]))
}

#[test]
fn recorded_answers_come_out_as_they_were_recorded() {
    let Some(exchanges) = traffic::exchanges("recorded_answers_come_out_as_they_were_recorded") else { return };
    let mut seeded = Seeded(0x0b5e55);
    let (mut bodies, mut streams) = (0, 0);
    for exchange in exchanges.iter().filter(|exchange| exchange.status == 200 && exchange.body.len() < 300_000) {
        let Some(operation) = operation(&exchange.api) else { continue };
        let Ok(text) = std::str::from_utf8(&exchange.body) else { continue };
        let events = exchange.is_events();
        for _ in 0..3 {
            let put = if events { put_into_stream(text, &mut seeded) } else { with_member(text, &mut seeded) };
            let Some(put) = put else { continue };
            let tap = || Tap::new(operation.dialect(), operation, events, false);
            let (_, plain) = through(tap(), text.as_bytes(), &mut seeded, 0);
            for cuts in [0, 1, 40] {
                let (out, told) = through(tap().expecting_router(true), put.as_bytes(), &mut seeded, cuts);
                assert_eq!(String::from_utf8_lossy(&out), text, "{}: {put}", exchange.id);
                let router = RouterTold { generation: Some(Duration::from_millis(2016)), region: Some("iad".into()) };
                // Of an event that is named an error nothing but the error is read.
                if plain.error().is_none() {
                    assert_eq!(told.router(), Some(&router), "{}", exchange.id);
                    assert_eq!(told.served_by(), Some(plain.served_by().unwrap_or("Somebody")), "{}", exchange.id);
                }
                let facts = |tap: &Tap| (tap.usage(), tap.error().cloned(), tap.content_started(), tap.ended());
                assert_eq!(facts(&told), facts(&plain), "{}", exchange.id);
            }
            // A client that asked itself sees all of it, and it is read all the same.
            let (out, told) = through(tap().expecting_router(false), put.as_bytes(), &mut seeded, 5);
            assert_eq!(out, put.as_bytes(), "{}", exchange.id);
            assert!(told.router().is_some() || plain.error().is_some(), "{}", exchange.id);
            *if events { &mut streams } else { &mut bodies } += 1;
        }
    }
    println!("{bodies} bodies, {streams} streams");
    assert!(bodies > 500 && streams > 300, "{bodies} bodies, {streams} streams");
}

/// A chunk that was added for the member alone goes as a whole.
#[test]
fn a_chunk_of_its_own_goes_with_it() {
    let content = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    let own = format!("data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[],{MEMBER}}}\n\n");
    let stream = format!("{content}{own}data: [DONE]\n\n");
    let mut seeded = Seeded(3);
    for cuts in 0..60 {
        let tap = Tap::new(Operation::Chat.dialect(), Operation::Chat, true, false).expecting_router(true);
        let (out, tap) = through(tap, stream.as_bytes(), &mut seeded, cuts);
        assert_eq!(String::from_utf8_lossy(&out), format!("{content}data: [DONE]\n\n"));
        assert!(tap.router().is_some() && tap.ended());
    }
}

/// What is too long to be held back passes as it is, and is read all the same.
#[test]
fn beyond_a_mebibyte_nothing_is_held_back_or_changed() {
    let text = "z".repeat(1_200_000);
    let body = format!("{{\"choices\":[{{\"message\":{{\"content\":\"{text}\"}}}}],{MEMBER}}}");
    let event =
        format!("data: {{\"type\":\"response.completed\",\"response\":{{\"output\":\"{text}\",{MEMBER}}}}}\n\n");
    let mut seeded = Seeded(17);
    for cuts in [0, 1, 300] {
        for (operation, events, answer) in [(Operation::Chat, false, &body), (Operation::Responses, true, &event)] {
            let tap = Tap::new(operation.dialect(), operation, events, false).expecting_router(true);
            let (out, tap) = through(tap, answer.as_bytes(), &mut seeded, cuts);
            assert!(out == answer.as_bytes(), "{operation:?}, {cuts} cuts");
            assert_eq!(tap.router().and_then(|told| told.generation), Some(Duration::from_millis(2016)));
        }
    }
}

/// No more is held back than what is not complete.
#[test]
fn an_event_is_out_once_its_last_byte_is_in() {
    let mut tap = Tap::new(Operation::Chat.dialect(), Operation::Chat, true, false).expecting_router(true);
    let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    for n in 1..=3 {
        for byte in event.bytes() {
            tap.feed(Bytes::copy_from_slice(&[byte]), &mut out);
        }
        assert_eq!(out.concat(), event.repeat(n).as_bytes());
        assert!(!tap.mid_event());
    }
    tap.feed(Bytes::from_static(b"data: {"), &mut out);
    assert!(!tap.mid_event(), "nothing of it is out");
}
