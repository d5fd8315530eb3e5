//! The `faregate` program; all it does stands in the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    faregate::cli::Cli::parse().run()
}
