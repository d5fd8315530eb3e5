//! Recorded traffic through the real proxy: a client that asks what was asked, an upstream that answers what was
//! answered. Requests arrive as sent (or patched and nothing else), answers arrive byte for byte however the upstream
//! splits them, and the usage record holds the tokens that the provider's documentation makes of the recorded usage,
//! whether the call is read or passed through.
//!
//! Start with [`every_recorded_exchange`]; `replay/oracle.rs` (and, for vendors' own
//! APIs, `replay/native.rs`) says what the tokens are, `replay/stage.rs` sets the
//! scene, `replay/expect.rs` says what must arrive.

#[path = "replay/cases.rs"]
mod cases;
#[path = "replay/expect.rs"]
mod expect;
#[path = "replay/native.rs"]
mod native;
#[path = "replay/oracle.rs"]
mod oracle;
#[path = "replay/report.rs"]
mod report;
#[path = "replay/stage.rs"]
mod stage;
mod support;
mod traffic;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cases::Case;
use report::Report;
use stage::{Mode, Stage};
use support::Record;

/// Clients at one time.
const CLIENTS: usize = 6;
/// How often each exchange is replayed in each mode, split differently each time.
const SPLITS: usize = 2;

#[test]
fn every_recorded_exchange() {
    let Some(exchanges) = traffic::exchanges("every_recorded_exchange") else { return };
    let fixtures = traffic::responses_only("every_recorded_exchange").unwrap_or_default();
    let recorded = exchanges.len();
    let cases: Vec<Case> =
        exchanges.into_iter().map(Case::of_exchange).chain(fixtures.iter().filter_map(Case::of_response)).collect();
    let fitting = cases.len() - recorded;
    let cases = Arc::new(cases);
    let stage = Stage::start(cases.clone());
    let calls: Vec<(usize, Mode, usize)> = (0..cases.len())
        .flat_map(|case| {
            [Mode::AsSent, Mode::Patched]
                .into_iter()
                .flat_map(move |mode| (0..SPLITS).map(move |split| (case, mode, split)))
        })
        .collect();
    let report = Mutex::new(Report::default());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while let Some(&(case, mode, split)) = calls.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let problems = stage.call(case, mode, split);
                    report.lock().unwrap().arrived(&cases[case], problems);
                }
            });
        }
    });
    let mut report = report.into_inner().unwrap();
    let records = stage.stop();
    let mut by_call: HashMap<&str, Vec<&Record>> = HashMap::new();
    for record in &records {
        by_call.entry(record["request_id"].as_str().unwrap()).or_default().push(record);
    }
    for &(case, mode, split) in &calls {
        let id = stage::request_id(case, mode, split);
        report.recorded(&cases[case], by_call.get(id.as_str()).map_or(&[], Vec::as_slice));
    }
    traffic::say(&format!(
        "{report}{recorded} exchanges and {fitting} of {} responses without a request, each {} times",
        fixtures.len(),
        2 * SPLITS
    ));
    report.assert_clean();
}
