//! Faregate's part in a Kubernetes cluster: the injection of the sidecar into pods, the definition of `RoutingTable`, the
//! control plane that injects, distributes routing tables and looks after certificates.
//!
//! Behind the cargo feature `control`, so that the proxy alone builds lean. Must not know how calls are made.
//!
//! - [`inject`]: a pod, settings and a namespace -> the injected pod, or the reason why not. Pure.
//! - [`manifest`]: YAML manifests as people keep them in Git: read, the pods in them injected, written again. Pure.
//! - [`crd`]: the kind `RoutingTable`, made from the types of the configuration. Pure.
//! - [`patch`]: the difference of two JSON values as a JSON Patch (RFC 6902). Pure.
//! - [`tables`]: routing tables as they stand in a cluster: read, checked, chosen among. Pure.
//! - [`snapshot`]: a table that is ready to be handed out. Pure.
//! - [`distribution`]: hands tables to sidecars over TLS.
//! - [`snapshots`]: which namespace has which table, and how many sidecars run it.
//! - [`webhook`]: admission reviews, answered without asking anybody.
//! - [`certificates`]: what is served over TLS, and the trust that goes with it.
//! - `controller`: from the tables in the cluster to those that sidecars get, and the status of each.
//! - `namespaces`, `watchdog`: what is known of namespaces; pods that should be injected and are not.
//! - `lease`, `replicas`: which of the replicas leads; what the others know of their sidecars.
//! - `watching`: a watch on the API server, followed for ever.
//! - `http`, `admin`: small requests and answers; health and metrics.
//! - [`mod@run`]: the process of `faregate control`.
//!
//! Start with [`inject::Injector`], and with [`run::run`].

mod admin;
pub mod certificates;
mod controller;
pub mod crd;
pub mod distribution;
mod http;
pub mod inject;
mod lease;
pub mod manifest;
pub mod namespaces;
pub mod patch;
mod replicas;
pub mod run;
pub mod snapshot;
pub mod snapshots;
pub mod tables;
mod watchdog;
mod watching;
pub mod webhook;
