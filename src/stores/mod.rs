//! Beside the pipeline: services that keep records.

mod memory;
mod options;

pub use memory::Memory;
pub use options::{MemoryOptions, Multi, Operator, Overrides};

pub use crate::service::query::Paginate;
