//! HTTP/1.1 on the wire: bytes in, values out.
//!
//! **Duty.** Split heads off a read buffer, decide how a message is framed, decode its body, write heads and
//! chunks. Strict: where RFC 9112 lets a recipient guess, this codec refuses, because two parsers that guess
//! differently are how requests get smuggled. Lenient only where real providers need it, and only in responses
//! (missing reason phrase, bytes beyond ASCII in it).
//!
//! **Must not know** sockets, timers (the `date` header's clock aside), configuration, or any other module of this
//! crate. Every function is synchronous and total: no input makes it panic, and no verdict depends on how the bytes
//! were split into reads.
//!
//! **Start reading** at [`parse_request`], then [`request_framing`] and [`BodyDecoder`]. `tests/codec_corpus.rs` holds
//! the malformed messages, each named after the rule that it breaks.

mod authority;
mod body;
mod chunk;
mod connection;
mod date;
mod diagnose;
mod error;
mod framing;
mod head;
mod headers;
mod parse;
mod target;
mod trailers;
mod write;

pub use body::{BodyDecoder, Decoded};
pub use connection::{expects_continue, is_hop_by_hop, keeps_alive, nominated, takes_trailers};
pub use date::{parse_date, write_date};
pub use error::{BodyError, FramingError, HeadError};
pub use framing::{Framing, request_framing, response_framing};
pub use head::{RequestHead, ResponseHead, Version};
pub use headers::Headers;
pub use parse::{MAX_FIELDS, parse_request, parse_response};
pub use write::{LAST_CHUNK, write_chunk, write_chunk_head, write_header, write_request_line, write_status_line};
