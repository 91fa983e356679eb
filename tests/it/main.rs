//! Tests of the public API, over real HTTP and websockets, with nodes in one process.

mod bus;
mod support;
mod sync;
