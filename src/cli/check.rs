//! `faregate check`: everything that is wrong with configuration files, before they run.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::print;
use crate::config::{self, Checked, MAX_FILE, Problems, Severity, Surroundings};
use crate::routing::RoutingTable;

/// Check configuration files: all that is wrong, with its place and what to do.
#[derive(Debug, Args)]
#[command(long_about = "Check configuration files and print all that is wrong with them, one finding a line, as

  FILE:LINE:COLUMN: KEY: what is wrong; what to do

Errors forbid the use of a file: `faregate run` would refuse it, and a reload would keep the table in use. Warnings \
(`warning:`) show what probably does not do what you want. Beside the file itself, the environment variables, key files \
and certificates that it names are looked at, here and now; --elsewhere makes those that are missing warnings, for checks \
in a pipeline. No secret is ever shown.

Exit status: 0 without errors, 1 with errors (with --strict: or warnings), 2 for a wrong command line.")]
#[command(after_help = "Examples:
  faregate check faregate.yaml
  faregate check --strict --elsewhere config/*.yaml
  helm template . | yq .data.config | faregate check -")]
pub struct CheckArgs {
    /// Files, directories that hold `faregate.yaml`, or `-` for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Treat warnings as errors.
    #[arg(long)]
    strict: bool,
    /// The files will run elsewhere: only warn of environment variables and files that are missing here.
    #[arg(long)]
    elsewhere: bool,
    /// How to print findings.
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

/// How to print findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each finding, and a summary.
    Text,
    /// One JSON object: `problems`, `errors`, `warnings`.
    Json,
}

/// Checks all files.
pub fn check(args: &CheckArgs) -> ExitCode {
    let surroundings = Surroundings { elsewhere: args.elsewhere, ..Surroundings::process() };
    let mut all = Problems::default();
    for file in &args.files {
        all.0.extend(one(file, &surroundings).0);
    }
    let (errors, warnings) = (all.errors().count(), all.warnings().count());
    match args.format {
        Format::Text => {
            let mut text = String::new();
            if !all.is_empty() {
                text = format!("{all}\n");
            }
            print(&format!("{text}{}\n", summary(args.files.len(), errors, warnings)));
        }
        Format::Json => {
            let report = serde_json::json!({ "problems": all, "errors": errors, "warnings": warnings });
            print(&format!("{report:#}\n"));
        }
    }
    if errors > 0 || (args.strict && warnings > 0) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn one(file: &Path, surroundings: &Surroundings<'_>) -> Problems {
    let (checked, source) = if file == Path::new("-") {
        (stdin(surroundings), "<stdin>".into())
    } else {
        let file = super::config_file(file);
        (config::check_file(&file, surroundings), file.to_string_lossy().into_owned())
    };
    let Checked { config, mut problems } = checked;
    // What the checks let through must compile; should it ever not, that is said here and not at run time.
    if let Some(Err(errors)) = config.map(|config| RoutingTable::compile(&config, None)) {
        problems.0.extend(errors.into_iter().map(|error| config::Problem {
            severity: Severity::Error,
            place: config::Place { file: source.as_str().into(), line: 0, column: 0 },
            key: error.key,
            message: error.message,
            advice: None,
        }));
    }
    problems
}

fn stdin(surroundings: &Surroundings<'_>) -> Checked {
    let mut bytes = Vec::new();
    match io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes) {
        Ok(_) => config::check(&bytes, "<stdin>", surroundings),
        Err(error) => config::unreadable("<stdin>", &error),
    }
}

fn summary(files: usize, errors: usize, warnings: usize) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let found = match (errors, warnings) {
        (0, 0) => "no problems".to_owned(),
        (0, w) => count(w, "warning"),
        (e, 0) => count(e, "error"),
        (e, w) => format!("{}, {}", count(e, "error"), count(w, "warning")),
    };
    format!("{}: {found}", count(files, "file"))
}
