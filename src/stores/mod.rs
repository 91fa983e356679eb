//! Beside the pipeline: services that keep records.

mod memory;
mod selection;

pub use memory::{Memory, Multi, Paginate};
