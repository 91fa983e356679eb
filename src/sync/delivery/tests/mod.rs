//! The core against a model of a broker, in virtual time.

mod invariants;
mod model;
mod outage;
mod plan;
mod world;
