//! The HTTP/1.1 codec against malformed and smuggling requests in raw bytes, with Pingora's parser beside it.
//!
//! The tables are in `tests/corpus/http1/`. A row whose bytes Pingora reads otherwise than we do says what Pingora
//! reads and why; a difference that no row explains fails, and so does an explanation that is no longer needed.

#[path = "corpus/http1/mod.rs"]
mod corpus;
#[path = "corpus/http1/reading.rs"]
mod reading;

use std::collections::HashSet;

use corpus::{Case, Expected, Pingora, cases};

/// The head limit of all readings.
const LIMIT: usize = 65_536;

#[test]
fn is_large_enough_and_names_each_rule_once() {
    let cases = cases();
    let refused = cases.iter().filter(|case| matches!(case.expected, Expected::Fault(_))).count();
    assert!(refused >= 120, "{refused} refused requests");
    let mut seen = HashSet::new();
    for case in &cases {
        assert!(seen.insert(case.rule), "two rows called {:?}", case.rule);
    }
    println!("{refused} refused, {} read", cases.len() - refused);
}

#[test]
fn every_request_gets_the_verdict_of_its_rule() {
    let mut wrong = Vec::new();
    for case in cases() {
        let reading = reading::ours([&case.bytes[..]]);
        let right = match case.expected {
            Expected::Fault(fault) => reading.fault == Some(fault) && reading.text() == "refuses",
            Expected::Reads(text) => reading.text() == text,
        };
        if !right {
            wrong.push(format!("{}: expected {:?}, got {reading:?}", case.rule, case.expected));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn verdicts_do_not_depend_on_how_the_bytes_were_split() {
    for case in cases() {
        let whole = reading::ours([&case.bytes[..]]);
        // Large rows are split at fewer places: reading a head byte by byte is quadratic.
        let step = if case.bytes.len() > 4096 { 911 } else { 1 };
        assert_eq!(reading::ours(case.bytes.chunks(step)), whole, "{} in pieces of {step}", case.rule);
        for at in (0..case.bytes.len()).step_by(step) {
            let (before, after) = case.bytes.split_at(at);
            assert_eq!(reading::ours([before, after]), whole, "{} split at {at}", case.rule);
        }
    }
}

#[test]
fn every_difference_to_pingora_is_explained() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut wrong = Vec::new();
    let mut differences = 0;
    for Case { rule, bytes, pingora, .. } in cases() {
        let ours = reading::ours([&bytes[..]]).text();
        let theirs = runtime.block_on(reading::pingora(&bytes)).text();
        match pingora {
            Pingora::Same if ours == theirs => {}
            Pingora::Same => wrong.push(format!("{rule}: not explained: we {ours:?}, Pingora {theirs:?}")),
            Pingora::Reads { .. } if ours == theirs => wrong.push(format!("{rule}: explanation no longer needed")),
            Pingora::Reads { what, because } if what == theirs => {
                assert!(!because.is_empty());
                differences += 1;
            }
            Pingora::Reads { what, .. } => {
                wrong.push(format!("{rule}: Pingora was to read {what:?}, it reads {theirs:?}"));
            }
        }
    }
    println!("{differences} differences, all explained");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    Ok(())
}
