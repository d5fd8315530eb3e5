//! `faregate crd`: the kind `RoutingTable` of Kubernetes.

use std::process::ExitCode;

use clap::Args;

use super::print;
use crate::control::crd;

/// Print the Kubernetes CustomResourceDefinition of RoutingTable.
#[derive(Debug, Args)]
#[command(
    long_about = "Print the Kubernetes CustomResourceDefinition of RoutingTable, whose spec is a configuration file.

`faregate control` watches these tables and tells in their status what became of them; its webhook refuses a bad one. What \
the schema cannot say, `faregate check` says of the same text."
)]
#[command(after_help = "Examples:
  faregate crd > routing-table.crd.yaml")]
pub struct CrdArgs {}

/// Prints it.
pub fn crd(_: &CrdArgs) -> ExitCode {
    print(&crd::crd_text());
    ExitCode::SUCCESS
}
