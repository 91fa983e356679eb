//! Who hears what: rooms that clients join and leave, and data that not everybody in them gets.
//!
//! ```text
//! cargo run --example channels
//! PORT=4000 cargo run --example channels
//! ```

// A program says where it listens.
#![allow(clippy::print_stdout)]

use std::env;
use std::error::Error as StdError;
use std::sync::OnceLock;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wingbeat::channels::{Channel, Channels, Publication};
use wingbeat::connections::Connection;
use wingbeat::error::Result;
use wingbeat::hooks::RegisterHooks;
use wingbeat::service::Registration;
use wingbeat::service::typed::{CustomCall, MethodType};
use wingbeat::{
    App, AppHandle, BuildError, Error, HookContext, Memory, Method, Params, ServiceType, Typed,
    TypedService,
};

/// One message in one room.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    room: String,
    text: String,
    /// Who wrote it, which only moderators see.
    #[serde(default)]
    author: Value,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let port = env::var("PORT").unwrap_or_else(|_| "3030".to_owned());
    let url = format!("http://127.0.0.1:{port}");
    println!("In Node, after `npm install socket.io-client`:\n");
    println!("const {{ io }} = require('socket.io-client')");
    println!("const socket = io('{url}', {{ query: {{ name: 'Ada', room: 'hall' }} }})");
    println!("socket.on('messages created', console.log)");
    println!("socket.emit('join', 'rooms', {{ room: 'kitchen' }}, {{}}, console.log)\n");
    println!("Then, here and with other rooms:\n");
    let message = "{\"room\":\"kitchen\",\"text\":\"hi\"}";
    println!("curl -H 'content-type: application/json' -d '{message}' {url}/messages");
    app()?.serve(format!("127.0.0.1:{port}")).await?;
    Ok(())
}

/// Builds the node.
pub(crate) fn app() -> Result<App, BuildError> {
    let messages = Registration::new(Memory::<Message>::typed())
        .methods(["create"])
        .before(Method::Create, sign)
        .publish(audience);
    App::builder()
        .service("messages", messages)
        .service(Rooms::PATH, Typed(Rooms::default()))
        .on_connection(welcome)
        .build()
}

/// Joins the rooms that a new connection names in its query. A real app would ask who says so.
fn welcome(connection: &Connection, app: &App) {
    let asked = |name| connection.query().get(name).and_then(Value::as_str);
    if let Some(name) = asked("name") {
        connection.set_property("name", name.into());
    }
    if let Some(name) = asked("room") {
        app.channel(&room(name)).join(connection);
    }
    if asked("moderator").is_some() {
        app.channel("moderators").join(connection);
    }
}

/// Puts the name of the caller's connection into a message; nobody can write in another name.
fn sign(context: &mut HookContext) -> BoxFuture<'_, Result<()>> {
    Box::pin(async move {
        let author = context.params.properties.get("name").cloned();
        if let Some(Value::Object(message)) = &mut context.data {
            message.insert("author".to_owned(), author.unwrap_or_default());
        }
        Ok(())
    })
}

/// Picks who hears of a message: moderators all of it, the others in its room all but the author, and its author nothing.
///
/// The first channel that a connection is in decides what it gets.
fn audience(event: &Publication<'_>, channels: &Channels) -> Vec<Channel> {
    let Value::Object(mut message) = event.data().clone() else {
        return Vec::new();
    };
    let author = message.shift_remove("author").unwrap_or_default();
    let Some(name) = message.get("room").and_then(Value::as_str) else {
        return Vec::new();
    };
    let in_room = channels
        .channel(&room(name))
        .filter(move |connection| {
            author.is_null() || connection.property("name").as_ref() != Some(&author)
        })
        .send(message.into());
    vec![channels.channel("moderators"), in_room]
}

fn room(name: &str) -> String {
    format!("room/{name}")
}

/// Lets clients join and leave rooms. Who disconnects leaves all of them.
#[derive(Debug, Default)]
struct Rooms(OnceLock<AppHandle>);

impl ServiceType for Rooms {
    const PATH: &'static str = "rooms";
    type Record = Room;
    type Data = Room;
    type Patch = Room;
}

/// What `join` and `leave` take.
#[derive(Debug, Serialize, Deserialize)]
struct Room {
    room: String,
}

/// Joins a room; the result is how many are in it.
struct Join;

impl MethodType<Rooms> for Join {
    const NAME: &'static str = "join";
    type Data = Room;
    type Result = usize;
}

/// Leaves a room; the result is how many are left.
struct Leave;

impl MethodType<Rooms> for Leave {
    const NAME: &'static str = "leave";
    type Data = Room;
    type Result = usize;
}

impl TypedService for Rooms {
    const METHODS: &'static [&'static str] = &[Join::NAME, Leave::NAME];

    fn setup(&self, app: &AppHandle, _path: &str) {
        let _ = self.0.set(app.clone());
    }

    async fn custom(&self, call: CustomCall, params: &Params) -> Result<Value> {
        let caller = params.connection.as_ref();
        let caller = caller.ok_or_else(|| Error::bad_request("only sockets can be in a room"))?;
        match call.name() {
            Join::NAME => {
                call.answer(Join, |room| self.change(room, |room| room.join(caller)))
                    .await
            }
            Leave::NAME => {
                call.answer(Leave, |room| self.change(room, |room| room.leave(caller)))
                    .await
            }
            _ => call.unsupported(),
        }
    }
}

impl Rooms {
    async fn change(&self, which: Room, change: impl FnOnce(&Channel)) -> Result<usize> {
        let app = self.0.get().and_then(AppHandle::upgrade);
        let app = app.ok_or_else(|| Error::foreign("the app is gone"))?;
        let channel = app.channel(&room(&which.room));
        change(&channel);
        Ok(channel.len())
    }
}
