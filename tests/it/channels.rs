//! Channels: who is in them, alone and several as one (feathers.md §4).

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use wingbeat::channels::{Audience, Channel};
use wingbeat::connections::Connection;
use wingbeat::hooks::RegisterHooks;
use wingbeat::service::Registration;
use wingbeat::{App, AppBuilder, HookContext, Memory, Method};

use crate::support::socket::{SocketClient, request};
use crate::support::{Node, eventually};

/// Everybody is in `all`, and has the property `name` that its handshake says.
fn named() -> AppBuilder {
    App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, app| {
            let name = connection.query().get("name").cloned();
            connection.set_property("name", name.unwrap_or_default());
            app.channel("all").join(connection);
        })
}

async fn client(node: &Node, name: &str) -> SocketClient {
    let mut handshake = request(node.addr);
    let uri = format!("{}&name={name}", handshake.uri());
    *handshake.uri_mut() = uri.parse().unwrap();
    let mut client = SocketClient::open_with(handshake, None).await;
    client.join().await;
    client
}

fn name(connection: &Connection) -> String {
    let name = connection.property("name").unwrap_or_default();
    name.as_str().unwrap_or_default().to_owned()
}

fn names(connections: &[Connection]) -> Vec<String> {
    let mut names: Vec<String> = connections.iter().map(name).collect();
    names.sort();
    names
}

fn channel_names(app: &App) -> Vec<String> {
    let names = app.channels().names();
    let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.sort();
    names
}

fn is(wanted: &'static str) -> impl Fn(&Connection) -> bool + Send + Sync + 'static {
    move |connection| name(connection) == wanted
}

/// Returns the connection with that name.
fn named_so(node: &Node, wanted: &'static str) -> Connection {
    let all = node.app.channel("all").filter(is(wanted)).connections();
    all.into_iter().next().expect("it is connected")
}

/// Calls something, so that what was sent before has come.
async fn n_events(client: &mut SocketClient) -> usize {
    client.call("find", "messages", json!([{}])).await.unwrap();
    client.n_kept()
}

#[tokio::test]
async fn a_channel_has_a_name_as_long_as_it_has_a_member() {
    let node = Node::start(named()).await;
    let (_ada, _bob) = (client(&node, "ada").await, client(&node, "bob").await);
    let channels = node.app.channels();
    let sorted = || channel_names(&node.app);
    let [ada, bob] = ["ada", "bob"].map(|name| named_so(&node, name));
    let hall = channels.channel("hall");
    assert_eq!(
        (hall.name(), hall.len(), hall.is_empty()),
        ("hall", 0, true)
    );
    assert_eq!(sorted(), ["all"]);
    hall.join(&ada);
    hall.join(&bob);
    hall.join(&ada);
    assert_eq!(
        (hall.len(), sorted()),
        (2, vec!["all".into(), "hall".into()])
    );
    hall.leave(&ada);
    assert_eq!(names(&hall.connections()), ["bob"]);
    hall.leave(&bob);
    hall.leave(&bob);
    assert_eq!((hall.len(), sorted()), (0, vec!["all".into()]));
    hall.join(&ada);
    channels.leave_all(&ada);
    assert_eq!(
        (sorted(), node.app.channel("all").len()),
        (vec!["all".into()], 1)
    );
    hall.join(&ada);
    assert_eq!(names(&hall.connections()), ["ada"]);
}

#[tokio::test]
async fn those_leave_for_whom_it_is_true() {
    let node = Node::start(named()).await;
    let _clients = [client(&node, "ada").await, client(&node, "bob").await];
    let all = node.app.channel("all");
    all.leave_if(|_| false);
    assert_eq!(names(&all.connections()), ["ada", "bob"]);
    all.leave_if(is("ada"));
    assert_eq!(names(&all.connections()), ["bob"]);
    // A condition may look at channels, and change them.
    let other = node.app.channel("other");
    all.leave_if(|connection| {
        other.join(connection);
        true
    });
    assert_eq!(
        (all.len(), names(&other.connections())),
        (0, vec!["bob".into()])
    );
}

#[tokio::test]
async fn several_channels_are_one() {
    let node = Node::start(named()).await;
    let _clients = [client(&node, "ada").await, client(&node, "bob").await];
    let [ada, bob] = ["ada", "bob"].map(|name| named_so(&node, name));
    let [a, b] = ["a", "b"].map(|name| node.app.channel(name));
    let both = || node.app.channels().combined(["a", "b"]);
    assert_eq!((both().len(), both().is_empty()), (0, true));
    both().join(&ada);
    b.join(&bob);
    assert_eq!(
        (a.len(), b.len(), both().len(), both().is_empty()),
        (1, 2, 2, false)
    );
    assert_eq!(names(&both().connections()), ["ada", "bob"]);
    assert_eq!(names(&both().filter(is("bob")).connections()), ["bob"]);
    both().leave(&ada);
    assert_eq!((a.len(), names(&b.connections())), (0, vec!["bob".into()]));
    both().join(&ada);
    both().leave_if(is("ada"));
    assert_eq!((a.len(), names(&b.connections())), (0, vec!["bob".into()]));
    let nobody = node.app.channels().combined([]);
    nobody.join(&ada);
    assert_eq!((nobody.len(), nobody.is_empty()), (0, true));
}

/// Picks by the text of a message.
fn audience(text: &str, [a, b]: [Channel; 2]) -> Audience {
    match text {
        "lists" => vec![vec![Some(a)], vec![None, Some(b)]].into(),
        "nobody" => None::<Channel>.into(),
        text => {
            let both: Audience = [a, b].into();
            match text {
                "filtered" => both.filter(is("bob")),
                "sent" => both.send(json!({ "text": "instead" })),
                _ => both,
            }
        }
    }
}

#[tokio::test]
async fn who_is_in_several_channels_hears_an_event_of_them_once() {
    let builder = named().publish(|publication, channels| {
        let text = publication.data()["text"].as_str().unwrap_or_default();
        audience(text, ["a", "b"].map(|name| channels.channel(name)))
    });
    let node = Node::start(builder).await;
    let mut clients = [client(&node, "ada").await, client(&node, "bob").await];
    let [ada, bob] = ["ada", "bob"].map(|name| named_so(&node, name));
    node.app.channels().combined(["a", "b"]).join(&ada);
    node.app.channel("b").join(&bob);
    for (text, heard) in [
        ("plain", [Some("plain"), Some("plain")]),
        ("lists", [Some("lists"), Some("lists")]),
        ("filtered", [None, Some("filtered")]),
        ("sent", [Some("instead"), Some("instead")]),
        ("nobody", [None, None]),
    ] {
        let messages = node.app.service_at("messages");
        messages.create(json!({ "text": text })).await.unwrap();
        for (client, heard) in clients.iter_mut().zip(heard) {
            assert_eq!(
                n_events(client).await,
                usize::from(heard.is_some()),
                "{text}"
            );
            if let Some(heard) = heard {
                assert_eq!(client.event().await.1["text"], heard);
            }
        }
    }
}

#[tokio::test]
async fn who_is_gone_has_left_its_channels_before_the_app_sees_it() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = Arc::clone(&seen);
    let builder = named().on_disconnect(move |connection, app| {
        let all = app.channel("all");
        all.join(connection);
        let left = names(&all.connections());
        seeing
            .lock()
            .push((name(connection), left, app.n_connections()));
    });
    let node = Node::start(builder).await;
    let (ada, _bob) = (client(&node, "ada").await, client(&node, "bob").await);
    assert_eq!(*seen.lock(), []);
    drop(ada);
    eventually("the app sees it", || !seen.lock().is_empty()).await;
    assert_eq!(*seen.lock(), [("ada".into(), vec!["bob".into()], 1)]);
}

/// Logs a connection in and out, as a crate for authentication would.
fn sessions() -> Registration {
    fn user(context: &HookContext) -> Option<(&Connection, Value)> {
        let connection = context.params.connection.as_ref()?;
        Some((connection, context.data.as_ref()?["user"].clone()))
    }
    Registration::new(Memory::new())
        .after(Method::Create, |context| {
            if let Some((connection, user)) = user(context) {
                connection.set_property("user", user);
                context.app().logged_in(connection);
            }
            Box::pin(async { Ok(()) })
        })
        .after(Method::Remove, |context| {
            if let Some(connection) = &context.params.connection {
                connection.remove_property("user");
                context.app().logged_out(connection);
            }
            Box::pin(async { Ok(()) })
        })
}

#[tokio::test]
async fn logging_in_and_out_changes_what_a_client_hears() {
    let builder = named()
        .service("sessions", sessions())
        .on_login(|connection, app| {
            let user = connection.property("user").unwrap_or_default();
            app.channel(user.as_str().unwrap_or_default())
                .join(connection);
        })
        .on_logout(|connection, app| {
            assert_eq!(connection.property("user"), None);
            app.channel("anonymous").join(connection);
        })
        .publish_event("created", |publication, channels| {
            (publication.path() == "messages").then(|| channels.channel("ada"))
        });
    let node = Node::start(builder).await;
    let mut client = client(&node, "").await;
    let messages = node.app.service_at("messages");
    for (is_in, heard) in [(false, 0), (true, 1), (false, 0)] {
        if is_in {
            let user = json!([{ "user": "ada" }, {}]);
            client.call("create", "sessions", user).await.unwrap();
        } else {
            let _ = client.call("remove", "sessions", json!([0, {}])).await;
        }
        messages.create(json!({})).await.unwrap();
        assert_eq!(n_events(&mut client).await, heard);
        if heard > 0 {
            client.event().await;
        }
    }
    assert_eq!(channel_names(&node.app), ["anonymous"]);
}
