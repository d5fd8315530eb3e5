//! A route beside its direct target: duplicates of sampled calls, what they cost, and what is made of the pairs.

mod support;

#[path = "paired/bounds.rs"]
mod bounds;
#[path = "paired/pairs.rs"]
mod pairs;
#[path = "paired/prometheus.rs"]
mod prometheus;
#[path = "paired/shown.rs"]
mod shown;
#[path = "paired/stage.rs"]
mod stage;
