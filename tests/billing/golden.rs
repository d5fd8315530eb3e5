//! What each format looks like, pinned in `tests/billing/golden/`; `BLESS=1` writes it anew.

use std::fs;
use std::path::PathBuf;

use super::run::fed;

/// Two providers, two apps, two days; a router that charges more, a call without a price, one that failed, and a line
/// that is no record.
const RECORDS: &str = include_str!("golden/usage.jsonl");

fn pinned(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/billing/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    assert!(known == text, "{name} is not what is pinned (BLESS=1 pins it anew):\n{text}");
}

#[test]
fn every_format_is_what_is_pinned() {
    let folder = tempfile::tempdir().unwrap();
    for (name, arguments) in [
        ("table.txt", &["bill", "-"][..]),
        ("by-app-and-day.txt", &["bill", "-", "--by", "app,day", "--since", "2026-11-24T12:00:00Z"]),
        ("total.txt", &["bill", "-", "--by", "none"]),
        ("bill.csv", &["bill", "-", "--by", "provider,model,app,day", "--format", "csv"]),
        ("bill.json", &["bill", "-", "--by", "provider", "--format", "json"]),
        ("focus.csv", &["bill", "-", "--format", "focus"]),
        ("advise.txt", &["advise", "-"]),
        ("advise.json", &["advise", "-", "--format", "json"]),
    ] {
        pinned(name, &fed(folder.path(), arguments, RECORDS).ok().out);
    }
}
