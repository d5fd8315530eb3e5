//! Routing tables distributed: the real server over TLS, with real `faregate run` processes and with the real client code,
//! some of whom misbehave. Only who tells whose a token is stands in for the API server. Start with `stage`.
#![cfg(feature = "control")]

mod fleet;
mod line;
mod refused;
mod sidecars;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod weather;
