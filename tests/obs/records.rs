//! Usage records: one for each call, whole, whatever ends the process or fills the disk.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::support::{Client, Faregate, Setup, Upstream, eventually, post, table};

const OK: &str = r#"{"id":"c","object":"chat.completion","choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3}}"#;
const CHAT: &str = r#"{"model":"m","messages":[]}"#;

fn call(faregate: &Faregate) {
    post(faregate.api, "/v1/chat/completions", CHAT).expect(200);
}

#[test]
fn a_stop_under_load_leaves_one_record_for_each_call_that_went_upstream() {
    let upstream = Upstream::json(200, OK);
    let mut faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let api = faregate.api;
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let answered = answered.clone();
            std::thread::spawn(move || {
                // Until nobody listens any more.
                while let Ok(stream) = std::net::TcpStream::connect(api) {
                    drop(stream);
                    let called = std::panic::catch_unwind(|| {
                        let mut client = Client::connect(api);
                        client.post("/v1/chat/completions", &["connection: close"], CHAT);
                        client.response().status
                    });
                    if called.is_ok_and(|status| status == 200) {
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        })
        .collect();
    upstream.wait_requests(50);
    faregate.signal("TERM");
    assert!(faregate.wait().success());
    clients.into_iter().for_each(|client| client.join().unwrap());
    let records = faregate.records_now();
    assert_eq!(records.len(), upstream.requests().len());
    assert_eq!(records.iter().filter(|record| record["outcome"] == "ok").count(), answered.load(Ordering::SeqCst));
    let ids: BTreeSet<&str> = records.iter().map(|record| record["request_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), records.len());
}

#[test]
fn a_kill_loses_what_was_not_flushed_yet_and_leaves_whole_lines() {
    let upstream = Upstream::json(200, OK);
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    for _ in 0..20 {
        call(&faregate);
    }
    // Nothing asks for it: records go out by themselves.
    faregate.wait_records(20);
    for _ in 0..20 {
        call(&faregate);
    }
    let dir = faregate.kill();
    let text = fs::read_to_string(dir.path().join("usage.jsonl")).unwrap();
    assert!(text.ends_with('\n'));
    let records = text.lines().inspect(|line| drop(json(line))).count();
    assert!((20..=40).contains(&records), "{records}");
}

#[test]
fn a_file_that_was_moved_away_is_noticed_and_sighup_makes_it_anew_at_once() {
    let upstream = Upstream::json(200, OK);
    let mut faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let (file, moved) = (faregate.path().join("usage.jsonl"), faregate.path().join("usage.jsonl.1"));
    call(&faregate);
    faregate.wait_records(1);
    fs::rename(&file, &moved).unwrap();
    call(&faregate);
    faregate.wait_records(1);
    assert_eq!(fs::read_to_string(&moved).unwrap().lines().count(), 1, "the old file got no more");
    fs::rename(&file, &moved).unwrap();
    faregate.signal("HUP");
    call(&faregate);
    faregate.signal("TERM");
    assert!(faregate.wait().success());
    assert_eq!(faregate.records_now().len(), 1);
    assert_eq!(fs::read_to_string(&moved).unwrap().lines().count(), 1);
}

#[test]
fn on_a_full_disk_calls_go_on_and_records_wait_for_room() {
    let upstream = Upstream::json(200, OK);
    let config =
        table::with(&table::fallback(&[upstream.address]), "observe: { usage_records: { path: disk/usage.jsonl } }");
    let script =
        "mkdir disk && mount -t tmpfs -o size=16k tmpfs disk && head -c 8192 /dev/zero >disk/ballast && exec \"$@\"";
    let setup =
        Setup::new(&config).through(&["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    let faregate = setup.start();
    // Only the process itself sees its disk; this is the way in.
    let disk = format!("/proc/{}/root{}/disk", faregate.pid(), faregate.path().display());
    let file = format!("{disk}/usage.jsonl");
    let lines = || {
        let mut text = String::new();
        // What broke off is taken back at once; a look may fall between the two.
        eventually("whole lines alone on a full disk", || {
            text = fs::read_to_string(&file).unwrap();
            text.is_empty() || text.ends_with('\n')
        });
        text.lines().inspect(|line| drop(json(line))).count()
    };
    const CALLS: usize = 15;
    for _ in 0..CALLS {
        call(&faregate);
    }
    faregate.wait_logged("usage records cannot be written");
    assert!(lines() < CALLS, "the disk is full before the last record");
    call(&faregate);
    assert_eq!(faregate.metrics().value("faregate_usage_records_dropped_total", &[]), Some(0.0), "they wait");
    fs::remove_file(format!("{disk}/ballast")).unwrap();
    eventually("all records, now that there is room", || lines() == CALLS + 1);
}

#[test]
fn what_never_finds_room_is_counted_and_the_stop_does_not_wait_for_it() {
    let upstream = Upstream::json(200, OK);
    let config = table::with(&table::fallback(&[upstream.address]), "observe: { usage_records: { path: /dev/full } }");
    let mut faregate = Faregate::start(&config);
    call(&faregate);
    faregate.wait_logged("usage records cannot be written");
    call(&faregate);
    faregate.signal("TERM");
    assert!(faregate.wait().success());
}

/// A line that is no JSON fails the test.
fn json(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap()
}
