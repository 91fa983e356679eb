//! Server-sent events, as clients meet them.

mod ends;
mod streams;
mod versions;
