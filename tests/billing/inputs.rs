//! Files in every state: split, compressed, empty, with lines that are no records.

use std::fs;
use std::io::Write;

use super::run::{faregate, fed};
use super::stage::Stage;

const GOOD: &str = r#"{"time":"2026-11-25T10:00:00.000001Z","app":"a","provider":"p","model_sent":"m","outcome":"ok","tokens":{"input":3},"cost":{"list":0.5,"billed":0.6,"effective":0.7,"cost_source":"reported","unpriced":null}}"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn split_compressed_and_shuffled_files_give_the_same_bill() {
    let stage = Stage::new().play();
    let folder = stage.faregate.path();
    let text = fs::read_to_string(stage.file()).unwrap();
    let one = faregate(folder, &["bill", "usage.jsonl", "--by", "provider,model,app,day"]).ok();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.reverse();
    let (first, rest) = lines.split_at(7);
    fs::write(folder.join("usage.jsonl.1"), first.join("\n")).unwrap();
    // Two members, as two runs of gzip appended to one file.
    let (a, b) = rest.split_at(4);
    let packed = [gzip((a.join("\n") + "\n").as_bytes()), gzip(b.join("\r\n").as_bytes())].concat();
    fs::write(folder.join("usage.jsonl.2.gz"), packed).unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    let by = ["--by", "provider,model,app,day"];
    let split = [&["bill", "usage.jsonl.2.gz", "empty", "usage.jsonl.1"][..], &by].concat();
    assert_eq!(faregate(folder, &split).ok().out, one.out);
    let piped = [&["bill", "-"][..], &by].concat();
    assert_eq!(fed(folder, &piped, &text).ok().out, one.out);
}

#[test]
fn lines_that_are_no_records_are_counted_and_the_first_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "{GOOD}\n\n{{\"time\":\"2026-11-25T1\nfaregate listens on :4000\n{GOOD}\n[1]\n{{\"level\":\"INFO\"}}\n"
    );
    fs::write(folder.path().join("a.jsonl"), format!("{GOOD}\n")).unwrap();
    fs::write(folder.path().join("b.jsonl"), text).unwrap();
    let bill = faregate(folder.path(), &["bill", "a.jsonl", "b.jsonl", "--format", "json"]).ok();
    let json = bill.json();
    assert_eq!(json["total"]["calls"], 3);
    assert_eq!(json["read"]["broken"], 4);
    assert_eq!(
        (&json["read"]["first_broken"]["file"], &json["read"]["first_broken"]["line"]),
        (&"b.jsonl".into(), &3.into())
    );
    assert!(bill.err.contains("4 lines are no usage record and left out; the first, b.jsonl:3: "), "{}", bill.err);
}

#[test]
fn where_nothing_is_a_record_there_is_no_bill() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("other.log"), "one\ntwo\n").unwrap();
    let done = faregate(folder.path(), &["bill", "other.log"]);
    assert_eq!((done.code, &*done.out), (Some(1), ""));
    assert!(done.err.contains("none of 2 lines is a usage record; the first, other.log:1: "), "{}", done.err);
    // No lines at all are no calls, which is a bill.
    let none = fed(folder.path(), &["bill", "-"], "").ok();
    assert!(
        none.out.contains("0 calls read = 0 charged + 0 unpriced + 0 not charged; groups and total agree."),
        "{}",
        none.out
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| faregate(folder.path(), arguments);
    fs::write(folder.path().join("a.jsonl"), format!("{GOOD}\n")).unwrap();
    let packed = gzip(format!("{GOOD}\n").repeat(1_000).as_bytes());
    fs::write(folder.path().join("cut.gz"), &packed[..packed.len() / 2]).unwrap();
    for (arguments, code, said) in [
        (&["bill", "missing.jsonl"][..], 1, "missing.jsonl: No such file"),
        (&["bill", "."], 1, ".: Is a directory"),
        (&["bill", "cut.gz"], 1, "cut.gz: "),
        (&["bill", "a.jsonl", "./a.jsonl"], 1, "./a.jsonl is named twice"),
        (&["bill"], 2, "name files of usage records"),
        (&["bill", "a.jsonl", "--since", "yesterday"], 2, "--since: `yesterday` is no moment; write 30d"),
        (&["bill", "a.jsonl", "--since", "1d", "--until", "2d"], 2, "--since must be before --until"),
        (&["bill", "a.jsonl", "--by", "app,app"], 2, "--by names `app` twice"),
        (&["bill", "a.jsonl", "--by", "none,app"], 2, "--by none stands alone"),
        (&["bill", "a.jsonl", "--by", "colour"], 2, "colour"),
        (&["bill", "a.jsonl", "--by", "app", "--format", "focus"], 2, "leave --by out"),
        (&["bill", "a.jsonl", "--prometheus", "http://x"], 2, "cannot be used with"),
    ] {
        let done = run(arguments);
        assert_eq!(done.code, Some(code), "{arguments:?}: {}{}", done.out, done.err);
        assert!(done.err.contains(said), "{arguments:?}: {}", done.err);
        assert_eq!(done.out, "", "{arguments:?}");
    }
}

#[test]
fn records_of_other_versions_are_read_as_far_as_they_go() {
    let folder = tempfile::tempdir().unwrap();
    let old = r#"{"time":"2026-11-25T10:00:00Z","provider":"p","model_sent":"m","outcome":"ok","tokens":{"input":1}}"#;
    let new = r#"{"time":"2026-11-25T10:00:00Z","provider":"p","model_sent":"m","outcome":"a new one","tokens":{"input":1,"video":7},"cost":{"list":1,"billed":1,"effective":1,"cost_source":"list","unpriced":null,"tax":[1]},"more":{"a":1}}"#;
    let json = fed(folder.path(), &["bill", "-", "--format", "json"], &format!("{old}\n{new}\n")).ok().json();
    assert_eq!(json["total"]["unpriced"]["no cost in the record"], 1);
    assert_eq!(json["total"]["charged_calls"], 1);
}

#[test]
fn names_do_nothing_to_a_terminal_and_stay_whole_in_csv() {
    let folder = tempfile::tempdir().unwrap();
    let line = GOOD.replace("\"a\"", r#""x\u001b[31m,\"y\"\n""#);
    let table = fed(folder.path(), &["bill", "-", "--by", "app"], &line).ok();
    assert!(!table.out.contains('\u{1b}'), "{:?}", table.out);
    let rows = fed(folder.path(), &["bill", "-", "--by", "app", "--format", "csv"], &line).ok().csv();
    assert_eq!(rows[0]["app"], "x\u{1b}[31m,\"y\"\n");
}

/// `cargo test --test billing -- --ignored --nocapture million` prints how long a million records take.
#[test]
#[ignore = "writes a file of 1 GB; speed is measured by hand"]
fn a_million_records() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new().play();
    let text = fs::read_to_string(stage.file()).unwrap();
    let mut file = std::io::BufWriter::new(fs::File::create(folder.path().join("m.jsonl")).unwrap());
    let lines: Vec<&str> = text.lines().collect();
    for line in lines.iter().cycle().take(1_000_000) {
        writeln!(file, "{line}").unwrap();
    }
    drop(file);
    let begun = std::time::Instant::now();
    let json = faregate(folder.path(), &["bill", "m.jsonl", "--format", "json"]).ok().json();
    println!("{:?} for a million records of {} bytes", begun.elapsed(), text.len() / lines.len());
    assert_eq!(json["total"]["calls"], 1_000_000);
}
