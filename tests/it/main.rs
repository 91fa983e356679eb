//! Tests of the public API, over real HTTP and websockets, with nodes in one process.

// Helpers of tests are tests, which those rules are not made for.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod bus;
mod events;
mod rest;
mod serve;
mod support;
mod sync;
