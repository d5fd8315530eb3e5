//! `faregate inject` as a user types it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use faregate::control::inject::{Injector, Settings};
use serde_json::Value;

const POD: &str = "kind: Pod\napiVersion: v1\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: app, image: i}\n";
const IMAGE: [&str; 2] = ["--image", "registry.example.com/faregate:1"];

/// Exit code, standard output, standard error.
fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_faregate"))
        .arg("inject")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _closed = child.stdin.take().unwrap().write_all(input.as_bytes());
    let done = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
}

fn with(more: &[&'static str]) -> Vec<&'static str> {
    ["-f", "-"].into_iter().chain(IMAGE).chain(more.iter().copied()).collect()
}

#[test]
fn nothing_is_injected_unasked_and_everything_with_all() {
    let (code, out, said) = run(&with(&[]), POD);
    assert_eq!((code, out.as_str()), (0, POD));
    assert!(said.contains("Pod p: left as it is: not asked for"), "{said}");
    let (code, out, said) = run(&with(&["--all", "--credentials-secret", "keys"]), POD);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("Pod p: injected\n"), "{said}");
    assert!(out.starts_with("kind: Pod\napiVersion: v1\n"), "the user's order stays: {out}");
    assert!(out.contains("secretName: keys"), "{out}");
    // Twice the same, and what was printed is injected already.
    assert_eq!(run(&with(&["--all", "--credentials-secret", "keys"]), POD).1, out);
    let (code, again, said) = run(&with(&["--all", "--credentials-secret", "keys"]), &out);
    assert_eq!((code, again), (0, out));
    assert!(said.starts_with("Pod p: is injected already\n"), "{said}");
}

#[test]
fn the_namespaces_words_can_be_given() {
    let label = "--namespace-label=faregate.dev/inject=enabled";
    let annotation = "--namespace-annotation=faregate.dev/app=shop";
    let (code, out, said) = run(&with(&[label, annotation, "--namespace", "shop", "--config-map", "table"]), POD);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Pod shop/p: injected"), "{said}");
    assert!(out.contains("name: FAREGATE_APP\n      value: shop\n") && out.contains("name: table"), "{out}");
    let (_, out, said) = run(&with(&[label, "--namespace", "kube-system"]), POD);
    assert_eq!(out, POD);
    assert!(said.contains("nothing is injected in the namespace kube-system"), "{said}");
    assert_eq!(run(&with(&["--namespace-label", "nothing"]), POD).0, 2);
}

#[test]
fn patches_are_printed_a_line_each() {
    let two = format!("{POD}---\n{}", POD.replace("name: p", "name: q"));
    let (code, out, _) = run(&with(&["--all", "--output", "patch"]), &two);
    assert_eq!(code, 0);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[1]["kind"], &lines[1]["name"]), (&"Pod".into(), &"q".into()));
    assert!(lines[1]["patch"].as_array().unwrap().iter().any(|operation| operation["path"] == "/spec/initContainers"));
}

#[test]
fn several_files_become_one_text() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (one, two) = (file("one", POD.trim_end()), file("two", POD));
    let settings = file("settings", "image: registry.example.com/from-settings:1\nport: 4444\n");
    let (code, out, said) = run(&["-f", &one, "-f", &two, "--all", "--settings", &settings], "");
    assert_eq!(code, 0, "{said}");
    assert_eq!(out.matches("\n---\n").count(), 1, "{out}");
    assert_eq!(out.matches("from-settings").count(), 2);
    assert!(out.contains("http://127.0.0.1:4444/openai/v1"));
    // The command line wins.
    let (_, out, _) = run(&["-f", &one, "--all", "--settings", &settings, "--image", "other:1"], "");
    assert!(out.contains("image: other:1") && out.contains(":4444/"), "{out}");
}

#[test]
fn what_is_wrong_is_all_said_and_nothing_printed() {
    let bad = POD.replace("{name: p}", "{name: p, annotations: {faregate.dev/port: x, faregate.dev/modes: env}}");
    let (code, out, said) = run(&with(&["--all"]), &format!("{POD}---\n{bad}"));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(said.contains("-: Pod p: annotation faregate.dev/port: `x` is no port"), "{said}");
    assert!(said.contains("faregate.dev/modes: is unknown; do you mean faregate.dev/mode?"), "{said}");
    let (code, out, said) = run(&with(&["--all"]), "a: 1\n---\nb: [\n");
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(said.starts_with("-: line 3: this is no YAML"), "{said}");
    let (code, _, said) = run(&["-f", "/nowhere/at.all", "--image", "i"], "");
    assert_eq!(code, 1);
    assert!(said.contains("/nowhere/at.all: "), "{said}");
}

#[test]
fn wrong_settings_are_a_wrong_command_line() {
    let (code, _, said) = run(&["-f", "-"], POD);
    assert_eq!(code, 2);
    assert!(said.contains("settings: image: the sidecar's image is not given"), "{said}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.yaml");
    let with_settings = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let (code, out, said) = run(&["-f", "-", "--settings", path.to_str().unwrap()], POD);
        assert_eq!((code, out.as_str()), (2, ""), "{text}");
        said
    };
    assert!(with_settings("imago: x\n").contains("unknown field `imago`"));
    assert!(with_settings("image: [\n").contains("line "));
    let said =
        with_settings("image: a b\nmode: transparent\nimage_pull_policy: Sometimes\nrun_as_user: 0\nlog_level: x\n");
    for part in
        ["image: `a b`", "mode: `transparent` is not there yet", "image_pull_policy", "run_as_user", "log_level"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(run(&[], "").0, 2);
}

#[test]
fn the_settings_of_the_documentation_are_the_defaults_where_it_says_so() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/kubernetes.md")).unwrap();
    let text = page.split("```yaml\n").find(|block| block.starts_with("image:")).unwrap().split("```").next().unwrap();
    let shown = Settings::parse(text).unwrap();
    let defaults = Settings::default();
    let without = Settings {
        image: String::new(),
        image_pull_policy: None,
        image_pull_secrets: Vec::new(),
        credentials_secret: None,
        config_map: None,
        control: None,
        control_ca: None,
        log_level: None,
        env: defaults.env.clone(),
        ..shown.clone()
    };
    assert_eq!(without, defaults);
    assert!(Injector::new(shown).is_ok());
}

#[test]
fn the_table_of_annotations_stands_in_the_documentation() {
    let (code, table, _) = run(&["--annotations"], "");
    assert_eq!(code, 0);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/kubernetes.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let start = page.find("| annotation |").expect("the table");
    let end = page[start..].find("\n\n").map_or(page.len(), |length| start + length + 1);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{}{table}{}", &page[..start], &page[end..])).unwrap();
        return;
    }
    assert_eq!(page[start..end], table, "docs/kubernetes.md is stale: run with BLESS=1");
}
