//! What the parts of a call cost: heads, model scan, patch, the tap, a usage record, money.
//!
//! `cargo bench --bench parts`; `-- --quick` for a run that only finds errors.

mod timing;

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use faregate::chat::{Money, ServiceTier, StatedCost, Usage, UsageReport};
use faregate::dialect::{DialectId, Operation, Tap, scan};
use faregate::http1;
use faregate::metering::{Exchange, Meter, MeterOptions, Opened, Outcome, RequestId, TargetMeter};
use faregate::pricing::{PriceBook, Seller};
use faregate::telemetry::Telemetry;
use timing::time;

const REQUEST: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:4000\r\nAccept: application/json\r\n\
Content-Type: application/json\r\nUser-Agent: OpenAI/Python 2.8.0\r\nX-Stainless-Lang: python\r\nX-Stainless-Package-Version: 2.8.0\r\n\
X-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\nX-Stainless-Retry-Count: 0\r\n\
X-Stainless-Read-Timeout: 600\r\nAuthorization: Bearer sk-0123456789\r\nAccept-Encoding: gzip, deflate\r\nContent-Length: 1024\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ndate: Wed, 25 Nov 2026 10:00:00 GMT\r\ncontent-type: application/json\r\n\
x-request-id: req_0123456789\r\nopenai-processing-ms: 312\r\nx-ratelimit-remaining-requests: 9999\r\ncontent-length: 640\r\n\r\n";

const EVENT: &[u8] =
    b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":\"m\",\
\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}],\"usage\":null}\n\n";

const USAGE: &[u8] =
    b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":\"m\",\
\"choices\":[],\"usage\":{\"prompt_tokens\":230,\"completion_tokens\":50,\"total_tokens\":280}}\n\ndata: [DONE]\n\n";

/// A chat request of `size` bytes that names its model last, as some SDKs do.
fn body(size: usize) -> Bytes {
    let start = r#"{"messages":[{"role":"system","content":"Be terse."},{"role":"user","content":""#;
    let end = r#""}],"stream":true,"model":"gpt-bench"}"#;
    let text = "How long does it take, and \\\"why\\\"? ".repeat(size / 32);
    format!("{start}{}{end}", &text[..(size - start.len() - end.len()) / 36 * 36]).into()
}

fn main() {
    if !timing::wanted() {
        return;
    }
    heads();
    for (name, size) in [("1 KB", 1 << 10), ("1 MB", 1 << 20)] {
        let body = body(size);
        let facts = scan(Operation::Chat, &body).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(facts.model(), Some("gpt-bench"));
        time(&format!("scan a request of {name}"), || scan(Operation::Chat, &body));
        time(&format!("patch nothing, {name}"), || facts.patch(&body, None, false));
        time(&format!("patch model and stream usage, {name}"), || facts.patch(&body, Some("other"), true));
    }
    taps();
    metering();
}

fn heads() {
    let parse = |bytes: &[u8]| http1::parse_request(&mut BytesMut::from(bytes), 64 << 10);
    assert!(matches!(parse(REQUEST), Ok(Some(_))));
    time("parse a request's head, its buffer included", || parse(REQUEST));
    let parse = |bytes: &[u8]| http1::parse_response(&mut BytesMut::from(bytes), 64 << 10);
    assert!(matches!(parse(RESPONSE), Ok(Some(_))));
    time("parse a response's head, its buffer included", || parse(RESPONSE));
}

fn taps() {
    for (name, strip) in [("event through the tap", false), ("event through the tap, usage stripped", true)] {
        let event = Bytes::from_static(EVENT);
        let mut tap = Tap::new(DialectId::OpenAi, Operation::Chat, true, strip);
        let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
        time(name, || {
            out.clear();
            tap.feed(event.clone(), &mut out);
            assert_eq!(out.len(), 1);
        });
    }
    let (event, usage) = (Bytes::from_static(EVENT), Bytes::from_static(USAGE));
    time("a whole stream of 50 events through the tap", || {
        let mut tap = Tap::new(DialectId::OpenAi, Operation::Chat, true, true);
        let mut out: SmallVec<[Bytes; 4]> = SmallVec::new();
        for _ in 0..50 {
            out.clear();
            tap.feed(event.clone(), &mut out);
        }
        tap.feed(usage.clone(), &mut out);
        tap.finish(&mut out);
        tap.usage()
    });
}

fn call(meter: &Arc<Meter>, target: &Arc<TargetMeter>, route: &Arc<str>) -> Exchange {
    let mut exchange = meter.open(Opened {
        request_id: RequestId::new(),
        dialect: DialectId::OpenAi,
        operation: Operation::Chat,
        accepted: Instant::now(),
        trace: None,
        trace_state: None,
    });
    exchange.body_complete();
    exchange.set_request(Some("gpt-4o".into()), false, 1024);
    exchange.set_route(route);
    exchange.begin_attempt(target);
    exchange.attempt_connected(true, std::time::Duration::ZERO);
    exchange.request_sent(std::time::Duration::ZERO);
    exchange.response_head(200);
    exchange.set_served_model("gpt-4o-2024-08-06");
    exchange.set_usage(UsageReport::Reported(Usage { input: 230, cache_read: 100, output: 50, ..Usage::default() }));
    exchange.end_attempt(Outcome::Ok);
    exchange.set_outcome(Outcome::Ok, 200);
    exchange
}

fn metering() {
    let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let account = faregate::pricing::Account::default();
    let direct = Arc::new(Seller::new(PriceBook::shipped(), "provider", "openai", account));
    let router = Arc::new(Seller::new(PriceBook::shipped(), "provider", "openrouter", account));
    for (name, records) in [("", None), (", with its record", Some("usage.jsonl"))] {
        let telemetry = Telemetry::new().unwrap_or_else(|error| panic!("{error}"));
        let records = records.map(|name| directory.path().join(name));
        let meter = Meter::new(telemetry.clone(), MeterOptions { records, ..MeterOptions::default() });
        let meter = meter.unwrap_or_else(|error| panic!("{error}"));
        let route: Arc<str> = "route".into();
        let target = |seller| meter.priced_target("route", "provider", "", seller);
        let (free, priced, stated) = (target(None), target(Some(&direct)), target(Some(&router)));
        let amount = StatedCost { amount: Money::from_atto(4_025_000_000_000_000), upstream: None, byok: false };
        let stating = || {
            let mut call = call(&meter, &stated, &route);
            call.set_charge(Some(amount), ServiceTier::Standard, Some("OpenAI"));
        };
        let [metered, by_card, by_statement] = timing::in_turn([
            (&format!("a call metered{name}"), &mut || drop(call(&meter, &free, &route))),
            (&format!("the same, priced by its card{name}"), &mut || drop(call(&meter, &priced, &route))),
            (&format!("the same, priced as a router states{name}"), &mut { stating }),
        ]);
        println!("{:52} {:>12.1} ns", format!("money costs{name}"), by_card - metered);
        println!("{:52} {:>12.1} ns", format!("money costs behind a router{name}"), by_statement - metered);
        let unpriced = telemetry.exposition().contains("faregate_unpriced_calls_total{");
        assert!(!unpriced, "what is priced here has a price");
        meter.shutdown();
    }
}
