//! Faregate's part in a Kubernetes cluster: the injection of the sidecar into pods, the definition of `RoutingTable`, the
//! distribution of routing tables.
//!
//! Behind the cargo feature `control`, so that the proxy alone builds lean. Must not know how calls are made.
//!
//! - [`inject`]: a pod, settings and a namespace -> the injected pod, or the reason why not. Pure.
//! - [`manifest`]: YAML manifests as people keep them in Git: read, the pods in them injected, written again. Pure.
//! - [`crd`]: the kind `RoutingTable`, made from the types of the configuration. Pure.
//! - [`patch`]: the difference of two JSON values as a JSON Patch (RFC 6902). Pure.
//! - [`snapshot`]: a table that is ready to be handed out. Pure.
//! - [`distribution`]: hands tables to sidecars over TLS.
//! - [`snapshots`]: which namespace has which table, and how many sidecars run it.
//!
//! Start with [`inject::Injector`].

pub mod crd;
pub mod distribution;
pub mod inject;
pub mod manifest;
pub mod patch;
pub mod snapshot;
pub mod snapshots;
