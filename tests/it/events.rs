//! Which calls lead to which events, who hears them in the process, and who decides which clients do (feathers.md §3, §4.2).

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use wingbeat::channels::{Channel, Channels, Publication};
use wingbeat::event::Origin;
use wingbeat::hooks::{All, RegisterHooks};
use wingbeat::service::{Call, Registration};
use wingbeat::stores::Multi;
use wingbeat::{App, AppBuilder, Event, Memory, Method};

use crate::support::http::Request;
use crate::support::services::Returns;
use crate::support::{Node, cluster, eventually};

/// What was heard: `(event, data)`.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(String, Value)>>>);

impl Heard {
    fn note(&self, event: &Event) {
        let heard = (event.name().to_owned(), event.data().value().clone());
        self.0.lock().push(heard);
    }

    fn take(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.0.lock())
    }

    fn names(&self) -> Vec<String> {
        self.take().into_iter().map(|(name, _)| name).collect()
    }
}

/// Hears the events of a service that the tests use.
fn listen(app: &App, path: &str) -> Heard {
    let heard = Heard::default();
    for event in [
        "created", "updated", "patched", "removed", "typing", "other",
    ] {
        let noting = heard.clone();
        app.service_at(path)
            .on(event, move |event| noting.note(event));
    }
    heard
}

/// Without sync a call answers when its events were heard, so that nothing here has to wait.
fn with(registration: impl Into<Registration>) -> (App, Heard) {
    let app = App::builder()
        .service("things", registration)
        .build()
        .unwrap();
    let heard = listen(&app, "things");
    (app, heard)
}

fn pair(name: &str, data: Value) -> (String, Value) {
    (name.to_owned(), data)
}

#[tokio::test]
async fn each_changing_method_has_its_event_and_the_others_have_none() {
    let (app, heard) = with(Memory::new());
    let things = app.service_at("things");
    things.create(json!({ "n": 1 })).await.unwrap();
    assert_eq!(heard.take(), [pair("created", json!({ "n": 1, "id": 0 }))]);
    things.update(0, json!({ "n": 2 })).await.unwrap();
    assert_eq!(heard.take(), [pair("updated", json!({ "n": 2, "id": 0 }))]);
    things.patch(0, json!({ "m": 3 })).await.unwrap();
    assert_eq!(
        heard.take(),
        [pair("patched", json!({ "n": 2, "id": 0, "m": 3 }))]
    );
    things.find().await.unwrap();
    things.get(0).await.unwrap();
    assert_eq!(heard.take(), []);
    things.remove(0).await.unwrap();
    assert_eq!(heard.names(), ["removed"]);
}

#[tokio::test]
async fn custom_methods_have_no_event() {
    let (app, heard) = with(Returns);
    let custom = app.service_at("things").method("custom");
    custom.data(json!({ "v": "1" })).await.unwrap();
    assert_eq!(heard.take(), []);
}

#[tokio::test]
async fn an_array_is_one_event_for_each_element() {
    let (app, heard) = with(Returns);
    let things = app.service_at("things");
    let lead_to = [
        (
            "[{\"a\":1},{\"a\":2},3]",
            vec![json!({ "a": 1 }), json!({ "a": 2 }), json!(3)],
        ),
        ("[]", vec![]),
        ("null", vec![json!(null)]),
        (
            "{\"total\":1,\"data\":[1]}",
            vec![json!({ "total": 1, "data": [1] })],
        ),
    ];
    for (result, data) in lead_to {
        things.create(json!({ "v": result })).await.unwrap();
        let expected: Vec<_> = data.into_iter().map(|data| pair("created", data)).collect();
        assert_eq!(heard.take(), expected, "{result}");
    }
}

#[tokio::test]
async fn hooks_rename_suppress_and_add_events() {
    let renaming = Registration::new(Returns).after(All, |context| {
        let query = &context.params.query;
        if let Some(name) = query.get("event") {
            context.event = name.as_str().map(Into::into);
        }
        Box::pin(async { Ok(()) })
    });
    let (app, heard) = with(renaming);
    let things = app.service_at("things");
    let query = |event: Value| serde_json::Map::from_iter([("event".to_owned(), event)]);
    things
        .create(json!({ "v": "1" }))
        .query(query(json!("updated")))
        .await
        .unwrap();
    assert_eq!(heard.names(), ["updated"]);
    things
        .create(json!({ "v": "1" }))
        .query(query(json!(null)))
        .await
        .unwrap();
    assert_eq!(heard.names(), Vec::<String>::new());
    things.get("1").query(query(json!("other"))).await.unwrap();
    assert_eq!(heard.names(), ["other"]);
}

#[tokio::test]
async fn failures_have_no_event_unless_a_hook_rescues_them() {
    let rescuing = Registration::new(Memory::new()).on_error(Method::Remove, |context| {
        context.result = Some(json!({ "rescued": true }));
        Box::pin(async { Ok(()) })
    });
    let instead = rescuing.before(Method::Update, |context| {
        context.result = Some(json!("instead"));
        Box::pin(async { Ok(()) })
    });
    let (app, heard) = with(instead);
    let things = app.service_at("things");
    assert!(things.patch(99, json!({})).await.is_err());
    assert_eq!(heard.take(), []);
    things.remove(99).await.unwrap();
    assert_eq!(heard.take(), [pair("removed", json!({ "rescued": true }))]);
    things.update(99, json!({})).await.unwrap();
    assert_eq!(heard.take(), [pair("updated", json!("instead"))]);
}

#[tokio::test]
async fn custom_events_are_sent_by_hand_and_only_so() {
    let (app, heard) = with(Registration::new(Memory::new()).events(["typing", "created"]));
    let things = app.service_at("things");
    things.create(json!({})).await.unwrap();
    things.emit("typing", json!([1, 2])).unwrap();
    things.emit("created", json!(null)).unwrap();
    eventually("both events by hand are heard", || {
        heard.0.lock().len() == 2
    })
    .await;
    assert_eq!(
        heard.take(),
        [pair("typing", json!([1, 2])), pair("created", json!(null))]
    );
    assert_eq!(things.emit("error", json!(1)).unwrap_err().code(), 400);
    assert_eq!(
        app.service_at("nowhere")
            .emit("typing", json!(1))
            .unwrap_err()
            .code(),
        404
    );
}

#[tokio::test]
async fn an_event_tells_what_it_is_of() {
    let app = App::builder()
        .service("org/:orgId/items", Memory::new())
        .build()
        .unwrap();
    let seen = Arc::new(Mutex::new(None));
    let seeing = Arc::clone(&seen);
    app.service_at("org/:orgId/items")
        .on("patched", move |event| {
            let context = event.context().expect("a call is behind it");
            let id = context.id().cloned();
            let of = (
                event.path().to_owned(),
                context.method().map(str::to_owned),
                id,
            );
            assert_eq!(*event.origin(), Origin::Local);
            *seeing.lock() = Some(of);
        });
    let called = app.service_at("org/7/items");
    called.create(json!({})).await.unwrap();
    called.patch("0", json!({ "a": 1 })).await.unwrap();
    let expected = (
        "org/:orgId/items".to_owned(),
        Some("patch".to_owned()),
        Some(json!("0")),
    );
    assert_eq!(seen.lock().take(), Some(expected));
}

#[tokio::test]
async fn a_listener_that_panics_harms_nobody() {
    let app = App::builder()
        .service("things", Memory::new())
        .build()
        .unwrap();
    app.service_at("things")
        .on("created", |_| panic!("on purpose"));
    let heard = listen(&app, "things");
    for _ in 0..2 {
        app.service_at("things").create(json!({})).await.unwrap();
    }
    assert_eq!(heard.names(), ["created", "created"]);
}

/// Everything that is asked for over REST has its events too, in order, and before the answer.
#[tokio::test]
async fn events_come_before_the_answer_of_their_call() {
    let things = Memory::new().multi(Multi::All);
    let node = Node::start(App::builder().service("things", things)).await;
    let heard = listen(&node.app, "things");
    node.post("/things", &json!([{ "n": "a" }, { "n": "b" }]))
        .await;
    assert_eq!(
        heard.take(),
        [
            pair("created", json!({ "n": "a", "id": 0 })),
            pair("created", json!({ "n": "b", "id": 1 }))
        ]
    );
    let request = Request::new("PATCH", "/things?n=b").json(&json!({ "n": 3 }));
    assert_eq!(node.send(request).await.status, 200);
    assert_eq!(heard.take(), [pair("patched", json!({ "n": 3, "id": 1 }))]);
}

#[tokio::test]
async fn on_local_hears_this_node_and_on_any_hears_all() {
    let nodes = cluster(2, |_| App::builder().service("things", Memory::new())).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    for (number, node) in nodes.iter().enumerate() {
        let things = node.app.service_at("things");
        let (local, any) = (Arc::clone(&heard), Arc::clone(&heard));
        things.on_local("created", move |_| {
            local.lock().push(format!("{number} local"))
        });
        things.on_any("created", move |event| {
            let from = match event.origin() {
                Origin::Node { name, .. } => name.to_string(),
                origin => format!("{origin:?}"),
            };
            any.lock().push(format!("{number} any {from}"));
        });
    }
    assert_eq!(nodes[0].post("/things", &json!({})).await.status, 201);
    eventually("all that are concerned have heard it", || {
        heard.lock().len() >= 3
    })
    .await;
    let mut quiet = Call::new("things", Method::Create);
    (quiet.data, quiet.sync) = (json!({}), false);
    nodes[1].app.call(quiet).await.unwrap();
    eventually("the node itself has heard it", || heard.lock().len() >= 5).await;
    let mut heard = heard.lock().clone();
    heard.sort();
    assert_eq!(
        heard,
        [
            "0 any Local",
            "0 local",
            "1 any Local",
            "1 any node-0",
            "1 local"
        ]
    );
}

type Asked = Arc<Mutex<Vec<String>>>;

/// A publisher that writes down its name and what it was asked for, and picks nobody.
fn publisher(
    asked: &Asked,
    name: &'static str,
) -> impl Fn(&Publication<'_>, &Channels) -> Option<Channel> + Send + Sync + 'static {
    let asked = Arc::clone(asked);
    move |publication, _| {
        let text = format!("{name}: {} {}", publication.event(), publication.data());
        asked.lock().push(text);
        None
    }
}

fn app_publishers(asked: &Asked) -> AppBuilder {
    App::builder()
        .publish(publisher(asked, "app"))
        .publish_event("created", publisher(asked, "app created"))
}

#[tokio::test]
async fn the_most_specific_publisher_is_asked_and_no_other() {
    let asked = Asked::default();
    let own = || Registration::new(Returns).publish(publisher(&asked, "own"));
    let app = app_publishers(&asked)
        .service(
            "both",
            own().publish_event("created", publisher(&asked, "own created")),
        )
        .service("own", own())
        .service("none", Returns)
        .build()
        .unwrap();
    for path in ["both", "own", "none"] {
        app.service_at(path)
            .create(json!({ "v": "1" }))
            .await
            .unwrap();
        app.service_at(path)
            .update("x", json!({ "v": "2" }))
            .await
            .unwrap();
    }
    assert_eq!(
        *asked.lock(),
        [
            "own created: created 1",
            "own: updated 2",
            "own: created 1",
            "own: updated 2",
            "app created: created 1",
            "app: updated 2",
        ]
    );
}

#[tokio::test]
async fn publishers_are_asked_once_per_element_with_what_clients_get() {
    let asked = Asked::default();
    let dispatching = Registration::new(Returns).after(All, |context| {
        let data = context.data.as_ref();
        context.dispatch = data.and_then(|data| data.get("dispatch")).cloned();
        Box::pin(async { Ok(()) })
    });
    let app = app_publishers(&asked)
        .service("things", dispatching)
        .build()
        .unwrap();
    let heard = listen(&app, "things");
    let things = app.service_at("things");
    let list = "[{\"secret\":1},{\"secret\":2}]";
    things
        .create(json!({ "v": list, "dispatch": [{ "a": 1 }, { "a": 2 }] }))
        .await
        .unwrap();
    things
        .create(json!({ "v": list, "dispatch": "all" }))
        .await
        .unwrap();
    things
        .create(json!({ "v": "{\"secret\":3}", "dispatch": [3] }))
        .await
        .unwrap();
    let expected = [r#"{"a":1}"#, r#"{"a":2}"#, r#""all""#, r#""all""#, "[3]"];
    assert_eq!(
        *asked.lock(),
        expected.map(|data| format!("app created: created {data}"))
    );
    let heard: Vec<Value> = heard
        .take()
        .into_iter()
        .map(|(_, data)| data["secret"].clone())
        .collect();
    assert_eq!(heard, [1, 2, 1, 2, 3]);
}

#[tokio::test]
async fn only_published_events_reach_publishers() {
    let asked = Asked::default();
    let (typing, all) = (
        Registration::new(Returns).events(["typing"]),
        Registration::new(Returns),
    );
    let app = App::builder()
        .publish(publisher(&asked, "app"))
        .service("typing", typing)
        .service("few", all.published_events(["removed"]))
        .build()
        .unwrap();
    let heard = listen(&app, "typing");
    app.service_at("typing").emit("other", json!(1)).unwrap();
    app.service_at("typing").emit("typing", json!(2)).unwrap();
    app.service_at("few")
        .create(json!({ "v": "3" }))
        .await
        .unwrap();
    app.service_at("few").emit("removed", json!(4)).unwrap();
    eventually("the publisher is asked twice", || asked.lock().len() == 2).await;
    assert_eq!(*asked.lock(), ["app: typing 2", "app: removed 4"]);
    assert_eq!(heard.names(), ["other", "typing"]);
}

#[tokio::test]
async fn a_publisher_that_panics_harms_nobody() {
    let fragile = Registration::new(Memory::new())
        .publish(|_, _| -> Option<Channel> { panic!("on purpose") });
    let node = Node::start(App::builder().service("things", fragile)).await;
    let heard = listen(&node.app, "things");
    for _ in 0..2 {
        assert_eq!(node.post("/things", &json!({})).await.status, 201);
    }
    assert_eq!(heard.names(), ["created", "created"]);
}
