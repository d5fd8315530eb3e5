//! `faregate bill` and `faregate advise`, as a person runs them: over records that the real proxy wrote, over files in
//! every state, over a real Prometheus that scrapes a real Faregate.

mod support;

#[path = "billing/advise.rs"]
mod advise;
#[path = "billing/counters.rs"]
mod counters;
#[path = "billing/focus.rs"]
mod focus;
#[path = "billing/golden.rs"]
mod golden;
#[path = "billing/inputs.rs"]
mod inputs;
#[path = "billing/properties.rs"]
mod properties;
#[path = "billing/records.rs"]
mod records;
#[path = "billing/run.rs"]
mod run;
#[path = "billing/stage.rs"]
mod stage;
