//! 1 · Bytes ↔ calls.

pub mod query;
