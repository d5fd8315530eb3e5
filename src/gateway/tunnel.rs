//! After `101 Switching Protocols`: bytes both ways, unread, until either side ends.

use super::answer::Answer;
use super::call::Call;
use super::downstream::{BodyLength, Downstream};
use super::forward::Marks;
use crate::error::{ClientError, Kind};
use crate::http1::{self, ResponseHead};
use crate::metering::{Exchange, Outcome};
use crate::upstream::Conn;

/// Tells the client of the switch and carries bytes until either side ends.
pub(super) async fn run<D: Downstream>(
    call: &Call<'_>,
    conn: Conn,
    head: &ResponseHead,
    marks: &Marks,
    down: &mut D,
    exchange: &mut Exchange,
) -> Result<(), ClientError> {
    let Some(upstream) = conn.into_tunnel() else {
        return Err(ClientError::new(Kind::UpstreamBroken, "the provider switched protocols where it cannot"));
    };
    let mut answer = Answer::new(101, BodyLength::None);
    for (name, value) in head.headers.iter() {
        // A 101 names the protocol in `upgrade`, the one hop-by-hop field that matters here.
        if !http1::is_hop_by_hop(name) || name.eq_ignore_ascii_case(b"upgrade") {
            http1::write_header(&mut answer.lines, name, value);
        }
    }
    answer.header("connection", b"upgrade");
    answer.mark(call.gateway, marks, exchange.request_id());
    down.start(&answer);
    exchange.set_outcome(Outcome::Ok, 101);
    if let Ok((received, sent)) = down.tunnel(upstream).await {
        exchange.add_received(usize::try_from(received).unwrap_or(usize::MAX));
        exchange.add_sent(usize::try_from(sent).unwrap_or(usize::MAX));
    }
    exchange.end_attempt(Outcome::Ok);
    Ok(())
}
