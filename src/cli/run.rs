//! `faregate run`: the proxy itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::span;
use crate::config::Overrides;
use crate::server::{self, ControlOptions, RunOptions};
use crate::telemetry::logs;

/// Run the proxy.
#[derive(Debug, Args)]
#[command(long_about = "Run the proxy until it is told to stop.

Without --config, the API listens on 127.0.0.1:4000 and the admin pages on 127.0.0.1:4001; every provider whose key is \
in the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY, ...) is enabled. With no key at all, a built-in simulated \
provider answers.

The configuration is read again when its file changes, on SIGHUP, and on POST /admin/reload; a bad one never replaces a \
good one. SIGTERM lets calls in flight finish; SIGUSR2 starts a process that takes over.")]
#[command(after_help = "Examples:
  faregate run
  faregate run --config faregate.yaml
  faregate run --listen 127.0.0.1:8080 --admin 127.0.0.1:8081
  curl -N 127.0.0.1:4000/v1/chat/completions -H 'content-type: application/json' \\
    -d '{\"model\": \"simulated\", \"stream\": true, \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'
  curl 127.0.0.1:4001/metrics")]
pub struct RunArgs {
    /// Configuration file, or a directory that holds `faregate.yaml`.
    #[arg(long, short, env = "FAREGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of the API, over the configuration's `server.listen`; port 0 lets the system choose.
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Address of the admin pages, over the configuration's `server.admin`.
    #[arg(long, value_name = "IP:PORT")]
    admin: Option<SocketAddr>,
    /// Print the addresses as one JSON line on standard output once calls can come.
    #[arg(long)]
    print_addresses: bool,
    /// Take the listeners over from the process that runs, without dropping a call.
    ///
    /// Both processes' configurations must name the same `server.upgrade_socket`. The running process finishes its calls
    /// and exits once this one serves. Where none runs, this is an ordinary start.
    #[arg(long)]
    upgrade: bool,
    /// Follow a control plane: take the routing table from there.
    ///
    /// The table that was last good, kept in the state directory, serves at once; else control is given a few seconds; else
    /// the configuration file or what the keys in the environment allow serves until control answers.
    #[arg(long, env = "FAREGATE_CONTROL", value_name = "URL", hide_env_values = true)]
    control: Option<String>,
    /// The authorities that vouch for the control plane, PEM or a file with such; the system's unless given.
    #[arg(long, env = "FAREGATE_CONTROL_CA", value_name = "PEM", hide_env_values = true)]
    control_ca: Option<String>,
    /// File with the token that is shown to the control plane; read at each connection.
    #[arg(
        long,
        env = "FAREGATE_CONTROL_TOKEN",
        value_name = "FILE",
        default_value = "/var/run/secrets/faregate.dev/token"
    )]
    control_token: PathBuf,
    /// After so long, a table of the control plane that was refused is tried again: a key may have come meanwhile.
    #[arg(long, default_value = "60s", value_parser = again, value_name = "TIME")]
    control_retry: Duration,
    /// Directory for what outlives this process: the last good table of the control plane, and whom to trust.
    #[arg(long, env = "FAREGATE_STATE", value_name = "DIRECTORY")]
    state: Option<PathBuf>,
}

/// Each try compiles the table; none is to follow the other without a pause.
fn again(text: &str) -> Result<Duration, String> {
    let again = span(text)?;
    if again.is_zero() { Err("wants a time above 0".into()) } else { Ok(again) }
}

/// Runs until the process is told to stop.
pub fn run(args: RunArgs) -> ExitCode {
    let overrides = Overrides { listen: args.listen, admin: args.admin };
    let RunArgs { config, print_addresses, upgrade, control, control_ca, control_token, state, .. } = args;
    let control = control.filter(|url| !url.is_empty());
    let control = control.map(|url| ControlOptions {
        url,
        ca: control_ca,
        token: control_token,
        state,
        again: args.control_retry,
    });
    let options = RunOptions { config, overrides, print_addresses, upgrade, control };
    match server::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logs::flush(Duration::from_secs(1));
            eprintln!("{error}");
            eprintln!("faregate: not started");
            ExitCode::FAILURE
        }
    }
}
