//! `faregate ready`: whether a process that runs can serve, for health checks where there is no shell.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use super::{admin, span};

/// How long to wait before it is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// Tell whether a running Faregate can serve.
#[derive(Debug, Args)]
#[command(
    long_about = "Tell whether a running Faregate can serve: exit status 0 when it answers /readyz, else 1, and why.

It is a health check for containers, in which there is no shell and no curl. `faregate control` is asked in the same way."
)]
#[command(after_help = "Examples:
  faregate ready
  faregate ready --wait 30s --admin http://faregate-gateway:4001")]
pub struct ReadyArgs {
    /// The admin address of the process.
    #[arg(long, default_value = "http://127.0.0.1:4001", value_name = "URL")]
    admin: String,
    /// Ask again and again for so long.
    #[arg(long, default_value = "0s", value_parser = span, value_name = "TIME")]
    wait: Duration,
}

/// Asks until it is ready or the time is over.
pub fn ready(args: &ReadyArgs) -> ExitCode {
    let began = Instant::now();
    loop {
        match admin::page(&args.admin, "/readyz") {
            Ok(_) => return ExitCode::SUCCESS,
            Err(why) if began.elapsed() >= args.wait => {
                eprintln!("faregate: not ready: {why}");
                return ExitCode::FAILURE;
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
