//! Routing tables on their way from a control plane to the processes that serve calls: the protocol, and the receiving
//! end of it.
//!
//! Knows how a table travels, not what it means: to this module it is a text with a name, its hash. Must not know
//! Kubernetes, calls, or who puts a table into use ([`Tables`] does). The sending end is `control/distribution`.
//!
//! # The protocol, `faregate-tables/1`
//!
//! The receiver (a sidecar) connects with TLS and asks `GET /v1/tables` of HTTP/1.1, with `Authorization: Bearer` and the
//! token of its pod, `Connection: Upgrade` and `Upgrade: faregate-tables/1`. The answer is `101`, or a status with a line
//! of text: `401` the token is refused, `503` ask again later, `426` none of the protocols offered is known here. `Upgrade`
//! may list several protocols; the sender takes the newest that it knows. After `101` both send frames:
//!
//! ```text
//! kind: 1 byte | length of the payload: 4 bytes, big endian | payload
//! ```
//!
//! | kind | from | payload | meaning |
//! |---|---|---|---|
//! | 1 `table` | control | hash, gzip | run this table |
//! | 2 `keep` | control | hash | the table that you run is the right one |
//! | 3 `none` | control | - | there is no table for you; keep what you run |
//! | 4 `trust` | control | PEM | the authorities to trust from now on, beside those that you were started with |
//! | 5 `ping` | control | seconds, 2 bytes | answer; the next comes within so many seconds |
//! | 6 `bye` | control | text | the connection ends for this reason: come again |
//! | 65 `hello` | sidecar | JSON: `version`, `table` (the hash of the table in use, or null) | the first frame |
//! | 66 `ack` | sidecar | hash | the table is in use |
//! | 67 `nack` | sidecar | hash, text | the table is refused for this reason; the one before stays in use |
//! | 68 `pong` | sidecar | - | |
//!
//! A hash is one byte, its length, and then its text. Frames of other kinds are skipped, and so is what follows the fields
//! above, so that either side may be newer than the other; what an older side could not skip needs another protocol name.
//! A table is sent only to who has not said (by `hello` or `ack`) that it runs it already.
//!
//! Start with [`follow`](fn@follow).

mod address;
mod channel;
mod follow;
mod frame;
mod jitter;
mod keep;
mod message;
mod pack;
mod session;
mod standing;
mod trust;

pub use address::{Address, AddressError};
pub use channel::Channel;
pub use follow::{Control, Table, Tables, first_table, follow};
pub use frame::{Frame, FrameError, decode};
pub use jitter::up_to;
pub use keep::Keeper;
pub use message::{MAX_HASH, ToControl, ToSidecar};
pub use pack::{PackError, pack, unpack};
pub use standing::{Standing, Stood};
pub use trust::Authorities;

/// The protocol's name in `Upgrade`.
pub const PROTOCOL: &str = "faregate-tables/1";
/// Where it is asked for.
pub const PATH: &str = "/v1/tables";
/// The longest frame of a sidecar, and of control but for tables.
pub const MAX_SMALL: usize = 8 << 10;
/// The longest bundle of authorities.
pub const MAX_TRUST: usize = 256 << 10;
/// The longest frame with a table.
pub const MAX_TABLE: usize = crate::config::MAX_FILE as usize + MAX_SMALL;
