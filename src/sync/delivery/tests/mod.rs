//! The core by itself, and three cores against a model of a broker, in virtual time.

mod closing;
mod crowded;
mod diverged;
mod hostile;
mod identity;
mod lie;
mod link;
mod model;
mod outage;
mod own;
mod peers;
mod plan;
mod repair;
mod rig;
mod world;
