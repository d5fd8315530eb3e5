//! `faregate metrics`: the reference of all metrics, from the table in the code.

use std::process::ExitCode;

use crate::telemetry;

/// Prints the reference.
pub fn run() -> ExitCode {
    print!("{}", telemetry::reference());
    ExitCode::SUCCESS
}
