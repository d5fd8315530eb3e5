//! Subcommands.

pub mod metrics;
pub mod run;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// An LLM gateway.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    /// Print the reference of all metrics.
    #[command(hide = true)]
    Metrics,
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Run(args) => run::run(args),
            Command::Metrics => metrics::run(),
        }
    }
}
