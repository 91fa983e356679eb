//! Socket.IO over websocket and long-polling, as clients meet it.

mod calls;
mod connecting;
mod events;
mod golden;
mod limits;
mod packets;
mod polling;
mod polling_faults;
mod revoking;
mod upgrade;
