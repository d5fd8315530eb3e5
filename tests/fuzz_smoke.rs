//! The fuzz targets' bodies on mutated inputs, seeded and bounded, so that every run of the tests covers them.
//!
//! The inputs are recorded traffic where there is some, and a few of our own in any case.

#[path = "../fuzz/src/lib.rs"]
mod fuzz;
mod traffic;

use std::time::Duration;

use faregate::config::MAX_FILE;
use faregate::distribution::{PackError, ToControl, ToSidecar, pack, unpack};

/// Mutations of each target's inputs, where FAREGATE_FUZZ_ROUNDS does not say how many.
const ROUNDS: usize = 3000;

/// Words that parsers look at.
const WORDS: [&[u8]; 24] = [
    b"data: ",
    b"event: error\n",
    b"\n\n",
    b"\r\n",
    b"\r",
    b"\"usage\":{",
    b"\"model\":\"x\",",
    b"\"mod\\u0065l\"",
    b"\"stream\":true",
    b"\"stream_options\":{}",
    b"\"error\":",
    b"[DONE]",
    b"\\\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"\xEF\xBB\xBF",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"1e999",
    b"\0",
];

struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    /// A few changes to an input, and another input spliced in at times.
    fn mutate(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..self.below(6) {
            let at = self.below(bytes.len() + 1);
            let to = (at + self.below(40)).min(bytes.len());
            match self.below(6) {
                0 => drop(bytes.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied())),
                1 => drop(bytes.drain(at..to)),
                2 => bytes[at..to].iter_mut().take(1).for_each(|byte| *byte ^= 1 << (self.0 % 8)),
                3 => drop(bytes.splice(at..to, WORDS[self.below(WORDS.len())].iter().copied())),
                4 => {
                    let copied = bytes[at..to].to_vec();
                    bytes.splice(at..at, copied);
                }
                _ => {
                    let from = self.below(other.len());
                    bytes.splice(at..at, other[from..(from + self.below(200)).min(other.len())].iter().copied());
                }
            }
        }
        bytes
    }
}

/// Runs a target on the inputs and on mutations of them; what fails it is shown as text.
fn run(seed: u64, inputs: &[Vec<u8>], target: fn(&[u8])) {
    let rounds = std::env::var("FAREGATE_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let mut seeded = Seeded(seed);
    for input in inputs.iter().take(ROUNDS) {
        check(&with_choices(&mut seeded, input), target);
    }
    for _ in 0..rounds {
        let (one, other) = (seeded.below(inputs.len()), seeded.below(inputs.len()));
        let mutated = seeded.mutate(&inputs[one], &inputs[other]);
        check(&with_choices(&mut seeded, &mutated), target);
    }
}

fn check(input: &[u8], target: fn(&[u8])) {
    if let Err(panic) = std::panic::catch_unwind(|| target(input)) {
        eprintln!("failed by b\"{}\"", input.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

/// The bytes that choose stand in front.
fn with_choices(seeded: &mut Seeded, input: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..5).map(|_| seeded.below(256) as u8).collect();
    bytes.extend_from_slice(input);
    bytes
}

/// Recorded bodies of up to 8 KiB, and what is given.
fn inputs(pick: fn(&traffic::Exchange) -> Option<Vec<u8>>, own: &[&[u8]]) -> Vec<Vec<u8>> {
    let recorded = traffic::exchanges("fuzz_smoke: the recorded inputs").unwrap_or_default();
    let small = recorded.iter().filter_map(pick).filter(|body| body.len() <= 8192);
    small.chain(own.iter().map(|own| own.to_vec())).collect()
}

#[test]
fn tap() {
    let own: &[&[u8]] = &[
        b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\r\n\r\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}\r\n\r\ndata: [DONE]\r\n\r\n",
        b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":3}}}\n\n",
        b"{\"object\":\"error\",\"message\":\"m\"}",
    ];
    run(0x7a9, &inputs(|exchange| (exchange.status == 200).then(|| exchange.body.clone()), own), fuzz::tap);
}

#[test]
fn native() {
    let own: &[&[u8]] = &[
        b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}],\"usageMetadata\":{\"promptTokenCount\":7,\"totalTokenCount\":7}}\r\n\r\n",
        b"[{\"usageMetadata\":{\"promptTokenCount\":7}}\n,\n{\"usageMetadata\":{\"promptTokenCount\":7,\"totalTokenCount\":7}}]",
        b"{\"message\":{\"content\":\"x\"},\"done\":false}\n{\"done\":true,\"prompt_eval_count\":2,\"eval_count\":3}\n",
        b"\0\0\0\x14\0\0\0\0\0\0\0\0{}{}\0\0\0\0",
    ];
    let picked = |exchange: &traffic::Exchange| {
        let native = faregate::dialect::native(&exchange.method.parse().ok()?, exchange.path())?;
        (exchange.status == 200 && native.operation.dialect() != faregate::dialect::DialectId::Anthropic)
            .then(|| exchange.body.clone())
    };
    run(0x4a7, &inputs(picked, own), fuzz::native);
}

#[test]
fn model() {
    let own: &[&[u8]] = &[
        br#"{"mod\u0065l":"a","model":"b","stream":true,"messages":[{"role":"user","content":"\"model\":\"c\""}]}"#,
        br#" {"stream_options":null,"stream":true} "#,
        br"{}",
    ];
    run(0x30d, &inputs(|exchange| exchange.request_body.clone(), own), fuzz::model);
}

#[test]
fn error() {
    let own: &[&[u8]] =
        &[br#"{"error":{"message":"m","code":429}}"#, b"<html><body>502 Bad Gateway</body></html>", b""];
    run(0xe44, &inputs(|exchange| (exchange.status >= 400).then(|| exchange.body.clone()), own), fuzz::error);
}

#[test]
fn request() {
    let own: Vec<Vec<u8>> = [
        &b"POST /v1/chat HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: h\r\n\r\n"[..],
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: v\r\n\r\nPUT /x HTTP/1.0\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
        b"GET http://h/p?q HTTP/1.1\r\nHost: h\r\nConnection: close, x\r\n\r\n",
    ]
    .map(<[u8]>::to_vec)
    .into();
    run(0x4e9, &own, fuzz::request);
}

#[test]
fn response() {
    let own: Vec<Vec<u8>> = [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.0 404\r\n\r\nuntil close",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ]
    .map(<[u8]>::to_vec)
    .into();
    run(0x4e5, &own, fuzz::response);
}

#[test]
fn chunked() {
    let own: Vec<Vec<u8>> =
        [&b"5\r\nhello\r\n0\r\n\r\n"[..], b"a;x=\"y\"\r\n0123456789\r\n000\r\nT: v\r\n\r\nnext", b"1\r\nx\r\n"]
            .map(<[u8]>::to_vec)
            .into();
    run(0xc4c, &own, fuzz::chunked);
}

#[test]
fn config() {
    let presets = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/config/presets.yaml")).unwrap();
    let own: Vec<Vec<u8>> = vec![
        b"server: { listen: 127.0.0.1:4000 }\nproviders:\n  a:\n    base_url: http://h/v1\n    credentials: { env: KEY }\nroutes:\n- name: r\n  match: { model: [\"gpt-*\", x] }\n  targets:\n  - { provider: a, model: m, weight: 3 }\n".to_vec(),
        b"providers: &p\n  openai: {}\naliases: { fast: gpt-5 }\ndefaults: { timeouts: { connect: 5s }, retry: { on: [timeout] } }\n".to_vec(),
        b"a: [b, {c: 'd'}, \"e\\n\", |\n  f\n".to_vec(),
        presets[..presets.len().min(4000)].to_vec(),
    ];
    run(0xc0f, &own, fuzz::config);
}

#[test]
fn records() {
    let records = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/billing/golden/usage.jsonl")).unwrap();
    let own: Vec<Vec<u8>> = records
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .chain([
            br#"{"time":"9999-12-31T23:59:60.999999Z","outcome":"ok","tokens":{"input":18446744073709551615,"cache_read":18446744073709551615},"cost":{"list":-1e11,"billed":"99999999999","effective":1e-18}}"#.to_vec(),
            br#"{"time":"0000-01-01T00:00:00-23:59","outcome":"","provider":"","model_sent":"","attempts":[{"provider":"","outcome":""}],"ttft_ms":1e308}"#.to_vec(),
        ])
        .collect();
    run(0xb11, &own, fuzz::records);
}

/// What control and a sidecar say to each other, as they say it.
fn said() -> [Vec<u8>; 2] {
    let table = "providers:\n  a: { base_url: http://h/v1, credentials: { env: KEY } }\nroutes:\n- { name: r, targets: [{ provider: a }] }\n";
    let hash = || "0123456789abcdef".to_owned();
    let control = [
        ToSidecar::Ping { next: Duration::from_secs(25) },
        ToSidecar::Trust { pem: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".into() },
        ToSidecar::Table { hash: hash(), packed: pack(table) },
        ToSidecar::Keep { hash: hash() },
        ToSidecar::None,
        ToSidecar::Bye { reason: "control stops; come again".into() },
    ];
    let sidecar = [
        ToControl::Hello { version: "0.1.0".into(), table: Some(hash()) },
        ToControl::Nack { hash: hash(), reason: "control:2:9: KEY is not set\nand \u{e9}\u{7}".into() },
        ToControl::Ack { hash: hash() },
        ToControl::Pong,
    ];
    let mut wires = [Vec::new(), Vec::new()];
    control.iter().for_each(|message| message.write(&mut wires[0]));
    sidecar.iter().for_each(|message| message.write(&mut wires[1]));
    wires
}

#[test]
fn frames() {
    let mut own: Vec<Vec<u8>> = said().into();
    // Of kinds that nobody knows; longer than any may be; longer than it is; and a table that is small only while packed.
    own.push(vec![99, 0, 0, 0, 3, 1, 2, 3, 2, 0, 0, 0, 2, 1, b'a']);
    own.push(vec![66, 0xff, 0xff, 0xff, 0xff, 1]);
    own.push(vec![67, 0, 0, 0, 9, 200, b'a']);
    let mut large = Vec::new();
    ToSidecar::Table { hash: "1".into(), packed: pack(&" ".repeat(200_000)) }.write(&mut large);
    own.push(large);
    own.push(pack("a: 1\n").to_vec());
    run(0xf4a, &own, fuzz::frames);
}

/// A table that is small only while it is packed, by one byte more than may be.
#[test]
fn a_frame_that_unpacks_to_more_than_a_table_may_have_is_refused() {
    let bomb = pack(&" ".repeat(usize::try_from(MAX_FILE).unwrap() + 1));
    assert!(bomb.len() < 128 << 10, "{} bytes", bomb.len());
    assert!(matches!(unpack(&bomb), Err(PackError::TooLarge)));
    let mut wire = vec![0; 5];
    ToSidecar::Table { hash: "1".into(), packed: bomb }.write(&mut wire);
    fuzz::frames(&wire);
}
