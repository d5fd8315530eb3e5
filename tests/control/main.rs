//! `faregate control` as a cluster runs it: the real program against an API server of the tests' own (`api`), which asks its
//! webhooks as the repository's webhook configurations say and lets it do what the repository's RBAC grants.
#![cfg(feature = "control")]

mod api;
mod caller;
mod certificates;
mod deploy;
mod events;
mod leader;
mod pods;
mod process;
mod protocol;
mod sidecars;
#[path = "../support/mod.rs"]
mod support;
mod tables;
mod watchdog;
