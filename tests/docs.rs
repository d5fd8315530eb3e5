//! The documentation holds what it says: its configurations are checked, its commands run, its metric names exist, its
//! links lead somewhere, and `faregate explain` prints what a page shows of it. Snippets in Python and JavaScript are run
//! by `tests/e2e`, next to the SDKs that they name.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use faregate::config::{Overrides, Surroundings, check};
use faregate::telemetry::table::TABLE;
use support::Faregate;

/// Commands that another place runs, or that need what no test has. A new one is added with its reason.
const ELSEWHERE: &[(&str, &str)] = &[
    ("scripts/", ".ci/run"),
    (".ci/run", "itself"),
    ("tests/e2e/run", ".ci/run"),
    ("benches/run", "needs nginx and a quiet machine"),
    ("just", "the recipes call the scripts"),
    ("faregate control", "tests/control"),
    ("faregate run", "the curl commands of the pages talk to it"),
    ("cargo", "builds and tests this program"),
    ("export ", "sets the reader's own key or folder"),
    ("kill ", "signals are tested in tests/ops_*.rs"),
    ("systemctl", "needs systemd"),
    ("install -D", "puts files where only root may"),
    ("journalctl", "needs systemd"),
    ("docker", "needs a container runtime"),
    ("deploy/image/build", "tests/ops_image.rs"),
    ("kubectl", "needs a cluster"),
    ("helm", "tests/e2e/test_chart.py; a cluster besides"),
    ("pip install", "tests/e2e/requirements.txt"),
    ("npm install", "tests/e2e/node/package.json"),
    ("promtool", "tests/e2e"),
];

/// What stands between one pair of fences.
struct Block {
    place: String,
    language: String,
    text: String,
}

#[test]
fn configurations_pass_the_check() {
    let mut seen = 0;
    for block in blocks(&["yaml"]) {
        // Manifests for Kubernetes and settings of Prometheus are no configuration of ours.
        if ["apiVersion:", "scrape_configs:", "groups:", "services:", "# values:"]
            .iter()
            .any(|key| block.text.contains(key))
        {
            continue;
        }
        if is_price_overlay(&block.text) {
            overlay_passes_the_check(&block);
            continue;
        }
        // The command that reads them is run below.
        if file_of_injection(&block.text).is_some() {
            continue;
        }
        let surroundings = Surroundings {
            env: &|_| Some("key".to_owned()),
            files: false,
            elsewhere: true,
            overrides: Overrides::default(),
        };
        let checked = check(block.text.as_bytes(), &block.place, &surroundings);
        assert!(!checked.problems.has_errors(), "{}:\n{}", block.place, checked.problems);
        seen += 1;
    }
    assert!(seen >= 3, "only {seen} configurations found");
}

fn is_price_overlay(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("cards:"))
}

/// The file that the commands of docs/kubernetes.md find a block in: a manifest, or settings of injection.
fn file_of_injection(text: &str) -> Option<&'static str> {
    let begins = |key: &str| text.lines().any(|line| line.starts_with(key));
    if begins("kind:") { Some("deployment.yaml") } else { begins("image:").then_some("inject.yaml") }
}

fn overlay_passes_the_check(block: &Block) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("prices.yaml");
    fs::write(&path, &block.text).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_faregate")).args(["prices", "check"]).arg(&path).output().unwrap();
    assert!(
        done.status.success(),
        "{}:\n{}",
        block.place,
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat())
    );
}

#[test]
fn commands_run_or_are_known_to_run_elsewhere() {
    let faregate = Faregate::start("providers: { simulated: {} }");
    let directory = faregate.path().to_owned();
    let mut seen = 0;
    for page in pages() {
        let mut configuration = String::from("providers: { simulated: {} }\n");
        let mut explained = String::new();
        for block in page_blocks(&page) {
            match block.language.as_str() {
                "yaml" if is_price_overlay(&block.text) => {}
                "yaml" if let Some(file) = file_of_injection(&block.text) => {
                    fs::write(directory.join(file), block.text).unwrap();
                }
                "yaml" => configuration = block.text,
                "sh" | "bash" | "console" | "shell" => {
                    explained.clear();
                    for command in commands(&block.text) {
                        let said = run(&command, &block.place, &directory, &configuration, &faregate);
                        if command.starts_with("faregate explain") {
                            explained.push_str(&said);
                        }
                        seen += 1;
                    }
                }
                // The lines that a page shows of an explanation stand right below it.
                "text" if !explained.is_empty() => {
                    for line in block.text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
                        let printed = explained.lines().any(|said| said.trim_end() == line);
                        assert!(
                            printed,
                            "{}: `faregate explain` does not print\n{line}\nbut\n{explained}",
                            block.place
                        );
                    }
                    explained.clear();
                }
                _ => {}
            }
        }
    }
    assert!(seen >= 5, "only {seen} commands found");
}

/// Runs a command as its reader would; returns what it prints, which is nothing where another place runs it.
fn run(command: &str, place: &str, directory: &Path, configuration: &str, faregate: &Faregate) -> String {
    let ours =
        ["advise", "bill", "check", "compare", "crd", "explain", "inject", "presets", "prices", "schema", "help", "--"];
    let text = if command.starts_with("curl ") {
        command
            .replace("127.0.0.1:4000", &faregate.api.to_string())
            .replace("127.0.0.1:4001", &faregate.admin.to_string())
            .replace("localhost:4000", &faregate.api.to_string())
            .replace("localhost:4001", &faregate.admin.to_string())
            .replacen("curl ", "curl --fail-with-body ", 1)
    } else if ours.iter().any(|sub| command.starts_with(&format!("faregate {sub}"))) {
        fs::write(directory.join("page.yaml"), configuration).unwrap();
        let binary = env!("CARGO_BIN_EXE_faregate");
        command
            .replacen("faregate ", &format!("{binary} "), 1)
            .replace("faregate.yaml", "page.yaml")
            .replace("127.0.0.1:4001", &faregate.admin.to_string())
    } else {
        let known = ELSEWHERE.iter().any(|(start, _)| command.starts_with(start));
        assert!(known, "{place}: `{command}` is neither run here nor known to run elsewhere (ELSEWHERE)");
        return String::new();
    };
    let mut shell = Command::new("bash");
    shell.arg("-euc").arg(&text).current_dir(directory);
    // The reader has the keys that the page speaks of.
    for (name, value) in keys(configuration) {
        shell.env(name, value);
    }
    let done = shell.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{place}: `{text}`:\n{said}");
    assert!(!said.trim().is_empty(), "{place}: `{text}` prints nothing");
    said
}

/// Every environment variable that could hold a key of this configuration.
fn keys(configuration: &str) -> BTreeMap<String, String> {
    let presets = fs::read_to_string(root().join("config/presets.yaml")).unwrap();
    let words = format!("{configuration}\n{presets}");
    words
        .split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')
        .filter(|word| word.ends_with("_KEY") || word.ends_with("_TOKEN"))
        .map(|word| (word.to_owned(), "key".to_owned()))
        .collect()
}

#[test]
fn metric_names_stand_in_the_table() {
    let known = |name: &str| TABLE.iter().any(|metric| metric.name == name);
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (at, _) in text.match_indices("faregate_") {
            if text[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '-' | ':')) {
                // The name of a rule has a colon before it: tests/monitoring.rs.
                continue;
            }
            let name: String = text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            assert!(known(&name) || base.is_some_and(known), "{}: no metric `{name}`", page.display());
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} names found");
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let path = page.parent().unwrap().join(file);
            assert!(path.exists(), "{}: the link to {target} leads nowhere", page.display());
            seen += 1;
        }
    }
    assert!(seen > 5, "only {seen} links found");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// README and the others of the top folder, docs/ and its runbooks.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in [root(), root().join("docs"), root().join("docs/runbooks")] {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            // What a build without the cluster's side lacks, its page need not run.
            let there = cfg!(feature = "control") || !path.ends_with("kubernetes.md");
            if there && path.extension().is_some_and(|e| e == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    assert!(!pages.is_empty());
    pages
}

fn blocks(languages: &[&str]) -> Vec<Block> {
    let all = pages().into_iter().flat_map(|page| page_blocks(&page)).map(|mut block| {
        // A page may show the part that it speaks of; alone, that lacks a provider.
        let whole = is_price_overlay(&block.text) || block.text.lines().any(|line| line.starts_with("providers:"));
        if block.language == "yaml" && !whole {
            block.text.push_str("providers: { simulated: {} }\n");
        }
        block
    });
    all.filter(|block| languages.contains(&block.language.as_str())).collect()
}

fn page_blocks(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match fence {
            Some(language) if !open => {
                let place = format!("{}:{}", page.strip_prefix(root()).unwrap().display(), number + 2);
                blocks.push(Block { place, language: language.trim().to_owned(), text: String::new() });
                open = true;
            }
            Some(_) => open = false,
            None if open => {
                let block = blocks.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    assert!(!open, "{}: a fence is not closed", page.display());
    blocks
}

/// The commands of a block: continued lines joined, comments and prompts taken off.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.trim().trim_start_matches("$ "));
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn commands_are_read_as_a_shell_reads_them() {
    assert_eq!(commands("# why\n$ curl -N x \\\n  -d y\n\nscripts/run\n"), ["curl -N x    -d y", "scripts/run"]);
}
