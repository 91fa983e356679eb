//! Services, events and errors with types, seen by clients and by another node.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wingbeat::error::Result;
use wingbeat::event::Origin;
use wingbeat::service::Id;
use wingbeat::service::typed::{Created, EventType};
use wingbeat::{App, AppBuilder, Params, ServiceType, Typed, TypedService};

use crate::support::socket::SocketClient;
use crate::support::{Node, cluster, eventually};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    article: String,
    n: u32,
}

/// What a new order is, and a change of one.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct NewOrder {
    lines: Vec<Line>,
}

struct Orders;

impl ServiceType for Orders {
    const PATH: &'static str = "orders";
    type Record = Order;
    type Data = NewOrder;
    type Patch = NewOrder;
}

impl TypedService for Orders {
    const METHODS: &'static [&'static str] = &["get", "create"];
    const EVENTS: &'static [&'static str] = &[Shipped::NAME];

    /// No id is the name of a file.
    async fn get(&self, id: Id, _: &Params) -> Result<Order> {
        let text = std::fs::read_to_string(format!("/no/such/order/{id}"))?;
        Ok(serde_json::from_str(&text)?)
    }

    async fn create(&self, data: NewOrder, _: &Params) -> Result<Order> {
        let lines = data.lines;
        Ok(Order { id: 7, lines })
    }
}

struct Shipped;

impl EventType<Orders> for Shipped {
    const NAME: &'static str = "shipped";
    type Data = (u64, String);
}

fn orders() -> AppBuilder {
    App::builder()
        .service(Orders::PATH, Typed(Orders))
        .on_connection(|connection, app| app.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"))
}

fn tea() -> NewOrder {
    let article = "tea".to_owned();
    let lines = vec![Line { article, n: 2 }];
    NewOrder { lines }
}

#[tokio::test]
async fn a_client_with_bad_data_is_told_the_place_on_every_transport() {
    let node = Node::start(orders()).await;
    let mut client = SocketClient::connect(node.addr).await;
    let bad = json!({ "lines": [{ "article": "tea", "n": 2 }, { "article": "milk", "n": -1 }] });
    let reason = "invalid value: integer `-1`, expected u32";
    let expected = json!({
        "name": "BadRequest",
        "message": format!("validation failed: /lines/1/n: {reason}"),
        "code": 400,
        "className": "bad-request",
        "data": [{ "instancePath": "/lines/1/n", "message": reason }],
    });
    let acknowledged = client.call("create", "orders", json!([bad, {}])).await;
    assert_eq!(acknowledged, Err(expected.clone()));
    assert_eq!(node.post("/orders", &bad).await.pair(), (400, expected));

    let good = json!({ "lines": [{ "article": "tea", "n": 2 }] });
    let order = json!({ "id": 7, "lines": good["lines"] });
    let answer = client.call("create", "orders", json!([good, {}])).await;
    assert_eq!(answer, Ok(order.clone()));
    assert_eq!(client.event().await, ("orders created".to_owned(), order));
}

#[tokio::test]
async fn what_a_service_fails_with_by_itself_stays_hidden() {
    let node = Node::start(orders()).await;
    let mut client = SocketClient::connect(node.addr).await;
    let error = client
        .call("get", "orders", json!([1, {}]))
        .await
        .unwrap_err();
    assert_eq!(
        (&error["name"], &error["code"]),
        (&json!("GeneralError"), &json!(500))
    );
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("Internal error, log id "), "{message}");
}

/// What a listener of a node heard.
type Heard<T> = Arc<Mutex<Vec<(T, bool)>>>;

fn listen<E: EventType<Orders, Data: Clone + Send + 'static>>(
    app: &App,
    event: E,
) -> Heard<E::Data> {
    let heard = Heard::default();
    let noted = Arc::clone(&heard);
    app.service::<Orders>().on_any(event, move |data, event| {
        noted
            .lock()
            .push((data.clone(), *event.origin() == Origin::Local));
    });
    heard
}

#[tokio::test]
async fn a_listener_of_another_node_hears_events_with_their_types() {
    let nodes = cluster(2, |_| orders()).await;
    let [here, there] = [&nodes[0], &nodes[1]].map(|node| listen(&node.app, Created));
    let shipped = listen(&nodes[1].app, Shipped);
    let mut client = SocketClient::connect(nodes[1].addr).await;
    let own = nodes[0].app.service::<Orders>();
    let order = own.create(&tea()).await.unwrap();
    let parcel = (order.id, "parcel 1".to_owned());
    own.emit(Shipped, &parcel).unwrap();

    let all_heard = || !shipped.lock().is_empty() && !here.lock().is_empty();
    eventually("both nodes have heard", all_heard).await;
    assert_eq!(*shipped.lock(), [(parcel, false)]);
    assert_eq!(*there.lock(), [(order.clone(), false)]);
    assert_eq!(*here.lock(), [(order, true)]);
    assert_eq!(client.event().await.0, "orders created");
    let event = ("orders shipped".to_owned(), json!([7, "parcel 1"]));
    assert_eq!(client.event().await, event);
}

#[tokio::test]
async fn an_event_of_another_shape_is_counted_where_it_is_heard() {
    let nodes = cluster(2, |_| orders()).await;
    let there = listen(&nodes[1].app, Created);
    let json = nodes[0].app.service_at("orders");
    json.emit("created", json!({ "id": 7 })).unwrap();
    let stats = || nodes[1].app.stats();
    eventually("the misfit is counted", || stats().listener_misfits == 1).await;
    assert!(there.lock().is_empty());
    assert_eq!(
        (
            stats().listener_panics,
            nodes[0].app.stats().listener_misfits
        ),
        (0, 0)
    );
    let calm = nodes[0]
        .app
        .service::<Orders>()
        .create(&tea())
        .sync(false)
        .await;
    assert_eq!(calm.unwrap().id, 7);
    let _: Value = nodes[0]
        .app
        .service::<Orders>()
        .create(&tea())
        .reads()
        .await
        .unwrap();
    eventually("the next one is heard", || there.lock().len() == 1).await;
}
