//! `faregate schema`: the configuration's JSON Schema, and the reference made from it.

use std::process::ExitCode;

use clap::Args;

use super::print;
use crate::config;

/// Print the JSON Schema of the configuration file.
#[derive(Debug, Args)]
#[command(long_about = "Print the JSON Schema (draft 2020-12) of the configuration file.

Editors with a YAML language server complete keys and mark mistakes when a file begins with

  # yaml-language-server: $schema=faregate.schema.json

The schema knows every key; `faregate check` also knows what no schema can say.")]
#[command(after_help = "Examples:
  faregate schema > faregate.schema.json
  faregate schema --markdown > configuration.md")]
pub struct SchemaArgs {
    /// Print the reference of all keys as Markdown instead.
    #[arg(long)]
    markdown: bool,
}

/// Prints it.
pub fn schema(args: &SchemaArgs) -> ExitCode {
    print(&if args.markdown { config::reference() } else { config::schema_text() });
    ExitCode::SUCCESS
}
