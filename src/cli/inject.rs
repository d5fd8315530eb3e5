//! `faregate inject`: manifests with Faregate beside the containers of their pods.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::print;
use crate::control::inject::{self, INJECT, Injector, Namespace, Settings};
use crate::control::manifest::{self, Fate, Outcome};

/// Add the sidecar to Kubernetes manifests, offline.
#[derive(Debug, Args)]
#[command(long_about = "Add the sidecar to the pods of Kubernetes manifests, and print the manifests.

Pods, Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs, CronJobs, Lists of them: those whose pods have the label

  faregate.dev/inject: \"true\"

or whose namespace has the label faregate.dev/inject=enabled, which a Namespace in the same file says, or \
--namespace-label. --all stands for that label. Everything else is printed as it came, byte for byte. Injecting what is \
injected changes nothing, so that the printed manifests can be kept where the others were.

Annotations of a pod or its namespace say how it is injected; --annotations lists them. Standard error tells what was \
injected and what to mind. When anything is wrong, nothing is printed.

Exit status: 0 all is well, 1 a manifest cannot be read or injected, 2 for a wrong command line or wrong settings.")]
#[command(after_help = "Examples:
  faregate inject -f deployment.yaml --all --image registry.example.com/faregate:0.1.0 --credentials-secret llm-keys
  faregate inject -f app.yaml --settings inject.yaml --namespace shop --namespace-label faregate.dev/inject=enabled
  helm template . | faregate inject -f - --settings inject.yaml | kubectl apply -f -
  faregate inject -f app.yaml --settings inject.yaml --output patch
  faregate inject --annotations")]
pub struct InjectArgs {
    /// Manifests, or `-` for standard input. Several are printed one after the other.
    #[arg(long = "file", short, value_name = "FILE", required_unless_present = "annotations")]
    files: Vec<PathBuf>,
    /// Settings of injection, a YAML file; what the options below say wins.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Image of the sidecar.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Secret with providers' keys, in the pods' namespace.
    #[arg(long, value_name = "NAME")]
    credentials_secret: Option<String>,
    /// ConfigMap with a `faregate.yaml`, in the pods' namespace.
    #[arg(long, value_name = "NAME")]
    config_map: Option<String>,
    /// Secret to pull the image with, in the pods' namespace. Can be given several times.
    #[arg(long = "image-pull-secret", value_name = "NAME")]
    image_pull_secrets: Vec<String>,
    /// The namespace of what names none.
    #[arg(long, short, value_name = "NAME", default_value = "")]
    namespace: String,
    /// A label of the namespaces that do not stand in the file themselves. Can be given several times.
    #[arg(long = "namespace-label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// An annotation of the namespaces that do not stand in the file themselves. Can be given several times.
    #[arg(long = "namespace-annotation", value_name = "KEY=VALUE", value_parser = pair)]
    annotations_of_namespace: Vec<(String, String)>,
    /// Inject all pods but those that say no, as if their namespaces asked for it.
    #[arg(long)]
    all: bool,
    /// What to print.
    #[arg(long, short, value_enum, default_value_t = Output::Manifest, value_name = "OUTPUT")]
    output: Output,
    /// Print the annotations that pods and namespaces may have, as a table in Markdown.
    #[arg(long, exclusive = true)]
    annotations: bool,
}

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// The manifests.
    Manifest,
    /// What is changed: one JSON line for each workload, with a JSON Patch (RFC 6902) of its pod or pod template.
    Patch,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("wants KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Injects, and prints.
pub fn inject(args: &InjectArgs) -> ExitCode {
    if args.annotations {
        print(&inject::reference());
        return ExitCode::SUCCESS;
    }
    let injector = match settings(args).and_then(|settings| Injector::new(settings).map_err(|all| all.join("\n"))) {
        Ok(injector) => injector,
        Err(problems) => {
            problems.lines().for_each(|problem| eprintln!("faregate: {problem}"));
            return ExitCode::from(2);
        }
    };
    let mut whole = String::new();
    let mut failed = false;
    for file in &args.files {
        let text = match read(file) {
            Ok(text) => text,
            Err(error) => {
                failed |= say(file, error);
                continue;
            }
        };
        let outcome = manifest::inject(&text, &injector, &args.namespace, &|name| namespace(args, name));
        tell(&outcome);
        for problem in &outcome.problems {
            failed |= say(file, problem);
        }
        append(&mut whole, &outcome, args.output);
    }
    if failed {
        eprintln!("faregate: nothing is printed");
        return ExitCode::FAILURE;
    }
    print(&whole);
    ExitCode::SUCCESS
}

fn say(file: &Path, problem: impl Display) -> bool {
    eprintln!("{}: {problem}", file.display());
    true
}

fn settings(args: &InjectArgs) -> Result<Settings, String> {
    let mut settings = match &args.settings {
        None => Settings::default(),
        Some(path) => {
            let text = read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Settings::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
    };
    if let Some(image) = &args.image {
        settings.image.clone_from(image);
    }
    settings.credentials_secret = args.credentials_secret.clone().or(settings.credentials_secret);
    settings.config_map = args.config_map.clone().or(settings.config_map);
    settings.image_pull_secrets.extend(args.image_pull_secrets.iter().cloned());
    Ok(settings)
}

/// A namespace that does not stand in the file.
fn namespace(args: &InjectArgs, name: &str) -> Namespace {
    let mut labels: BTreeMap<String, String> = args.labels.iter().cloned().collect();
    if args.all {
        labels.insert(INJECT.into(), "enabled".into());
    }
    Namespace { name: name.into(), labels, annotations: args.annotations_of_namespace.iter().cloned().collect() }
}

fn read(path: &Path) -> io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(path)
}

/// What was done and what to mind, on standard error.
fn tell(outcome: &Outcome) {
    for workload in &outcome.workloads {
        match &workload.fate {
            Fate::Injected(patch) if patch.is_empty() => eprintln!("{workload}: is injected already"),
            Fate::Injected(_) => eprintln!("{workload}: injected"),
            Fate::Left(why) => eprintln!("{workload}: left as it is: {why}"),
        }
        for warning in &workload.warnings {
            eprintln!("{workload}: warning: {warning}");
        }
    }
}

fn append(whole: &mut String, outcome: &Outcome, output: Output) {
    if output == Output::Patch {
        for workload in &outcome.workloads {
            if let Fate::Injected(patch) = &workload.fate {
                let line = serde_json::json!({
                    "kind": workload.kind, "namespace": workload.namespace, "name": workload.name, "patch": patch,
                });
                whole.push_str(&format!("{line}\n"));
            }
        }
        return;
    }
    if !whole.is_empty() && !outcome.text.starts_with("---") {
        whole.push_str(if whole.ends_with('\n') { "---\n" } else { "\n---\n" });
    } else if !whole.is_empty() && !whole.ends_with('\n') {
        whole.push('\n');
    }
    whole.push_str(&outcome.text);
}
