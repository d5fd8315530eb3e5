//! Subcommands. Exit status: 0 all is well, 1 something was found or failed, 2 a wrong command line.

mod admin;
mod advise;
mod bill;
mod calls;
mod check;
mod compare;
#[cfg(feature = "control")]
mod control;
#[cfg(feature = "control")]
mod crd;
mod explain;
#[cfg(feature = "control")]
mod inject;
mod metrics;
mod presets;
mod prices;
mod ready;
mod run;
mod schema;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::units::Span;

/// An LLM gateway that runs beside every pod.
#[derive(Debug, Parser)]
#[command(version)]
#[command(
    long_about = "Faregate is an LLM gateway: it takes calls in the OpenAI and Anthropic dialects, routes them to \
providers, falls back when one fails, and tells what each call used.

Start without any configuration:

  faregate run
  curl -N 127.0.0.1:4000/v1/chat/completions -H 'content-type: application/json' \\
    -d '{\"model\": \"simulated\", \"stream\": true, \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'

Then write a faregate.yaml (`faregate schema` gives your editor its keys), and see what it does with `faregate check` \
and `faregate explain` before it runs."
)]
#[command(after_help = "Exit status: 0 all is well, 1 something was found or failed, 2 a wrong command line.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Check(check::CheckArgs),
    Compare(compare::CompareArgs),
    Explain(explain::ExplainArgs),
    Schema(schema::SchemaArgs),
    Presets(presets::PresetsArgs),
    Prices(prices::PricesArgs),
    Bill(bill::BillArgs),
    Advise(advise::AdviseArgs),
    Ready(ready::ReadyArgs),
    #[cfg(feature = "control")]
    Inject(inject::InjectArgs),
    #[cfg(feature = "control")]
    Crd(crd::CrdArgs),
    #[cfg(feature = "control")]
    Control(Box<control::ControlArgs>),
    /// Print the reference of all metrics.
    #[command(hide = true)]
    Metrics,
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Run(args) => run::run(args),
            Command::Check(args) => check::check(&args),
            Command::Compare(args) => compare::compare(&args),
            Command::Explain(args) => explain::explain(&args),
            Command::Schema(args) => schema::schema(&args),
            Command::Presets(args) => presets::presets(&args),
            Command::Prices(args) => prices::prices(&args),
            Command::Bill(args) => bill::bill(&args),
            Command::Advise(args) => advise::advise(&args),
            Command::Ready(args) => ready::ready(&args),
            #[cfg(feature = "control")]
            Command::Inject(args) => inject::inject(&args),
            #[cfg(feature = "control")]
            Command::Crd(args) => crd::crd(&args),
            #[cfg(feature = "control")]
            Command::Control(args) => control::control(*args),
            Command::Metrics => metrics::run(),
        }
    }
}

/// Prints to standard output; a reader that has gone (`| head`) is no error.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A length of time on the command line, as configurations write it.
fn span(text: &str) -> Result<Duration, String> {
    let span: Result<Span, serde_json::Error> = serde_json::from_value(text.into());
    span.map(|span| span.0).map_err(|_| "wants a time such as 500ms, 30s, 5m or 12h".to_owned())
}

/// How a command writes what it has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Prints what a command has found, or why it has found nothing.
fn show(found: Result<String, String>) -> ExitCode {
    match found {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("faregate: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The file that a path on the command line means: itself, or a directory's `faregate.yaml`.
fn config_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("faregate.yaml") } else { path.to_owned() }
}
