//! `faregate compare`: what routes add over going direct, as a running process has measured it.

mod page;
mod text;

use std::process::ExitCode;

use clap::Args;

use super::{Format, admin, show};

/// Show what routes add over direct targets, in time and money.
#[derive(Debug, Args)]
#[command(
    long_about = "Show what routes add over direct targets, in time and money: means over pairs of a call and its \
duplicate (`probe` of a route), and where the true mean lies with 95 % confidence.

It reads the admin port of a process that runs. What is shown was measured since that process started; a Prometheus \
holds it for longer (docs/paired.md has the queries).

  ttft      streams: from the request sent to the first content
  duration  from the request sent to the answer's last byte
  cost      effective: as billed, and fees on top"
)]
#[command(after_help = "Examples:
  faregate compare
  faregate compare --admin http://10.0.0.7:4001
  faregate compare --format json | jq '.pairs[].ttft_ms.difference_mean'

Exit status: 0 all is well (also where there is nothing to compare yet), 1 no process answers there.")]
pub struct CompareArgs {
    /// The admin port of the process.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4001")]
    admin: String,
    /// How to write it; `json` is as the admin page /admin/paired has it.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
}

/// Shows the comparison.
pub fn compare(args: &CompareArgs) -> ExitCode {
    show(admin::page(&args.admin, "/admin/paired").and_then(|body| match args.format {
        Format::Json => String::from_utf8(body).map_err(|error| error.to_string()),
        Format::Table => {
            let page = serde_json::from_slice(&body);
            page.map(|page| text::render(&page)).map_err(|error| format!("{}: {error}", args.admin))
        }
    }))
}
