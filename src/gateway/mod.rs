//! The life of a call: who calls, what is asked, where it may go, the attempts, the relay, the rescue.
//!
//! Sees the client through [`Downstream`] only, so the same path serves HTTP/1.1, HTTP/2 and tests; sees providers
//! through `upstream`. Knows no vendor. Start with [`serve`].

mod answer;
mod attempt;
mod attempts;
mod auth;
mod budget;
mod call;
mod downstream;
mod failure;
mod forward;
mod live;
mod outgoing;
mod passthrough;
mod paths;
mod relay;
mod report;
mod rescue;
mod tunnel;
mod waits;

pub use answer::Answer;
pub use auth::InboundKeys;
pub use budget::{BodyBudget, Held};
pub use call::{dialect_and_operation, serve};
pub use downstream::{BodyLength, Downstream, End, ReadError};
pub use live::{Gateway, Live, Settings};
