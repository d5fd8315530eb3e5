//! What a router itself adds to a call: the time at its address, less the generation that it tells of, less the way
//! there and back.

use std::time::Duration;

use super::exchange::{Call, Exchange};
use super::target::Series;
use crate::chat::RouterTold;
use crate::telemetry::Metrics;

/// Routers tell whole milliseconds, by a clock of their own.
const ROUNDED: Duration = Duration::from_millis(1);

/// What is known of a router's part in a call.
#[derive(Debug, Default)]
pub(super) struct RouterPart {
    told: Option<Box<RouterTold>>,
    /// How long a packet takes to the router and back.
    round_trip: Option<Duration>,
}

/// A router's part in a call, as a usage record tells it.
#[derive(Debug)]
pub struct RouterRecord<'a> {
    /// What the router says that the generation took.
    pub generation: Option<Duration>,
    /// Where it took the call, in its own words.
    pub region: Option<&'a str>,
    /// How long a packet takes to the router and back.
    pub round_trip: Option<Duration>,
    /// What the router itself added.
    pub hop: Option<Duration>,
}

impl Exchange {
    /// What a router told of its own part.
    pub fn set_router(&mut self, told: Option<&RouterTold>) {
        self.call.router.told = told.map(|told| Box::new(told.clone()));
    }

    /// How long a packet takes to the provider and back, over the connection that the answer came by.
    pub fn round_trip(&mut self, took: Option<Duration>) {
        self.call.router.round_trip = took;
    }
}

impl Call {
    /// What the router itself added; `None` unless all that it is made of is known and fits together.
    pub(super) fn router_hop(&self) -> Option<Duration> {
        let generation = self.router.told.as_ref()?.generation?;
        hop(self.answer_time()?, generation, self.router.round_trip?)
    }

    pub(super) fn router_record(&self) -> Option<RouterRecord<'_>> {
        let told = self.router.told.as_ref()?;
        Some(RouterRecord {
            generation: told.generation,
            region: told.region.as_deref(),
            round_trip: self.router.round_trip,
            hop: self.router_hop(),
        })
    }

    pub(super) fn count_router(&self, m: &Metrics, series: &Series) {
        if let Some(hop) = self.router_hop() {
            series.router_hop(m).observe(hop);
        }
    }
}

/// `answered`: from the request sent to the answer's last byte. A generation that took longer than all of it is not the
/// one of this call; one that leaves less than the way there and back leaves nothing for the router.
fn hop(answered: Duration, generation: Duration, round_trip: Duration) -> Option<Duration> {
    (generation <= answered + ROUNDED).then(|| answered.saturating_sub(generation).saturating_sub(round_trip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hop_is_what_is_left_and_never_negative() {
        let of = |answered, generation, round_trip| {
            let ms = Duration::from_micros;
            hop(ms(answered), ms(generation), ms(round_trip)).map(|hop| hop.as_micros())
        };
        assert_eq!(of(2_150_000, 2_000_000, 30_000), Some(120_000));
        assert_eq!(of(2_020_000, 2_000_000, 30_000), Some(0), "no more than the way there and back");
        assert_eq!(of(1_999_500, 2_000_000, 10), Some(0), "rounded up by the router");
        assert_eq!(of(1_998_000, 2_000_000, 10), None, "it cannot have taken longer than the call");
    }
}
