//! Everything between the process and its calls: listeners, HTTP in, admin pages, reload, stop.
//!
//! Knows the gateway, and nothing of dialects' insides or providers. Start with [`run`].

mod admin;
mod begin;
mod body;
mod control;
mod downstream;
mod follow;
mod h1;
mod h2;
mod handover;
mod inbound;
mod listen;
mod notify;
mod observe;
mod paired;
mod passed;
mod reload;
mod run;
mod simulate;
mod source;
mod status;
mod stop;
mod tls;
mod upgrade;
mod watch;
mod workers;

pub use h1::{Handler, serve_connection};
pub use inbound::Inbound;
pub use listen::{Bound, ListenError};
pub use run::{ControlOptions, RunError, RunOptions, run};
pub use source::Source;
