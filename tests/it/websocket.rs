//! The plain websocket, as clients meet it.

mod calls;
mod ends;
mod events;
