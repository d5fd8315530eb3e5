//! What YAML does to people, and what people do to YAML.

use faregate::config::{Checked, Surroundings, check};
use proptest::prelude::*;

fn checked(bytes: &[u8]) -> Checked {
    check(
        bytes,
        "f",
        &Surroundings { env: &|_| Some("0123456789abcdef".into()), files: false, ..Surroundings::process() },
    )
}

/// The first thing said of a text.
#[track_caller]
fn first(text: impl AsRef<[u8]>) -> String {
    let checked = checked(text.as_ref());
    assert!(checked.config.is_none());
    checked.problems.errors().next().unwrap().to_string()
}

const SOUND: &str = "providers: {simulated: {}}\n";

#[test]
fn traps_are_named_where_they_stand() {
    let mut wrong = Vec::new();
    for (text, want) in [
        ("providers:\n\tsimulated: {}\n", "f:2:2: a tab where YAML wants spaces; indent with spaces"),
        (
            "providers: {}\nproviders: {simulated: {}}\n",
            "f:2:1: providers: this key stands here twice, first in line 1; keep one of them",
        ),
        (
            "a: &x {simulated: {}}\nproviders:\n  <<: *x\n",
            "f:1:1: a: there is no such key; the keys here are `aliases`, `defaults`, `observe`, `prices`, `providers`, `routes` \
             and `server`",
        ),
        ("server: {allow_open: no}\n", "f:1:22: server.allow_open: wants true or false, found `no`"),
        ("server: {allow_open: on}\n", "f:1:22: server.allow_open: wants true or false, found `on`"),
        ("server: {grace: 30}\n", "f:1:17: server.grace: wants a duration such as 500ms, 10s, 5m or 1h, found `30`"),
        (
            "server: {grace: 1.5s}\n",
            "f:1:17: server.grace: wants a duration such as 500ms, 10s, 5m or 1h, found `1.5s`",
        ),
        (
            "server: {limits: {body: 32MB}}\n",
            "f:1:25: server.limits.body: wants a size such as 65536, 64KiB or 32MiB, found `32MB`",
        ),
        (
            "providers: {simulated: {}}\n---\nserver: {}\n",
            "f:2:1: a second document begins here; keep one document in a file",
        ),
        (
            "providers: !!map {simulated: {}}\n",
            "f:1:12: providers: YAML tags (`!...`) have no meaning here; take the tag out",
        ),
        (
            "routes: [{name: r, match: {model: *}, targets: []}]\n",
            "f:1:35: `*` or `&` begins an alias or an anchor in YAML; quote the value if it is a glob: \"*\"",
        ),
        (
            "routes: [{name: r, match: {model: *gpt}}]\n",
            "f:1:35: an alias (`*name`) without its anchor (`&name`); quote the value if it is a glob: \"*\"",
        ),
        ("[]\n", "f:1:1: wants keys with values, found a list"),
        ("hello\n", "f:1:1: wants keys with values, found `hello`"),
        ("? {a: b}\n: c\n", "f:1:3: a key must be a plain word; see `faregate schema`"),
    ] {
        let said = checked(text.as_bytes()).problems.to_string();
        if !said.lines().any(|line| line == want) {
            wrong.push(format!("{text:?}\n  said   {said}\n  wanted {want}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bytes_that_are_no_text_are_named_where_they_stand() {
    assert_eq!(
        first(b"server: {}\naliases: {a: \xff\xfe}\n"),
        "f:2:14: not UTF-8 text; save the file in UTF-8, without the old encoding's letters"
    );
    let utf16: Vec<u8> = SOUND.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(checked(&utf16).config.is_none());
}

#[test]
fn what_editors_do_to_a_sound_file_does_not_matter() {
    let crlf =
        "providers:\r\n  simulated: {}\r\nroutes:\r\n  - name: r\r\n    targets:\r\n      - provider: simulated\r\n";
    for text in [SOUND.to_owned(), format!("\u{feff}{SOUND}"), crlf.to_owned(), SOUND.trim_end().to_owned()] {
        let checked = checked(text.as_bytes());
        assert!(checked.config.is_some() && checked.problems.is_empty(), "{text:?}: {}", checked.problems);
    }
    let wrong = crlf.replace("- provider: simulated", "- provider: other");
    assert!(first(wrong).starts_with("f:6:19: "));
}

#[test]
fn an_empty_file_is_no_configuration() {
    for text in ["", "\n\n", "# all commented out\n", "~\n", "---\n"] {
        assert!(first(text).contains("there are no providers"), "{text:?}");
    }
}

#[test]
fn anchors_unfold_and_merge_keys_do_not() {
    let text = "providers:\n  simulated: {timeouts: &t {total: 50s, first_byte: 5s}}\n  ollama: {timeouts: *t}\n";
    let config = checked(text.as_bytes()).into_result().unwrap();
    assert_eq!(config.providers["ollama"].timeouts, config.providers["simulated"].timeouts);
    let text = "providers:\n  simulated: &s {timeouts: {total: 50s}}\n  ollama:\n    <<: *s\n";
    assert_eq!(
        first(text),
        "f:4:5: providers.ollama.\"<<\": there is no such key; merge keys are not supported: write the keys out"
    );
}

#[test]
fn a_small_file_cannot_unfold_into_a_large_one() {
    let mut bomb = String::from("a: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(",");
        bomb.push_str(&format!("b{level}: &a{level} [{aliases}]\n"));
    }
    let said = checked(bomb.as_bytes()).problems.to_string();
    assert!(said.contains("aliases unfold to more than this reader takes"), "{said}");
    assert!(first("a: &a [*a]\n").contains("this alias stands inside the anchor that it names"));
}

#[test]
fn deep_nesting_is_refused_and_does_not_overflow() {
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "a:\n".repeat(3)] {
        assert!(checked(text.as_bytes()).config.is_none());
    }
    let deep = (0..60).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>();
    assert!(first(deep).contains("nested deeper than 32 levels"));
}

#[test]
fn a_large_table_is_checked_in_time_that_grows_with_it() {
    let table = |n: usize| {
        let mut text = String::from("providers: {simulated: {}}\nroutes:\n");
        for i in 0..n {
            text.push_str(&format!(
                "  - {{name: r{i}, match: {{model: m{i}, app: a{}}}, targets: [{{provider: simulated}}]}}\n",
                i % 7
            ));
        }
        text
    };
    // Quadratic work on this many would take minutes: the test would not end.
    let checked = checked(table(50_000).as_bytes());
    assert!(checked.problems.is_empty(), "{}", checked.problems);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_bytes_make_the_checker_panic(bytes: Vec<u8>) {
        checked(&bytes);
    }

    #[test]
    fn no_yaml_like_text_makes_the_checker_panic(text in r##"([a-c:{}\[\],&*!|>'"#\-? \n\t~<%@`\\]|routes|providers|targets|name: |match: |model: ){0,80}"##) {
        checked(text.as_bytes());
    }

    /// A sound file with a piece cut out or put in anywhere.
    #[test]
    fn no_change_to_a_sound_file_makes_the_checker_panic(from in 0usize..1200, length in 0usize..40, put in r##"[a-z:{}\[\],&*"\-\n 0-9]{0,12}"##) {
        let text = include_str!("sound.yaml");
        let mut characters: Vec<char> = text.chars().collect();
        let from = from.min(characters.len());
        let to = (from + length).min(characters.len());
        characters.splice(from..to, put.chars());
        let text: String = characters.into_iter().collect();
        let result = checked(text.as_bytes());
        for problem in &result.problems.0 {
            prop_assert!(problem.place.line <= text.lines().count().max(1), "{problem}");
        }
        // What the checker takes, the routing table takes.
        if let Some(config) = result.config {
            let compiled = faregate::routing::RoutingTable::compile(&config, None);
            prop_assert!(compiled.is_ok(), "{:?}\n{text}", compiled.err());
        }
    }

    /// What the checker takes as a URL, the routing table can take apart.
    #[test]
    fn urls_that_pass_can_be_used(url in r"https?://[a-z0-9.\[\]:@%_-]{0,14}(/[a-z0-9{}\[\]^|%~ ]{0,8}){0,2}") {
        let text = serde_json::json!({ "providers": { "p": { "base_url": url } } }).to_string();
        if let Some(config) = checked(text.as_bytes()).config {
            let compiled = faregate::routing::RoutingTable::compile(&config, None);
            prop_assert!(compiled.is_ok(), "{:?}", compiled.err());
        }
    }
}
