//! The tap's promises: what it hands on, and what it saw, do not depend on how the bytes were split; it changes no
//! byte but what it is told to leave out: the usage chunk, and what a router tells of itself.

mod traffic;

use bytes::Bytes;
use faregate::chat::{RouterTold, UsageReport};
use faregate::dialect::{DialectId, Operation, Tap, UpstreamError};
use proptest::prelude::*;
use smallvec::SmallVec;

/// All that a tap tells of one response.
#[derive(Debug, PartialEq)]
struct Told {
    out: Vec<u8>,
    usage: UsageReport,
    error: Option<UpstreamError>,
    model: Option<String>,
    router: Option<RouterTold>,
    served_by: Option<String>,
    content: bool,
    ended: bool,
    events: bool,
    /// Bytes handed on when content was first seen; streams without stripping only.
    until_content: Option<usize>,
}

/// Runs a response through a tap, cut at `cuts`.
fn run(operation: Operation, events: bool, strip: bool, body: &[u8], cuts: &[usize]) -> Told {
    run_by(Tap::new(operation.dialect(), operation, events, strip), strip, body, cuts)
}

/// The same with a router that was asked for Faregate's own sake.
fn run_router(operation: Operation, events: bool, strip: bool, body: &[u8], cuts: &[usize]) -> Told {
    let tap = Tap::new(operation.dialect(), operation, events, strip).expecting_router(true);
    run_by(tap, true, body, cuts)
}

/// `holds`: it may hold back what is not complete.
fn run_by(mut tap: Tap, holds: bool, body: &[u8], cuts: &[usize]) -> Told {
    let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
    let (mut from, mut fed) = (0, 0);
    let mut seen_at = None;
    for to in cuts.iter().copied().chain([body.len()]) {
        let piece = Bytes::copy_from_slice(&body[from..to]);
        fed += piece.len();
        tap.feed(piece, &mut out);
        if !holds {
            // Nothing is held back.
            assert_eq!(out.iter().map(Bytes::len).sum::<usize>(), fed);
        }
        if seen_at.is_none() && tap.content_started() {
            seen_at = Some(to);
        }
        from = to;
    }
    tap.finish(&mut out);
    Told {
        out: out.concat(),
        usage: tap.usage(),
        error: tap.error().cloned(),
        model: tap.served_model().map(str::to_owned),
        router: tap.router().cloned(),
        served_by: tap.served_by().map(str::to_owned),
        content: tap.content_started(),
        ended: tap.ended(),
        events: tap.is_event_stream(),
        until_content: seen_at,
    }
}

/// A small generator of numbers, the same on every machine.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    fn cuts(&mut self, length: usize, many: usize) -> Vec<usize> {
        let mut cuts: Vec<usize> = (0..many).map(|_| self.below(length + 1)).collect();
        cuts.sort_unstable();
        cuts
    }
}

type Reading = fn(Operation, bool, bool, &[u8], &[usize]) -> Told;

/// Compares every split with the response in one piece. Where content is first seen, a split may only be later than
/// the first cut after the event that brought it.
fn check(id: &str, operation: Operation, events: bool, body: &[u8], splits: &[Vec<usize>]) {
    let readings: [(&str, Reading, bool); 3] =
        [("plain", run, false), ("stripped", run, true), ("of a router", run_router, true)];
    for (name, read, strip) in readings {
        let whole = read(operation, events, strip, body, &[]);
        if !strip {
            assert_eq!(whole.out, body, "{id}: bytes changed");
        }
        for cuts in splits {
            let mut split = read(operation, events, strip, body, cuts);
            split.until_content = whole.until_content;
            assert_eq!(split, whole, "{id}, {name}, cut at {cuts:?}");
        }
    }
}

fn operation(api: &str) -> Option<Operation> {
    Some(match api {
        "chat_completions" => Operation::Chat,
        "responses" => Operation::Responses,
        "completions" => Operation::Completions,
        "embeddings" => Operation::Embeddings,
        "messages" | "vertex_stream_raw_predict" | "vertex_raw_predict" => Operation::Messages,
        _ => return None,
    })
}

#[test]
fn recorded_answers_however_they_are_split() {
    let Some(exchanges) = traffic::exchanges("recorded_answers_however_they_are_split") else { return };
    let mut seeded = Seeded(0x5eed);
    let mut checked = 0;
    for exchange in exchanges.iter().filter(|exchange| exchange.status == 200 && exchange.body.len() < 300_000) {
        let Some(operation) = operation(&exchange.api) else { continue };
        let length = exchange.body.len();
        let mut splits: Vec<Vec<usize>> = [1, 3, 17, 200].iter().map(|many| seeded.cuts(length, *many)).collect();
        if length < 3_000 {
            splits.push((1..length).collect());
        }
        check(&exchange.id, operation, exchange.is_events(), &exchange.body, &splits);
        checked += 1;
    }
    println!("{checked} answers");
    assert!(checked > 500);
}

/// Recorded streams written with other ends of lines say the same.
#[test]
fn ends_of_lines_make_no_difference() {
    let Some(exchanges) = traffic::exchanges("ends_of_lines_make_no_difference") else { return };
    let mut seeded = Seeded(0xc41f);
    let streams = exchanges.iter().filter(|e| e.status == 200 && e.is_events() && e.body.len() < 60_000);
    let mut checked = 0;
    for exchange in streams {
        let Some(operation) = operation(&exchange.api) else { continue };
        let text = std::str::from_utf8(&exchange.body).unwrap().replace("\r\n", "\n");
        let as_recorded = run(operation, true, true, text.as_bytes(), &[]);
        for end in ["\r\n", "\r"] {
            let written = text.replace('\n', end);
            let cuts = seeded.cuts(written.len(), 40);
            let told = run(operation, true, true, written.as_bytes(), &cuts);
            let out = String::from_utf8(told.out.clone()).unwrap().replace(end, "\n");
            assert_eq!(out.as_bytes(), as_recorded.out, "{} with {end:?}", exchange.id);
            let same = Told { out: as_recorded.out.clone(), until_content: as_recorded.until_content, ..told };
            assert_eq!(same, as_recorded, "{} with {end:?}", exchange.id);
        }
        checked += 1;
    }
    assert!(checked > 100, "{checked}");
}

/// Stripping takes exactly the events that report usage and hold no choice, as a plain reading of the stream has it.
#[test]
fn stripping_takes_the_usage_chunk_alone() {
    let Some(exchanges) = traffic::exchanges("stripping_takes_the_usage_chunk_alone") else { return };
    let mut stripped = 0;
    for exchange in exchanges.iter().filter(|exchange| exchange.status == 200 && exchange.is_events()) {
        let Some(operation) = operation(&exchange.api) else { continue };
        let told = run(operation, true, true, &exchange.body, &[]);
        let before = traffic::events(&exchange.body);
        let strips = matches!(operation, Operation::Chat | Operation::Completions);
        let kept: Vec<_> = before
            .iter()
            .filter(|(_, data)| {
                let Ok(event) = serde_json::from_str::<serde_json::Value>(data) else { return true };
                let bare = event["usage"].is_object() && event["choices"].as_array().is_some_and(Vec::is_empty);
                !(strips && bare && event["error"].is_null())
            })
            .cloned()
            .collect();
        stripped += before.len() - kept.len();
        assert_eq!(traffic::events(&told.out), kept, "{}", exchange.id);
    }
    println!("{stripped} chunks left out");
    assert!(stripped > 20, "{stripped}");
}

const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#;
const ROUTER: &str = r#""openrouter_metadata":{"region":"iad","generation_time":7,"summary":"}"}"#;
const TEXT: &str = r#"{"model":"m","choices":[{"index":0,"delta":{"content":"\"usage\" [DONE] \"error\""}}]}"#;

/// Fields, comments and data that make up the events of a stream.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(format!("data: {TEXT}")),
        Just(format!("data:{TEXT}")),
        Just(format!("data: {USAGE}")),
        Just("data: {\"choices\":[],".to_owned()),
        Just("data: \"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}".to_owned()),
        Just("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}".to_owned()),
        Just(format!("data: {TEXT}").replace("{\"model", &format!("{{{ROUTER},\"model"))),
        Just(format!("data: {{\"choices\":[], {ROUTER} }}")),
        Just(format!("data: {{\"type\":\"message_stop\",{ROUTER}}}")),
        Just(format!("data: {{\"type\":\"response.completed\",\"response\":{{{ROUTER},\"id\":1}}}}")),
        Just(format!("data: {{{ROUTER}")),
        Just(format!("data: ,{ROUTER}}}")),
        Just("data: [DONE]".to_owned()),
        Just("data".to_owned()),
        Just("data:".to_owned()),
        Just(": comment \"usage\"".to_owned()),
        Just(":".to_owned()),
        Just("event: error".to_owned()),
        Just("event:ping".to_owned()),
        Just("id: 7".to_owned()),
        Just("retry: 10".to_owned()),
        Just("data: {\"error\":{\"message\":\"no\",\"code\":429}}".to_owned()),
        Just("data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":1,\"output_tokens\":2,\"total_tokens\":3}}}".to_owned()),
        Just("data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":9}}".to_owned()),
        Just("data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}".to_owned()),
        "[ -~é✓\u{FEFF}]{0,20}",
        (0usize..4000).prop_map(|n| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}", "y".repeat(n))),
    ]
}

/// A stream of such lines, with any mixture of ends of lines, with a byte order mark or without, ended or not.
fn stream() -> impl Strategy<Value = Stream> {
    let ends = prop_oneof![4 => Just("\n\n"), 2 => Just("\n"), 2 => Just("\r\n\r\n"), 1 => Just("\r\n"), 1 => Just("\r"), 1 => Just("\r\r"), 1 => Just("\n\r"), 1 => Just("")];
    (any::<bool>(), proptest::collection::vec((line(), ends), 0..14)).prop_map(|(mark, lines)| {
        let mut stream = if mark { b"\xEF\xBB\xBF".to_vec() } else { Vec::new() };
        for (line, end) in lines {
            stream.extend_from_slice(line.as_bytes());
            stream.extend_from_slice(end.as_bytes());
        }
        Stream(stream)
    })
}

/// Shows as text when a test fails.
struct Stream(Vec<u8>);

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_streams_however_they_are_split(stream in stream(), seed in 1u64.., op in 0usize..4) {
        let operation = [Operation::Chat, Operation::Completions, Operation::Responses, Operation::Messages][op];
        let stream = stream.0;
        let mut seeded = Seeded(seed);
        let mut splits: Vec<Vec<usize>> = [1, 4, 30].iter().map(|many| seeded.cuts(stream.len(), *many)).collect();
        if stream.len() < 600 {
            splits.push((1..stream.len()).collect());
        }
        check("generated", operation, true, &stream, &splits);
    }

    /// Bytes of any kind, as a stream and as a body, do no harm and arrive as they are.
    #[test]
    fn any_bytes_arrive(body in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'{'), Just(b'"'), Just(b'\n'), Just(b'\r'), Just(b':')], 0..400).prop_map(Stream), seed in 1u64.., events: bool, op in 0usize..4) {
        let operation = [Operation::Chat, Operation::Embeddings, Operation::Responses, Operation::Messages][op];
        let body = body.0;
        let splits = [Seeded(seed).cuts(body.len(), 5)];
        check("any bytes", operation, events && operation != Operation::Embeddings, &body, &splits);
    }
}

/// An event of more than a mebibyte passes without being held, and its usage is read all the same.
#[test]
fn events_over_a_mebibyte() {
    let text = "z".repeat(1_500_000);
    let usage = r#""usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7}"#;
    let event = |kind: &str| {
        format!(
            "event: {kind}\ndata: {{\"type\":\"{kind}\",\"response\":{{\"model\":\"m\",\"output\":[{{\"text\":\"{text}\"}}],{usage}}}}}\n\n"
        )
    };
    let mut seeded = Seeded(99);
    let stream = event("response.completed");
    let splits: Vec<_> = [1, 100, 2000].iter().map(|many| seeded.cuts(stream.len(), *many)).collect();
    check("large", Operation::Responses, true, stream.as_bytes(), &splits);
    let told = run(Operation::Responses, true, false, stream.as_bytes(), &splits[1]);
    let usage = faregate::chat::Usage { input: 3, output: 4, ..Default::default() };
    assert_eq!((told.usage, told.ended), (UsageReport::Reported(usage), true));
    // An announcement that large is none the less an announcement.
    let announced = run(Operation::Responses, true, false, event("response.created").as_bytes(), &[]);
    assert!(!announced.content);

    let chat = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\ndata: {USAGE}\n\ndata: [DONE]\n\n"
    );
    let splits = [seeded.cuts(chat.len(), 50)];
    check("large chat", Operation::Chat, true, chat.as_bytes(), &splits);
    let told = run(Operation::Chat, true, true, chat.as_bytes(), &splits[0]);
    assert!(told.content && told.ended && told.usage.usage().is_some());
    assert_eq!(told.out.len(), chat.len() - USAGE.len() - "data: \n\n".len());
}

/// With stripping, no more than one event is held back: each event is out once its last byte is in.
#[test]
fn stripping_holds_one_event_back_at_most() {
    let mut tap = Tap::new(DialectId::OpenAi, Operation::Chat, true, true);
    let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
    let event = format!("data: {TEXT}\r\n\r\n");
    let mut whole = 0;
    for _ in 0..3 {
        for (at, byte) in event.bytes().enumerate() {
            tap.feed(Bytes::copy_from_slice(&[byte]), &mut out);
            let handed_on = out.iter().map(Bytes::len).sum::<usize>();
            // The CR of the empty line ends the event; its LF follows alone.
            let due = if at + 2 >= event.len() { at + 1 } else { 0 };
            assert_eq!(handed_on, whole + due, "after byte {at}");
        }
        whole += event.len();
    }
    assert_eq!(out.concat(), event.repeat(3).as_bytes());
}
