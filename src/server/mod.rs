//! Everything between the process and its calls: listeners, HTTP in, admin pages, reload, stop.
//!
//! Knows the gateway, and nothing of dialects' insides or providers. Start with [`run`].

mod admin;
mod body;
mod control;
mod downstream;
mod h1;
mod h2;
mod handover;
mod inbound;
mod listen;
mod notify;
mod paired;
mod passed;
mod reload;
mod run;
mod simulate;
mod status;
mod stop;
mod tls;
mod upgrade;
mod watch;
mod workers;

pub use h1::{Handler, serve_connection};
pub use inbound::Inbound;
pub use listen::{Bound, ListenError};
pub use reload::Source;
pub use run::{RunError, RunOptions, run};
