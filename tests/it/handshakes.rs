//! Who is let in: headers, cookies and tickets, on every way to a connection.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::client::Request as Handshake;
use wingbeat::error::ErrorName;
use wingbeat::transport;
use wingbeat::{App, AppBuilder, Config, Error, Memory};

use crate::support::events::{EventStream, get};
use crate::support::http::{Client, Request};
use crate::support::plain::{self, PlainClient, with_header};
use crate::support::socket::{self, SocketClient, attach};
use crate::support::{Node, eventually, within};

/// Takes a name from a header, a cookie or a ticket, and lets nobody in without.
fn named(handshake: &mut transport::Handshake) -> wingbeat::error::Result<Value> {
    let header = handshake.parts().headers.get("authorization");
    if let Some(name) = header.and_then(|value| value.to_str().ok()) {
        return Ok(name.into());
    }
    if let Some(name) = handshake.cookie("name") {
        return Ok(name.into());
    }
    handshake.ticket()
}

fn app() -> AppBuilder {
    App::builder()
        .service("messages", Memory::new())
        .on_handshake(|handshake| {
            Box::pin(async move {
                // Who looks somebody up waits.
                tokio::task::yield_now().await;
                let name = named(handshake)?;
                if name == "mallory" {
                    return Err(Error::forbidden("not you"));
                }
                if name == "broken" {
                    return Err(Error::foreign("the database is gone"));
                }
                handshake.set_property("name", name);
                Ok(())
            })
        })
        .on_connection(|connection, app| {
            assert!(!connection.query().contains_key("ticket"));
            let name = connection.property("name").expect("it was let in");
            app.channel(name.as_str().expect("a text")).join(connection);
        })
        .publish(|publication, channels| {
            let to = publication.data()["to"].as_str().unwrap_or_default();
            channels.channel(to)
        })
}

/// The four ways to a connection, with what is added to each handshake.
async fn statuses(node: &Node, header: Option<(&'static str, &str)>, query: &str) -> [u16; 4] {
    let add = |request: Handshake| match header {
        Some((name, value)) => with_header(request, name, value),
        None => request,
    };
    let mut socket = socket::request(node.addr);
    let uri = format!("{}&{query}", socket.uri());
    *socket.uri_mut() = uri.parse().unwrap();
    let opened = [
        attach(add(socket), None).await,
        attach(add(plain::request(node.addr, &format!("?{query}"))), None).await,
    ];
    let [socket, plain] = opened.map(|opened| match opened {
        Ok(_) => 101,
        Err(answer) => answer.status().as_u16(),
    });
    let polling = format!("/socket.io/?EIO=4&transport=polling&{query}");
    let events = format!("/events?service=messages&{query}");
    let mut gets = [polling, events].map(|path| Request::new("GET", &path));
    if let Some((name, value)) = header {
        gets = gets.map(|request| request.header(name, value));
    }
    let [polling, events] = gets;
    // Of a stream that is let in the head is read and no more.
    let mut client = node.client().await;
    client.begin(&events).await;
    let events = client.answer().await.status;
    [socket, plain, node.send(polling).await.status, events]
}

#[tokio::test]
async fn nobody_comes_in_without_a_name_on_any_way() {
    let node = Node::start(app()).await;
    assert_eq!(statuses(&node, None, "").await, [401; 4]);
    assert_eq!(statuses(&node, None, "ticket=forged").await, [401; 4]);
    let mallory = Some(("authorization", "mallory"));
    assert_eq!(statuses(&node, mallory, "").await, [403; 4]);
    let broken = Some(("cookie", "a=b; name=broken"));
    assert_eq!(statuses(&node, broken, "").await, [500; 4]);
    let stats = node.app.stats();
    assert_eq!((stats.refused_handshakes, stats.refused_origins), (16, 0));
    assert_eq!(node.app.n_connections(), 0);
    let ada = Some(("authorization", "ada"));
    assert_eq!(statuses(&node, ada, "").await, [101, 101, 200, 200]);
    let ada = Some(("cookie", "name=ada"));
    assert_eq!(statuses(&node, ada, "").await, [101, 101, 200, 200]);
}

#[tokio::test]
async fn an_address_has_so_many_clients_and_no_more() {
    let mut config = Config::default();
    config.max_connections_per_address = Some(3);
    config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let app = App::builder().service("messages", Memory::new());
    let node = Node::start(app.config(config)).await;
    let _socket = SocketClient::connect(node.addr).await;
    let _stream = EventStream::open(node.addr, "?service=messages").await;
    let plain = PlainClient::connect(node.addr).await;
    assert_eq!(statuses(&node, None, "").await, [429; 4]);
    let stats = node.app.stats();
    assert_eq!((stats.crowded_addresses, stats.refused_handshakes), (4, 0));

    let behind_a_proxy = plain::request(node.addr, "");
    let behind_a_proxy = with_header(behind_a_proxy, "x-forwarded-for", "1.1.1.1, 192.0.2.7");
    assert!(attach(behind_a_proxy, None).await.is_ok());

    drop(plain);
    eventually("it is gone", || node.app.n_connections() <= 3).await;
    let again = async || attach(plain::request(node.addr, ""), None).await.is_ok();
    while !again().await {}
}

#[tokio::test]
async fn what_the_app_refuses_with_is_told_in_its_own_words() {
    let node = Node::start(app()).await;
    let request = get("?service=messages").header("authorization", "mallory");
    let (status, error) = node.send(request).await.pair();
    assert_eq!((status, &error["message"]), (403, &json!("not you")));
    let request = get("?service=messages").header("authorization", "broken");
    let (_, error) = node.send(request).await.pair();
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("Internal error")
    );
}

#[tokio::test]
async fn who_is_let_in_has_a_name_and_hears_what_is_for_it() {
    let node = Node::start(app()).await;
    let ticket = |name: &str| node.app.tickets().issue(&json!(name)).unwrap();
    let query = format!("?service=messages&ticket={}", ticket("ada"));
    let mut stream = EventStream::open(node.addr, &query).await;
    let query = format!("?ticket={}", ticket("bob"));
    let mut bob = PlainClient::open(plain::request(node.addr, &query), None).await;
    let mut eve = with_header(socket::request(node.addr), "authorization", "eve");
    *eve.uri_mut() = format!("{}&x=1", eve.uri()).parse().unwrap();
    let mut eve = SocketClient::open_with(eve, None).await;
    eve.join().await;
    for to in ["ada", "bob", "eve"] {
        let data = json!({ "to": to });
        node.app
            .service_at("messages")
            .emit("created", data)
            .unwrap();
    }
    assert_eq!(stream.event().await.1["to"], "ada");
    assert_eq!(bob.event().await.1["to"], "bob");
    assert_eq!(eve.event().await.1["to"], "eve");
    assert_eq!((bob.n_kept(), eve.n_kept()), (0, 0));
}

#[tokio::test]
async fn the_name_is_among_the_properties_of_calls() {
    use wingbeat::hooks::RegisterHooks;
    let builder = app().before(wingbeat::Method::Create, |context| {
        Box::pin(async move {
            let name = context.params.properties["name"].clone();
            context.data = Some(json!({ "by": name }));
            Ok(())
        })
    });
    let node = Node::start(builder).await;
    let request = with_header(plain::request(node.addr, ""), "cookie", "name=ada");
    let mut ada = PlainClient::open(request, None).await;
    let created = ada.call("create", "messages", json!([{}])).await;
    assert_eq!(created.unwrap()["by"], "ada");
}

#[tokio::test]
async fn a_ticket_is_good_once_and_on_every_node_with_the_secret() {
    let nodes = [
        Node::start(app().ticket_secret("shared")).await,
        Node::start(app().ticket_secret("shared")).await,
        Node::start(app()).await,
    ];
    let ticket = nodes[0].app.tickets().issue(&json!("ada")).unwrap();
    let path = format!("/events?service=messages&ticket={ticket}");
    let mut answers = Vec::new();
    for node in [0, 0, 1, 1, 2] {
        let mut client = Client::connect(nodes[node].addr).await;
        client.begin(&Request::new("GET", &path)).await;
        answers.push(client.answer().await.status);
    }
    assert_eq!(answers, [200, 401, 200, 401, 401]);
}

#[tokio::test]
async fn a_ticket_ends() {
    let mut config = Config::default();
    config.ticket_lifetime = Duration::ZERO;
    let node = Node::start(app().config(config)).await;
    let ticket = node.app.tickets().issue(&json!("ada")).unwrap();
    let error = node.app.tickets().redeem(&ticket).unwrap_err();
    assert_eq!(error.name(), ErrorName::NotAuthenticated);
    let problem = app().ticket_secret("").build().unwrap_err();
    assert!(problem.to_string().starts_with("ticket_secret is empty"));
}

#[tokio::test]
async fn the_first_that_refuses_has_the_last_word() {
    let builder = App::builder()
        .service("messages", Memory::new())
        .on_handshake(|_| Box::pin(async { Err(Error::forbidden("first")) }))
        .on_handshake(|_| Box::pin(async { panic!("it is not asked") }));
    let node = Node::start(builder).await;
    let answer = node.send(get("?service=messages")).await;
    assert_eq!(answer.json()["message"], "first");
    let builder = App::builder()
        .service("messages", Memory::new())
        .on_handshake(|_| Box::pin(async { panic!("on purpose") }));
    let node = Node::start(builder).await;
    assert_eq!(statuses(&node, None, "").await, [500; 4]);
    eventually("nobody is in", || node.app.n_connections() == 0).await;
}

#[tokio::test]
async fn code_that_takes_too_long_is_dropped_and_the_client_told_503() {
    let mut config = Config::default();
    config.handshake_timeout = Duration::from_millis(50);
    config.max_connections_per_address = Some(1);
    let running = Arc::new(());
    let held = Arc::clone(&running);
    let builder = App::builder()
        .service("messages", Memory::new())
        .on_handshake(move |handshake| {
            let held = Arc::clone(&held);
            Box::pin(async move {
                if handshake.cookie("name").is_none() {
                    std::future::pending::<()>().await;
                }
                drop(held);
                Ok(())
            })
        });
    let node = Node::start(builder.config(config)).await;
    // Each one leaves its place to the next.
    assert_eq!(statuses(&node, None, "").await, [503; 4]);
    let answer = node.send(get("?service=messages")).await;
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("it took too long"), "{message}");
    let stats = node.app.stats();
    assert_eq!((stats.handshake_timeouts, stats.refused_handshakes), (5, 5));
    assert_eq!(Arc::strong_count(&running), 2, "a future is left");
    let request = with_header(plain::request(node.addr, ""), "cookie", "name=ada");
    let opened = within(attach(request, None)).await;
    assert!(opened.is_ok(), "who is found in time comes in");
}
