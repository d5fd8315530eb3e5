//! Every finding of the checker, word for word: `findings.txt` holds the cases.

use std::collections::BTreeMap;
use std::path::Path;

use faregate::config::{Surroundings, check};

/// A case: its name, what is around it, the configuration, and what is said of it.
struct Case {
    title: String,
    elsewhere: bool,
    env: BTreeMap<String, String>,
    config: String,
    said: String,
}

fn cases(text: &str) -> Vec<Case> {
    let blocks = text.split("\n=== ").skip(1);
    blocks
        .map(|block| {
            let (title, rest) = block.split_once('\n').unwrap();
            let (config, said) = rest.split_once("---\n").unwrap_or_else(|| panic!("{title}: no `---`"));
            let (directives, config): (Vec<&str>, Vec<&str>) = config.lines().partition(|line| line.starts_with('@'));
            let env = directives.iter().filter_map(|d| d.strip_prefix("@env ")?.split_once('='));
            Case {
                title: title.to_owned(),
                elsewhere: directives.contains(&"@elsewhere"),
                env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                config: config.iter().map(|line| format!("{line}\n")).collect(),
                said: said.trim_end().to_owned(),
            }
        })
        .collect()
}

fn environment() -> BTreeMap<String, String> {
    let all = [
        ("GOOD", "hush-0123456789abcdef"),
        ("SHORT", "hush"),
        ("EMPTY", " "),
        ("TWO_LINES", "hush\nhush"),
        ("QUOTED", "\"hush-0123456789abcdef\""),
        ("BEARER", "Bearer hush-0123456789abcdef"),
        ("SPACED", "hush 0123456789abcdef"),
    ];
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn files(dir: &Path) {
    let write = |name: &str, text: &[u8]| std::fs::write(dir.join(name), text).unwrap();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write("cert.pem", own.cert.pem().as_bytes());
    write("ca.pem", own.cert.pem().as_bytes());
    write("key.pem", own.signing_key.serialize_pem().as_bytes());
    write("other.pem", rcgen::KeyPair::generate().unwrap().serialize_pem().as_bytes());
    write("empty", b" \n");
    write("key.txt", b"hush-from-a-file-0123456789\n");
    write("binary", &[0xff, 0xfe, 0x00]);
    std::fs::create_dir(dir.join("dir")).unwrap();
}

fn say(case: &Case, dir: &str) -> String {
    let mut env = environment();
    env.extend(case.env.clone());
    let get = |name: &str| env.get(name).cloned();
    let surroundings = Surroundings { env: &get, elsewhere: case.elsewhere, ..Surroundings::process() };
    let config = case.config.replace("{DIR}", dir);
    let checked = check(config.as_bytes(), "f", &surroundings);
    assert_eq!(checked.config.is_some(), !checked.problems.has_errors(), "{}", case.title);
    checked.problems.to_string().replace(dir, "{DIR}")
}

#[test]
fn every_finding_word_for_word() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/findings.txt");
    let text = std::fs::read_to_string(&path).unwrap();
    let dir = tempfile::tempdir().unwrap();
    files(dir.path());
    let dir = dir.path().to_str().unwrap();
    let mut wrong = Vec::new();
    let mut shown = Vec::new();
    let mut blessed = text.clone();
    for case in cases(&text) {
        let said = say(&case, dir);
        // All secrets of the cases have this word in them.
        if said.contains("hush") {
            shown.push(format!("=== {}\n{said}", case.title));
        }
        if said != case.said {
            let start = blessed.find(&format!("=== {}\n", case.title)).unwrap();
            let from = start + blessed[start..].find("---\n").unwrap() + 4;
            let to = blessed[from..].find("\n=== ").map_or(blessed.len(), |end| from + end);
            blessed.replace_range(from..to, &format!("{said}\n"));
            wrong.push(format!("=== {}\nsaid:\n{said}\nwanted:\n{}", case.title, case.said));
        }
    }
    assert!(shown.is_empty(), "secrets are shown in\n{}", shown.join("\n"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, blessed).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
