//! Nodes that come and go while others are at work, over a real Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use wingbeat::event::Origin;
use wingbeat::sync::{Status, SyncOptions};
use wingbeat::{App, Leftover, Memory};

use crate::support::redis::RedisServer;
use crate::support::{background, eventually_in, within};

/// `(node, number of the event)`, in the order in which a node heard them. The node stands in the data: the label of an
/// origin is not known before its first hello.
type Heard = Arc<Mutex<Vec<(String, u64)>>>;

fn node(name: &str, uri: &str) -> (App, Heard) {
    let app = App::builder()
        .name(name)
        .service("messages", Memory::new())
        .sync_uri(uri)
        .build()
        .unwrap();
    let heard = Heard::default();
    let noted = Arc::clone(&heard);
    app.service("messages").on_any("created", move |event| {
        let data = event.data().value();
        if *event.origin() != Origin::Local {
            let from = data["from"].as_str().unwrap().to_owned();
            noted.lock().push((from, data["n"].as_u64().unwrap()));
        }
    });
    (app, heard)
}

async fn create(app: &App, n: u64) {
    app.service("messages")
        .create(json!({ "n": n, "from": app.name() }))
        .await
        .unwrap();
}

fn of(heard: &Heard, origin: &str) -> Vec<u64> {
    heard
        .lock()
        .iter()
        .filter(|(name, _)| name == origin)
        .map(|(_, n)| *n)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_joins_under_load_misses_nothing_and_is_not_missed() {
    let redis = RedisServer::start();
    let (old, old_heard) = node("old", &redis.uri());
    within(old.sync().ready()).await.unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let load = background(keep_creating(old.clone(), Arc::clone(&is_done)));
    for round in 0..20 {
        let name = format!("new-{round}");
        let (new, new_heard) = node(&name, &redis.uri());
        // Its clients are served from the first moment, long before it has a link.
        for n in 0..10 {
            create(&new, n).await;
        }
        within(new.sync().ready()).await.unwrap();
        let from = old
            .service("messages")
            .find()
            .await
            .unwrap()
            .as_array()
            .unwrap()
            .len() as u64;
        for n in 10..20 {
            create(&new, n).await;
        }
        eventually_in(LIMIT, "the old node has all of the new one", || {
            of(&old_heard, &name).len() == 20
        })
        .await;
        assert_eq!(of(&old_heard, &name), (0..20).collect::<Vec<_>>(), "{name}");
        eventually_in(LIMIT, "the new node is in the stream", || {
            of(&new_heard, "old").last().is_some_and(|n| *n > from + 20)
        })
        .await;
        let heard = of(&new_heard, "old");
        let first = heard[0];
        assert!(
            first <= from,
            "{name} was ready at {from} and hears from {first} on"
        );
        assert_eq!(
            heard,
            (first..first + heard.len() as u64).collect::<Vec<_>>(),
            "{name}"
        );
        assert_eq!(within(new.close()).await, Leftover::default());
    }
    is_done.store(true, Ordering::Relaxed);
    within(load).await.unwrap();
    assert_eq!(old.sync().stats().delivery.missing, 0);
    old.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_nodes_that_join_at_once_hear_each_other() {
    let redis = RedisServer::start();
    let nodes: Vec<(App, Heard)> = (0..8)
        .map(|n| node(&format!("node-{n}"), &redis.uri()))
        .collect();
    for n in 0..50 {
        for (app, _) in &nodes {
            create(app, n).await;
        }
    }
    for (at, (_, heard)) in nodes.iter().enumerate() {
        eventually_in(LIMIT, "every node has all of the others", || {
            heard.lock().len() == 7 * 50
        })
        .await;
        for other in (0..8).filter(|other| *other != at) {
            assert_eq!(
                of(heard, &format!("node-{other}")),
                (0..50).collect::<Vec<_>>()
            );
        }
    }
    for (app, _) in nodes {
        app.close().await;
    }
}

#[tokio::test]
async fn nodes_that_are_built_and_closed_leave_nothing_on_the_broker() {
    let redis = RedisServer::start();
    for _ in 0..24 {
        let (app, _) = node("short", &redis.uri());
        within(app.sync().ready()).await.unwrap();
        create(&app, 0).await;
        assert_eq!(within(app.close()).await, Leftover::default());
    }
    eventually_in(LIMIT, "only the questioner is connected", || {
        redis.cli(&["client", "list"]).lines().count() == 1
    })
    .await;
    assert_eq!(redis.cli(&["pubsub", "channels"]).trim(), "");
}

#[tokio::test]
async fn a_node_that_is_refused_for_good_gives_up_if_told_so_and_serves_on() {
    let redis = RedisServer::start_with(&["--requirepass", "right"]);
    let mut options = SyncOptions::default();
    options.fail_fast = true;
    let builder = App::builder()
        .service("messages", Memory::new())
        .sync_options(options);
    let app = builder.sync_uri(redis.uri()).build().unwrap();
    let error = within(app.sync().ready()).await.unwrap_err();
    assert!(error.to_string().contains("never ready"), "{error}");
    assert_eq!(app.sync().status(), Status::Closed);
    create(&app, 0).await;
}

async fn keep_creating(app: App, is_done: Arc<AtomicBool>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let mut n = 0;
    while !is_done.load(Ordering::Relaxed) {
        ticks.tick().await;
        create(&app, n).await;
        n += 1;
    }
}

/// On a machine that has other work to do, two dozen nodes on one Redis take their time.
const LIMIT: Duration = Duration::from_secs(30);
