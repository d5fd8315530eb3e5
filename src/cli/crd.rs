//! `faregate crd`: the kind `RoutingTable` of Kubernetes.

use std::process::ExitCode;

use clap::Args;

use super::print;
use crate::control::crd;

/// Print the Kubernetes CustomResourceDefinition of RoutingTable.
#[derive(Debug, Args)]
#[command(
    long_about = "Print the Kubernetes CustomResourceDefinition of RoutingTable, whose spec is a configuration file.

Nothing in a cluster reads a RoutingTable yet: the control plane that will is not there. With the definition, manifests can \
be written, reviewed and held against its schema. What the schema cannot say, `faregate check` says of the same text."
)]
#[command(after_help = "Examples:
  faregate crd > routing-table.crd.yaml")]
pub struct CrdArgs {}

/// Prints it.
pub fn crd(_: &CrdArgs) -> ExitCode {
    print(&crd::crd_text());
    ExitCode::SUCCESS
}
