//! What is reported of calls that are passed through: of those, some things are known only once they went by.

use super::exchange::Exchange;
use crate::telemetry::names;

impl Exchange {
    /// The call is passed through: whatever its target names, the model that is asked for is the one that is sent.
    pub fn pass_through(&mut self) {
        self.call.passed_through = true;
    }

    /// What the body of a request that streamed through says: see [`Exchange::set_request`].
    pub fn set_asked(&mut self, model: Option<&str>, stream: bool) {
        let call = &mut *self.call;
        if let Some(model) = model {
            call.asked = Some(names::clean(model).into());
        }
        call.stream |= stream;
    }
}
