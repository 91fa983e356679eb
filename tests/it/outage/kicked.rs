//! Redis closes connections that were sound: an operator kills them, or it does not want to wait for a slow reader.

use bytes::Bytes;
use wingbeat_adapter::{Lane, LinkOptions, SyncAdapter};
use wingbeat_redis::RedisAdapter;

use super::*;
use crate::support::within;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_killed_by_type_cost_no_event() {
    let _turn = turn(Size::Half).await;
    let redis = RedisServer::start();
    let load = Load::start(&Plan::default(), &vec![redis.uri(); 3]).await;
    for kind in ["pubsub", "normal"] {
        warm_up().await;
        let what = format!("CLIENT KILL TYPE {kind}");
        let mut trouble = load.trouble(&what, ALL);
        let killed = redis.cli(&["client", "kill", "type", kind]);
        assert_eq!(killed.trim(), "3", "{what}");
        trouble.felt().await;
        trouble.over().await;
    }
    assert_eq!(load.finish().await, 0, "nothing is missing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_killed_by_id_costs_no_event() {
    let _turn = turn(Size::Half).await;
    let redis = RedisServer::start();
    let load = Load::start(&Plan::default(), &vec![redis.uri(); 3]).await;
    for half in ["sub=2", "sub=0"] {
        warm_up().await;
        let what = format!("CLIENT KILL ID of the half with {half}");
        let id = client_id(&redis, &["name=wingbeat:b", half]);
        let mut trouble = load.trouble(&what, &[VICTIM]);
        let killed = redis.cli(&["client", "kill", "id", &id]);
        assert_eq!(killed.trim(), "1", "{what}");
        trouble.felt().await;
        trouble.over().await;
    }
    assert_eq!(load.finish().await, 0, "nothing is missing");
}

/// The reader's side stands still for a moment, and meanwhile somebody says more than Redis keeps for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_buffer_over_its_limit_costs_no_event() {
    let _turn = turn(Size::Half).await;
    let redis = RedisServer::start_with(&["--client-output-buffer-limit", "pubsub 1mb 0 0"]);
    let broker = Proxied::new(redis);
    let load = Load::start(&Plan::default(), &broker.uris(3)).await;
    warm_up().await;
    let victim = client_id(&broker.broker, &["name=wingbeat:b", "sub=2"]);
    let mut trouble = load.trouble("the output buffer of a stalled link is full", &[VICTIM]);
    broker.proxy.stall();
    talk_until_gone(&broker.broker, &victim).await;
    broker.proxy.resume();
    trouble.felt().await;
    trouble.over().await;
    let quarantine = load.nodes[0].app.sync().stats().quarantine;
    assert_eq!(quarantine.len(), 1, "the noise alone: {quarantine:?}");
    assert_eq!(load.finish().await, 0, "nothing is missing");
}

/// Publishes what no node can use until Redis has closed the connection with this id.
async fn talk_until_gone(redis: &RedisServer, id: &str) {
    let adapter = RedisAdapter::from_uri(&redis.uri()).unwrap();
    let mut link = within(adapter.connect(&LinkOptions::new("feathers-sync")))
        .await
        .unwrap();
    let noise = vec![Bytes::from(vec![b'-'; 256 << 10]); 4];
    let entry = format!("id={id} ");
    for _ in 0..MOST_NOISE {
        let said = link.outbound.publish(Lane::Events, &noise).await;
        assert!(said.unwrap().failed.is_empty());
        if !redis.cli(&["client", "list"]).contains(&entry) {
            return;
        }
    }
    panic!("Redis still waits for its reader");
}

/// Mebibytes.
const MOST_NOISE: usize = 64;
