//! Socket.IO over websocket, as clients meet it.

mod calls;
mod connecting;
mod events;
mod golden;
mod limits;
mod packets;
