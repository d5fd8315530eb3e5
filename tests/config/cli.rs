//! The subcommands as a user meets them: what they print, and how they exit.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Runs the binary in an empty environment.
pub(crate) fn faregate(arguments: &[&str], env: &[(&str, &str)], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_faregate"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _closed = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout).to_owned()
}

const SOUND: &str = "providers: {simulated: {}}\n";
const WARNED: &str = "providers: {simulated: {tls: {}}}\n";
const WRONG: &str = "providers: {simulated: {tls: {}}}\nroutes: [{name: r, targets: [{provider: x}, {provider: y}]}]\n";

#[test]
fn check_tells_all_and_exits_by_what_it_found() {
    assert_eq!(expect(&faregate(&["check", "-"], &[], SOUND), 0), "1 file: no problems\n");
    let warned = expect(&faregate(&["check", "-"], &[], WARNED), 0);
    assert_eq!(
        warned,
        "<stdin>:1:30: warning: providers.simulated.tls: has no effect: the simulated provider is in this process; take \
         it out\n1 file: 1 warning\n"
    );
    assert_eq!(expect(&faregate(&["check", "--strict", "-"], &[], WARNED), 1), warned);
    let wrong = expect(&faregate(&["check", "-"], &[], WRONG), 1);
    assert!(wrong.ends_with("\n1 file: 2 errors, 1 warning\n") && wrong.lines().count() == 4, "{wrong}");
}

#[test]
fn check_takes_many_files_and_names_each() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (a, b) = (file("a.yaml", WRONG), file("faregate.yaml", WARNED));
    let missing = dir.path().join("none.yaml").to_str().unwrap().to_owned();
    let directory = dir.path().to_str().unwrap();
    let said = expect(&faregate(&["check", &a, directory, &missing], &[], ""), 1);
    for start in [format!("{a}:2:"), format!("{b}:1:"), format!("{missing}: cannot be opened")] {
        assert!(said.lines().any(|line| line.starts_with(&start)), "{start} in\n{said}");
    }
    assert!(said.ends_with("3 files: 3 errors, 2 warnings\n"), "{said}");
}

#[test]
fn check_speaks_json() {
    let said: Value =
        serde_json::from_str(&expect(&faregate(&["check", "--format", "json", "-"], &[], WRONG), 1)).unwrap();
    assert_eq!((said["errors"].as_u64(), said["warnings"].as_u64()), (Some(2), Some(1)));
    let first = &said["problems"][0];
    assert_eq!(first["severity"], "warning");
    assert_eq!(first["place"], serde_json::json!({"file": "<stdin>", "line": 1, "column": 30}));
    assert_eq!(first["key"], "providers.simulated.tls");
}

#[test]
fn check_elsewhere_only_warns_of_what_is_missing_here() {
    let config = "providers: {openai: {credentials: {env: NOT_HERE}}}\n";
    expect(&faregate(&["check", "-"], &[], config), 1);
    expect(&faregate(&["check", "-"], &[("NOT_HERE", "0123456789")], config), 0);
    let said = expect(&faregate(&["check", "--elsewhere", "-"], &[], config), 0);
    assert!(said.contains("warning: ") && said.ends_with("1 file: 1 warning\n"), "{said}");
}

#[test]
fn a_wrong_command_line_exits_2_and_help_exits_0() {
    for wrong in [
        &["check"][..],
        &["chek"],
        &["explain", "--header", "bad name: x"],
        &["explain", "--path", "v1"],
        &["explain", "--api", "chatt"],
        &["run", "--listen", "4000"],
        &["presets", "none-of-them"],
        &[],
    ] {
        let output = faregate(wrong, &[], "");
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{wrong:?}");
    }
    for command in ["run", "check", "explain", "schema", "presets"] {
        let help = expect(&faregate(&[command, "--help"], &[], ""), 0);
        assert!(help.contains("Examples:\n  faregate ") || help.contains("faregate check"), "{help}");
    }
    let help = expect(&faregate(&["--help"], &[], ""), 0);
    assert!(help.contains("faregate run") && help.contains("Exit status: 0"), "{help}");
}

#[test]
fn schema_prints_the_schema_and_the_reference() {
    assert!(expect(&faregate(&["schema"], &[], ""), 0) == faregate::config::schema_text());
    assert!(expect(&faregate(&["schema", "--markdown"], &[], ""), 0) == faregate::config::reference());
}

#[test]
fn presets_lists_every_provider_with_its_key_and_what_is_set() {
    let all = expect(&faregate(&["presets"], &[("OPENAI_API_KEY", "hush")], ""), 0);
    for words in [
        "openai ",
        "OPENAI_API_KEY+",
        "MISTRAL_API_KEY ",
        "llama.cpp",
        "cannot work yet: it signs calls",
        "https://openrouter.ai/api/v1",
    ] {
        assert!(all.contains(words), "{words} in\n{all}");
    }
    assert!(!all.contains("hush"));
    let one: Value = serde_json::from_str(&expect(&faregate(&["presets", "--json", "gemini"], &[], ""), 0)).unwrap();
    assert_eq!(one.as_object().unwrap().keys().collect::<Vec<_>>(), ["google-ai-studio"]);
    assert_eq!(one["google-ai-studio"]["env"][0], "GOOGLE_API_KEY");
}

#[test]
fn run_refuses_what_check_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.yaml");
    std::fs::write(&path, WRONG).unwrap();
    let output = faregate(&["run", "--config", path.to_str().unwrap()], &[], "");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("no provider is called `x`") && said.contains("no provider is called `y`"), "{said}");
}

#[test]
fn a_public_address_on_the_command_line_needs_keys_too() {
    let output = faregate(&["run", "--listen", "0.0.0.0:0", "--admin", "127.0.0.1:0"], &[], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("there are no inbound keys"), "{}", text(&output.stderr));
}
